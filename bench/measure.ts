/** Takes the samples of one case: contenders in turn, round after round, until enough are quiet or time is out. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Case, Contender } from './case.ts';
import { OUT_OF_TIME, type Places, type Runner, type Sample, startContender } from './contender.ts';
import { isQuiet, type Summary, summarize } from './statistics.ts';

export interface Outcome {
  readonly contender: Contender;
  readonly note: string;
  /** `absent: …` or `failed: …`, also when it failed on the way; null where all went well. */
  readonly missing: string | null;
  /** In shown units, already multiplied by the contender's work ratio. */
  readonly samples: readonly Sample[];
  readonly summary: Summary;
}

export interface CaseResult {
  readonly task: Case;
  readonly outcomes: readonly Outcome[];
  /** When and of which commit, where that is not what the report says of itself. */
  readonly kept?: { readonly startedAt: string; readonly commit: string };
}

/** Rounds that are always run, quiet or not, and quiet samples after which a contender needs no more. */
const LEAST_ROUNDS = 5;
const WANTED_QUIET = 21;
/** Thread pools spin for a while after their work (onnxruntime-web: 50 ms); the next sample waits for that. */
const REST_MS = 60;

/** On the clock of `performance.now()`: when a case should end, and when it has to, however little it has. */
export interface Deadlines {
  readonly endAtMs: number;
  readonly stopAtMs: number;
}

/** Runs one case until it has enough; between the two deadlines only until `LEAST_ROUNDS` are done. */
export async function measureCase(task: Case, deadlines: Deadlines, places: Places): Promise<CaseResult> {
  const runners: Runner[] = [];
  try {
    for (const contender of task.contenders) {
      runners.push(await startContender(task, contender, places, deadlines.stopAtMs));
    }
    const { samples, failures } = await sampleInTurn(runners, deadlines);
    const outcomes = runners.map((runner): Outcome => {
      const scale = task.unit.scale * (runner.contender.workRatio ?? 1);
      const shown = samples.get(runner)!.map((s) => ({ ...s, value: s.value * scale }));
      const { contender, note } = runner;
      const failure = failures.get(runner);
      const isShort = failure === OUT_OF_TIME && shown.length > 0;
      const missing = runner.missing ?? (isShort ? null : (failure ?? null));
      return { contender, note, missing, samples: shown, summary: summarize(shown) };
    });
    return { task, outcomes };
  } finally {
    for (const runner of runners) runner.stop();
  }
}

interface Taken {
  readonly samples: ReadonlyMap<Runner, readonly Sample[]>;
  /** Contenders that broke down on the way. */
  readonly failures: ReadonlyMap<Runner, string>;
}

/** Each round starts one contender later, so that none always follows the same neighbour. */
async function sampleInTurn(runners: readonly Runner[], { endAtMs }: Deadlines): Promise<Taken> {
  const samples = new Map<Runner, Sample[]>(runners.map((runner) => [runner, []]));
  const failures = new Map<Runner, string>();
  const isSatisfied = (r: Runner): boolean => samples.get(r)!.filter(isQuiet).length >= WANTED_QUIET;
  for (let round = 0; ; round++) {
    const present = runners.filter((r) => r.missing === null && !failures.has(r));
    const isOver = round >= LEAST_ROUNDS && (performance.now() > endAtMs || present.every(isSatisfied));
    if (present.length === 0 || isOver) return { samples, failures };
    for (let i = 0; i < present.length; i++) {
      const runner = present[(i + round) % present.length]!;
      await runner.sample().then(
        (sample) => samples.get(runner)!.push(sample),
        (error: Error) => failures.set(runner, error.message),
      );
      if (runner.contender.options.threads !== 1) await sleep(REST_MS);
    }
  }
}
