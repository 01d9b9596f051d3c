/** Results as one SVG: a block of horizontal bars per case, with quartiles, against the lowest ceiling. */
import type { Contender } from './case.ts';
import type { CaseResult, Outcome } from './measure.ts';
import { roofline } from './report.ts';

const WIDTH = 960;
const MARGIN = 24;
const NAME_WIDTH = 170;
const VALUE_WIDTH = 270;
const BAR_WIDTH = WIDTH - 2 * MARGIN - NAME_WIDTH - VALUE_WIDTH;
const ROW_HEIGHT = 22;
const BAR_HEIGHT = 14;
const HEADING_HEIGHT = 34;
const LEFT = MARGIN + NAME_WIDTH;

const INK = '#1f2933';
const FAINT = '#6b7785';
const COLOURS: Readonly<Record<Contender['role'], string>> = { ours: '#0b7285', peer: '#a5b1bd', ceiling: 'none' };

const escapeText = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

const text = (x: number, y: number, content: string, style = ''): string =>
  `<text x="${x}" y="${y}" ${style}>${escapeText(content)}</text>`;

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2));

/** One bar: name, bar, quartile whisker, value with its share of the roofline. */
function bar(outcome: Outcome, y: number, unit: string, largest: number, roof: number | undefined): string {
  const { contender, summary, missing } = outcome;
  const middle = y + ROW_HEIGHT / 2;
  const name = text(LEFT - 8, middle + 4, contender.name, `text-anchor="end" fill="${INK}"`);
  if (missing !== null)
    return name + text(LEFT + 4, middle + 4, missing.split(':', 1)[0]!, `fill="${FAINT}" font-style="italic"`);
  const [width, lower, upper] = [summary.median, summary.lower, summary.upper].map((v) => (v / largest) * BAR_WIDTH);
  const isCeiling = contender.role === 'ceiling';
  const outline = isCeiling ? `stroke="${FAINT}" stroke-dasharray="3 2"` : '';
  const share = isCeiling || roof === undefined ? '' : ` · ${((100 * summary.median) / roof).toFixed(0)} % of roofline`;
  const noisy = summary.basis === 'quiet' ? '' : ' (noisy)';
  return [
    name,
    `<rect x="${LEFT}" y="${middle - BAR_HEIGHT / 2}" width="${width!.toFixed(1)}" height="${BAR_HEIGHT}" fill="${COLOURS[contender.role]}" ${outline}/>`,
    `<path d="M${(LEFT + lower!).toFixed(1)} ${middle}H${(LEFT + upper!).toFixed(1)}" stroke="${INK}" stroke-width="2"/>`,
    text(LEFT + BAR_WIDTH + 10, middle + 4, `${shown(summary.median)} ${unit}${share}${noisy}`, `fill="${INK}"`),
  ].join('\n');
}

/** One case at height `y`; gives the markup and the height it takes. */
function block(result: CaseResult, y: number): { markup: string; height: number } {
  const { task, outcomes } = result;
  const values = outcomes.filter((o) => o.missing === null).map((o) => o.summary.upper);
  const roof = roofline(result)?.summary.median;
  const better = task.unit.better === 'lower' ? ' (lower is better)' : '';
  const heading = text(MARGIN, y + 22, `${task.title}${better}`, `font-weight="600" fill="${INK}"`);
  const top = y + HEADING_HEIGHT;
  const largest = Math.max(...values, Number.MIN_VALUE);
  const bars = outcomes.map((o, i) => bar(o, top + i * ROW_HEIGHT, task.unit.name, largest, roof));
  return { markup: [heading, ...bars].join('\n'), height: HEADING_HEIGHT + outcomes.length * ROW_HEIGHT + 10 };
}

/** Draws all cases below each other. */
export function renderChart(results: readonly CaseResult[]): string {
  let y = MARGIN / 2;
  const blocks: string[] = [];
  for (const result of results) {
    const { markup, height } = block(result, y);
    blocks.push(markup);
    y += height;
  }
  const height = y + MARGIN / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    ...blocks,
    '</svg>\n',
  ].join('\n');
}
