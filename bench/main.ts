/** The command line of the bench: chooses cases, measures them, writes JSON, Markdown and SVG. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Case } from './case.ts';
import { allCases, EMBEDDED_MODEL } from './cases.ts';
import { renderChart } from './chart.ts';
import type { Places } from './contender.ts';
import { describeMachine, lastLevelCacheBytes, load } from './machine.ts';
import { type CaseResult, type Deadlines, measureCase } from './measure.ts';
import { mergeReports, type Report, renderCase, renderReport } from './report.ts';

const USAGE = `Usage: npm run bench -- [NAME…] [options]
  NAME            run the case of this name, or those whose name contains it
  --quick         the quick cases only, in less than three minutes
  --seconds N     time for each case (default 20)
  --out DIR       where the report goes (default: bench/results for a full run, else .cache/bench)
  --keep          keep the cases of the report in DIR that this run does not measure
  --list          print the names of the cases
  --verbose       show what the contenders print
`;

/** A quick run aims at the first and ends at the second, counted from the start of this process. */
const QUICK_AIM_MS = 110_000;
const QUICK_STOP_MS = 165_000;
/** How many times its share a slow case may take, before the later ones suffer too much. */
const QUICK_SLACK = 2.5;

const bundles = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');
const repository = process.env.BITLOOM_REPOSITORY!;

function parse(): { values: ReturnType<typeof parseOptions>['values']; positionals: string[] } {
  try {
    return parseOptions();
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

const parseOptions = () =>
  parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '20' },
      out: { type: 'string' },
      keep: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });

/** A working set four times the last-level cache, but at least 256 MiB and at most 1 GiB. */
const dramBytes = (): number => Math.min(1 << 30, Math.max(256 << 20, 4 * lastLevelCacheBytes()));

/** Writes the random-weight models that the cases need and that are not there yet. */
function generateModels(cases: readonly Case[]): void {
  const names = cases.flatMap((task) => task.contenders.map(({ options }) => options.model));
  for (const name of new Set(names)) {
    if (name === undefined || name === EMBEDDED_MODEL || existsSync(`${repository}bench/models/${name}.gguf`)) continue;
    process.stderr.write(`bench: writing bench/models/${name}.gguf\n`);
    spawnSync(process.execPath, [`${repository}bench/generate-model.js`, ...String(name).split('-')], {
      stdio: 'inherit',
    });
  }
}

/** Shares the time of a quick run between the cases that are left; else each case has the same. */
function deadlines(isQuick: boolean, perCaseMs: number, nLeft: number): Deadlines {
  const now = performance.now();
  if (!isQuick) return { endAtMs: now + perCaseMs, stopAtMs: Number.POSITIVE_INFINITY };
  const share = (untilMs: number): number => Math.max(0, untilMs - now) / nLeft;
  const stopAtMs = Math.min(QUICK_STOP_MS, now + QUICK_SLACK * share(QUICK_STOP_MS));
  return { endAtMs: now + share(QUICK_AIM_MS), stopAtMs };
}

async function measureAll(
  cases: readonly Case[],
  places: Places,
  limits: (nLeft: number) => Deadlines,
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const [index, task] of cases.entries()) {
    process.stderr.write(`[${index + 1}/${cases.length}] ${task.name}\n`);
    const result = await measureCase(task, limits(cases.length - index), places);
    results.push(result);
    process.stdout.write(`${renderCase(result)}\n`);
  }
  return results;
}

async function main(): Promise<void> {
  const { values, positionals } = parse();
  if (values.help) return void process.stdout.write(USAGE);
  const known = allCases(dramBytes());
  const list = known.map(({ name, title }) => `${name.padEnd(32)} ${title}\n`).join('');
  if (values.list) return void process.stdout.write(list);
  const isMeant = (name: string, wanted: string): boolean =>
    known.some((task) => task.name === wanted) ? name === wanted : name.includes(wanted);
  const isNamed = ({ name }: Case): boolean => positionals.length === 0 || positionals.some((p) => isMeant(name, p));
  const cases = known.filter((task) => isNamed(task) && (!values.quick || task.isQuick));
  if (cases.length === 0) {
    console.error(`bench: no case is called like ${positionals.join(', ')}; see --list`);
    process.exitCode = 2;
    return;
  }
  generateModels(cases);
  const limits = (nLeft: number): Deadlines => deadlines(values.quick, Number(values.seconds) * 1000, nLeft);
  const report = await measureReport(cases, values.verbose, limits);
  const isFull = !values.quick && positionals.length === 0;
  const folder = values.out ?? `${repository}${isFull ? 'bench/results' : '.cache/bench'}`;
  const earlier = values.keep ? readReport(folder) : undefined;
  const names = known.map(({ name }) => name);
  writeReport(earlier === undefined ? report : mergeReports(earlier, report, names), folder);
  const hasFailed = report.results.some(({ outcomes }) => outcomes.some((o) => o.missing?.startsWith('failed')));
  if (hasFailed) process.exitCode = 1;
}

/** Measures, and writes down around it when, where and under which load. */
async function measureReport(
  cases: readonly Case[],
  verbose: boolean,
  limits: (nLeft: number) => Deadlines,
): Promise<Report> {
  const start = performance.now();
  const nodes = { newest: process.env.BITLOOM_NODE_NEWEST ?? process.execPath, current: process.execPath };
  const before = { startedAt: new Date().toISOString(), loadBefore: load(), machine: describeMachine(nodes) };
  const results = await measureAll(cases, { bundles, nodes, verbose }, limits);
  return { ...before, loadAfter: load(), seconds: (performance.now() - start) / 1000, results };
}

/** Five digits are more than a sample knows; the rest would only make the file large. */
const rounded = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;

function readReport(folder: string): Report | undefined {
  const path = `${folder}/report.json`;
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Report) : undefined;
}

function writeReport(report: Report, folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/report.json`, `${JSON.stringify(report, rounded)}\n`);
  writeFileSync(`${folder}/report.md`, renderReport(report));
  writeFileSync(`${folder}/report.svg`, renderChart(report.results));
  process.stderr.write(
    `bench: ${report.seconds.toFixed(0)} s; report.json, report.md and report.svg are in ${folder}\n`,
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
