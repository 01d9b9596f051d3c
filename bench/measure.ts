/** Takes the samples of one case: contenders in turn, round after round, until enough are quiet or time is out. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Case, Contender } from './case.ts';
import { type Places, type Runner, type Sample, startContender } from './contender.ts';
import { isQuiet, type Summary, summarize } from './statistics.ts';

export interface Outcome {
  readonly contender: Contender;
  readonly note: string;
  /** Why there are no samples; null when there are. */
  readonly missing: string | null;
  /** In shown units, already multiplied by the contender's work ratio. */
  readonly samples: readonly Sample[];
  readonly summary: Summary;
}

export interface CaseResult {
  readonly task: Case;
  readonly outcomes: readonly Outcome[];
}

/** Rounds that are always run, quiet or not, and quiet samples after which a contender needs no more. */
const LEAST_ROUNDS = 5;
const WANTED_QUIET = 21;
/** Thread pools spin for a while after their work (onnxruntime-web: 50 ms); the next sample waits for that. */
const REST_MS = 60;

/** Runs one case within about `budgetMs` (starting up included, except that `LEAST_ROUNDS` always run). */
export async function measureCase(task: Case, budgetMs: number, places: Places): Promise<CaseResult> {
  const deadline = performance.now() + budgetMs;
  const runners: Runner[] = [];
  try {
    for (const contender of task.contenders) runners.push(await startContender(task, contender, places));
    const samples = await sampleInTurn(runners, deadline);
    const outcomes = runners.map((runner): Outcome => {
      const scale = task.unit.scale * (runner.contender.workRatio ?? 1);
      const shown = samples.get(runner)!.map((s) => ({ ...s, value: s.value * scale }));
      const { contender, note, missing } = runner;
      return { contender, note, missing, samples: shown, summary: summarize(shown) };
    });
    return { task, outcomes };
  } finally {
    for (const runner of runners) runner.stop();
  }
}

/** Each round starts one contender later, so that none always follows the same neighbour. */
async function sampleInTurn(runners: readonly Runner[], deadline: number): Promise<Map<Runner, Sample[]>> {
  const samples = new Map<Runner, Sample[]>(runners.map((runner) => [runner, []]));
  const present = runners.filter((r) => r.missing === null);
  const isSatisfied = (r: Runner): boolean => samples.get(r)!.filter(isQuiet).length >= WANTED_QUIET;
  for (let round = 0; present.length > 0; round++) {
    if (round >= LEAST_ROUNDS && (performance.now() > deadline || present.every(isSatisfied))) break;
    for (let i = 0; i < present.length; i++) {
      const runner = present[(i + round) % present.length]!;
      samples.get(runner)!.push(await runner.sample());
      if (runner.contender.options.threads !== 1) await sleep(REST_MS);
    }
  }
  return samples;
}
