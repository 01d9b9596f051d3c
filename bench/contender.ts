/** The parent's side of a contender: starts its process, asks for samples, stops it. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Case, Contender } from './case.ts';
import type { Measured } from './statistics.ts';

/** One measured run. `value` is in the base unit of the case (per second), or milliseconds, or megabytes. */
export interface Sample extends Measured {
  readonly seconds: number;
  readonly iterations: number;
}

export interface SampleMessage extends Omit<Sample, 'value'> {
  readonly kind: 'sample';
  /** Null where the parent's clock measures: from the start of the process to this message. */
  readonly value: number | null;
}

export type ChildMessage =
  | SampleMessage
  | { readonly kind: 'ready'; readonly note: string }
  /** `reason` is what a report says: `absent: …` or `failed: …`. */
  | { readonly kind: 'absent' | 'failed'; readonly reason: string };

/** Where things are on this machine. */
export interface Places {
  /** Folder of the bundled child.mjs and adapters/. */
  readonly bundles: string;
  readonly nodes: Readonly<Record<Contender['node'], string>>;
  readonly verbose: boolean;
}

/** A contender that is ready to be sampled, or the reason why it is not. */
export interface Runner {
  readonly contender: Contender;
  readonly note: string;
  /** `absent: …` or `failed: …`; null where it runs. */
  readonly missing: string | null;
  sample(): Promise<Sample>;
  stop(): void;
}

/** A child that says nothing for this long is given up. */
const SILENCE_MS = 300_000;

/** Time that a contender has to end by itself: a browser has files to remove. */
const CLOSING_MS = 3000;

/** Starts one contender of a case and waits until its work is ready, at most until `stopAtMs`. */
export function startContender(task: Case, contender: Contender, places: Places, stopAtMs: number): Promise<Runner> {
  const start = task.perProcess ? processPerSample : lasting;
  return start(task, contender, places, stopAtMs);
}

function launch(contender: Contender, places: Places, mode: string): ChildProcess {
  const adapter = `${places.bundles}/adapters/${contender.adapter}.mjs`;
  const args = [`${places.bundles}/child.mjs`, adapter, JSON.stringify(contender.options), mode];
  const output = places.verbose ? 'inherit' : 'ignore';
  return spawn(places.nodes[contender.node], args, { stdio: ['ignore', output, output, 'ipc'] });
}

/** What is told of a contender that had no time left. */
export const OUT_OF_TIME = 'absent: the time for this case was over';

/** The next message of a child; a silent or dead child gives `failed`, one without time left `absent`. */
function nextMessage(child: ChildProcess, stopAtMs: number): Promise<ChildMessage> {
  return new Promise((resolve) => {
    const finish = (message: ChildMessage): void => {
      clearTimeout(timer);
      child.off('message', onMessage).off('exit', onExit).off('error', onError);
      resolve(message);
    };
    const fail = (reason: string): void => finish({ kind: 'failed', reason: `failed: ${reason}` });
    const onMessage = (message: unknown): void => finish(message as ChildMessage);
    const onExit = (code: number | null, signal: string | null): void =>
      fail(`the process ended with ${signal ?? `exit code ${code}`}`);
    const onError = (error: Error): void => fail(error.message);
    const leftMs = stopAtMs - performance.now();
    const onSilence = (): void => {
      child.kill('SIGKILL');
      if (leftMs < SILENCE_MS) finish({ kind: 'absent', reason: OUT_OF_TIME });
      else fail(`no answer within ${SILENCE_MS / 1000} s`);
    };
    const timer = setTimeout(onSilence, Math.max(0, Math.min(SILENCE_MS, leftMs)));
    child.on('message', onMessage).on('exit', onExit).on('error', onError);
  });
}

const absent = (contender: Contender, reason: string): Runner => ({
  contender,
  note: '',
  missing: reason,
  sample: () => Promise.reject(new Error(reason)),
  stop: () => {},
});

const described = (message: ChildMessage): string =>
  'reason' in message ? message.reason : `failed: unexpected answer ${message.kind}`;

async function lasting(_task: Case, contender: Contender, places: Places, stopAtMs: number): Promise<Runner> {
  const child = launch(contender, places, 'repeat');
  const first = await nextMessage(child, stopAtMs);
  if (first.kind !== 'ready') {
    child.kill('SIGKILL');
    return absent(contender, described(first));
  }
  return {
    contender,
    note: first.note,
    missing: null,
    async sample() {
      const answer = nextMessage(child, stopAtMs);
      child.send({ kind: 'sample' });
      const message = await answer;
      if (message.kind !== 'sample' || message.value === null) throw new Error(described(message));
      return { ...message, value: message.value };
    },
    stop() {
      if (child.connected) child.disconnect();
      setTimeout(() => child.kill('SIGKILL'), CLOSING_MS).unref();
    },
  };
}

async function processPerSample(task: Case, contender: Contender, places: Places, stopAtMs: number): Promise<Runner> {
  const sample = async (): Promise<Sample> => {
    const start = performance.now();
    const child = launch(contender, places, 'once');
    const message = await nextMessage(child, stopAtMs);
    const elapsedMs = performance.now() - start;
    child.kill('SIGKILL');
    if (message.kind !== 'sample') throw new Error(described(message));
    return { ...message, value: message.value ?? elapsedMs, seconds: elapsedMs / 1000 };
  };
  // The first one fills the page cache and tells whether the contender can run at all.
  const problem = await sample().then(
    () => null,
    (error: Error) => error.message,
  );
  return problem === null
    ? { contender, note: `a new process per sample of ${task.name}`, missing: null, sample, stop: () => {} }
    : absent(contender, problem);
}
