/** The command line of the bench: chooses cases, measures them, writes JSON, Markdown and SVG. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Case } from './case.ts';
import { allCases, EMBEDDED_MODEL } from './cases.ts';
import { renderChart } from './chart.ts';
import type { Places } from './contender.ts';
import { describeMachine, lastLevelCacheBytes, load } from './machine.ts';
import { type CaseResult, measureCase } from './measure.ts';
import { type Report, renderCase, renderReport } from './report.ts';

const USAGE = `Usage: npm run bench -- [NAME…] [options]
  NAME            run the cases whose name contains one of these
  --quick         the quick cases only, in less than three minutes
  --seconds N     time for each case (default 20)
  --out DIR       where the report goes (default: bench/results for a full run, else .cache/bench)
  --list          print the names of the cases
  --verbose       show what the contenders print
`;

/** Leaves room for cases whose first rounds alone take longer than their share. */
const QUICK_TOTAL_MS = 110_000;

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

async function measureAll(cases: readonly Case[], places: Places, budget: () => number): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const [index, task] of cases.entries()) {
    process.stderr.write(`[${index + 1}/${cases.length}] ${task.name}\n`);
    const result = await measureCase(task, budget(), places);
    results.push(result);
    process.stdout.write(`${renderCase(result)}\n`);
  }
  return results;
}

async function main(): Promise<void> {
  const { values, positionals } = parse();
  if (values.help) return void process.stdout.write(USAGE);
  const known = allCases(dramBytes());
  const wanted = (task: Case): boolean =>
    (positionals.length === 0 || positionals.some((name) => task.name.includes(name))) &&
    (!values.quick || task.isQuick);
  const cases = known.filter(wanted);
  if (values.list)
    return void process.stdout.write(`${known.map((c) => `${c.name.padEnd(24)} ${c.title}`).join('\n')}\n`);
  if (cases.length === 0) {
    console.error(`bench: no case is called like ${positionals.join(', ')}; see --list`);
    process.exitCode = 2;
    return;
  }
  generateModels(cases);
  const nodes = { newest: process.env.BITLOOM_NODE_NEWEST ?? process.execPath, current: process.execPath };
  const start = performance.now();
  let left = cases.length;
  const perCaseMs = Number(values.seconds) * 1000;
  const budget = (): number => (values.quick ? (start + QUICK_TOTAL_MS - performance.now()) / left-- : perCaseMs);
  const before = { startedAt: new Date().toISOString(), loadBefore: load(), machine: describeMachine(nodes) };
  const results = await measureAll(cases, { bundles, nodes, verbose: values.verbose }, budget);
  const report: Report = { ...before, loadAfter: load(), seconds: (performance.now() - start) / 1000, results };
  const hasFailed = results.some(({ outcomes }) => outcomes.some((o) => o.missing?.startsWith('failed')));
  if (hasFailed) process.exitCode = 1;
  const isFull = !values.quick && positionals.length === 0;
  writeReport(report, values.out ?? `${repository}${isFull ? 'bench/results' : '.cache/bench'}`);
}

/** Five digits are more than a sample knows; the rest would only make the file large. */
const rounded = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;

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
