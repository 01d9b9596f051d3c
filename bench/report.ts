/** Results as Markdown: per case the values, ratios to the subject, share of the roofline, and goals. */
import type { Goal } from './case.ts';
import type { Machine } from './machine.ts';
import type { CaseResult, Outcome } from './measure.ts';

export interface Report {
  readonly startedAt: string;
  readonly seconds: number;
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly machine: Machine;
  readonly results: readonly CaseResult[];
}

const median = (outcome: Outcome): number => outcome.summary.median;
const isPresent = (outcome: Outcome): boolean => outcome.missing === null;

/** The lowest ceiling of a case; undefined where it has none. */
export function roofline({ outcomes }: CaseResult): Outcome | undefined {
  return outcomes
    .filter((o) => o.contender.role === 'ceiling' && isPresent(o))
    .toSorted((a, b) => median(a) - median(b))[0];
}

/** The peer with the best value; undefined where none was measured. */
export function bestPeer({ task, outcomes }: CaseResult): Outcome | undefined {
  const sign = task.unit.better === 'higher' ? -1 : 1;
  return outcomes
    .filter((o) => o.contender.role === 'peer' && isPresent(o))
    .toSorted((a, b) => sign * (median(a) - median(b)))[0];
}

/** How many times better the first outcome is than the second: above 1 is better in either direction. */
export function advantage({ task }: CaseResult, subject: Outcome, other: Outcome): number {
  const ratio = median(subject) / median(other);
  return task.unit.better === 'higher' ? ratio : 1 / ratio;
}

const digits = (value: number): string => {
  if (Number.isNaN(value)) return '–';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
};

/** `12 of 20`, or why the numbers are weaker than that. */
function sampleNote({ summary: { quiet, total, basis } }: Outcome): string {
  if (basis === 'unfiltered') return `${total}, not filtered`;
  return `${quiet} quiet of ${total}${basis === 'quiet' ? '' : ': noisy'}`;
}

/** What a value means besides: bytes per second, and the time of one unit. */
function furtherUnits({ contender: { bytesPerUnit }, summary }: Outcome): string {
  if (bytesPerUnit === undefined) return '';
  return `; ${digits((summary.median * bytesPerUnit) / 1e9)} GB/s, ${digits(1000 / summary.median)} ms each`;
}

function row(result: CaseResult, outcome: Outcome): string[] {
  const { contender, summary, missing, note } = outcome;
  if (missing !== null) return [contender.name, '–', '–', '–', '–', missing.split('\n', 1)[0]!];
  const [subject] = result.outcomes;
  const roof = roofline(result);
  const hasRatio = subject !== undefined && subject !== outcome && isPresent(subject);
  const hasShare = roof !== undefined && contender.role !== 'ceiling';
  return [
    contender.name,
    `${digits(summary.median)} (${digits(summary.lower)}–${digits(summary.upper)})${furtherUnits(outcome)}`,
    hasRatio ? `${digits(advantage(result, subject, outcome))}×` : '',
    hasShare ? `${((100 * median(outcome)) / median(roof)).toFixed(0)} %` : '',
    sampleNote(outcome),
    note,
  ];
}

/** The other side of a promise, and how it is called. */
function opponent(result: CaseResult, { against, atLeast }: Goal): { other: Outcome | undefined; wanted: string } {
  if (against === 'roofline')
    return { other: roofline(result), wanted: `${(100 * atLeast).toFixed(0)} % of the roofline` };
  if (against === 'best peer') {
    const other = bestPeer(result);
    return { other, wanted: `${atLeast}× the best peer${other ? `, ${other.contender.name}` : ''}` };
  }
  const other = result.outcomes.find((o) => o.contender.name === against);
  return { other, wanted: `${atLeast}× ${against}` };
}

/** A promise against what was measured; `not measured` where one side is absent. */
export function checkGoal(result: CaseResult, goal: Goal): { text: string; isMet: boolean | null } {
  const [subject] = result.outcomes;
  const { other, wanted } = opponent(result, goal);
  if (!subject || !other || !isPresent(subject) || !isPresent(other))
    return { text: `${wanted}: not measured`, isMet: null };
  const isNoisy = [subject, other].some((o) => o.summary.basis === 'least disturbed');
  const got = advantage(result, subject, other);
  const shown = goal.against === 'roofline' ? `${(100 * got).toFixed(0)} %` : `${digits(got)}×`;
  return { text: `${wanted}: ${shown}${isNoisy ? ' (noisy)' : ''}`, isMet: got >= goal.atLeast };
}

function goalLines(result: CaseResult): string[] {
  const mark = (isMet: boolean | null): string => (isMet === null ? '·' : isMet ? '✓' : '✗');
  const lines = (result.task.goals ?? []).map((goal) => checkGoal(result, goal));
  const [subject] = result.outcomes;
  if (result.task.limit !== undefined && subject && isPresent(subject)) {
    const { limit, unit } = result.task;
    const isMet = median(subject) <= limit;
    lines.push({ text: `at most ${digits(limit)} ${unit.name}: ${digits(median(subject))}`, isMet });
  }
  return lines.map(({ text, isMet }) => `- ${mark(isMet)} ${text}`);
}

/** One case as a Markdown section with a table. */
export function renderCase(result: CaseResult): string {
  const { task, outcomes } = result;
  const ours = outcomes[0]!.contender.name;
  const header = ['contender', `${task.unit.name}: median (quartiles)`, `${ours} is`, 'of roofline', 'samples', 'note'];
  const lines = [header, header.map(() => '---'), ...outcomes.map((o) => row(result, o))];
  const table = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const goals = goalLines(result);
  const kept = result.kept ? `Of the run of ${result.kept.startedAt}, bitloom ${result.kept.commit}.\n\n` : '';
  return `### ${task.name}: ${task.title}\n\n${kept}${table}\n${goals.length > 0 ? `\n${goals.join('\n')}\n` : ''}`;
}

/**
 * A report with the cases of an earlier one that it lacks, in the order of `names`. Each says of which run it is: contenders of
 * one case are always of one run. Throws where the machine was another.
 */
export function mergeReports(earlier: Report, report: Report, names: readonly string[]): Report {
  if (earlier.machine.cpu !== report.machine.cpu || earlier.machine.nCpus !== report.machine.nCpus)
    throw new Error(`--keep: the report there is of another machine, ${earlier.machine.cpu}`);
  const kept = { startedAt: earlier.startedAt, commit: earlier.machine.commit };
  const results = new Map(earlier.results.map((result) => [result.task.name, { kept, ...result }]));
  const all = new Map<string, CaseResult>([...results, ...report.results.map((r) => [r.task.name, r] as const)]);
  return { ...report, results: names.flatMap((name) => all.get(name) ?? []) };
}

/** The whole report as one Markdown document. */
export function renderReport(report: Report): string {
  const { machine } = report;
  const about = [
    `- ${machine.cpu}, ${machine.nCpus} CPUs, ${machine.memoryGiB} GiB, last-level cache ${(machine.lastLevelCacheBytes / 2 ** 20).toFixed(0)} MiB, ${machine.platform}`,
    `- Node ${machine.nodes.newest} (newest) and ${machine.nodes.current} (this Node); bitloom ${machine.commit}`,
    `- started ${report.startedAt}, ${report.seconds.toFixed(0)} s, load ${report.loadBefore} before and ${report.loadAfter} after`,
  ];
  const sections = report.results.map(renderCase);
  return ['# Benchmark report', about.join('\n'), '![chart](report.svg)', ...sections].join('\n\n');
}
