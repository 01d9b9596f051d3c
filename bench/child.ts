/**
 * The process of one contender: prepares its work, then takes one sample per request of the parent.
 * Arguments: path of the adapter module, options as JSON, `once` for a sample that is the whole process.
 */
import { pathToFileURL } from 'node:url';
import { Absent, type Adapter, type Options, type Workload } from './adapter.ts';
import type { ChildMessage, SampleMessage } from './contender.ts';
import { atProcessStart, disturbedShare, readScheduler } from './scheduler.ts';

const send = (message: ChildMessage): void => {
  process.send?.(message);
};

/** One timed run of `iterations`. The counters are read outside the timed part. */
async function takeSample(workload: Workload, iterations: number, nThreads: number): Promise<SampleMessage> {
  const before = readScheduler(workload.processes?.());
  const start = performance.now();
  const own = await workload.run(iterations);
  const seconds = (performance.now() - start) / 1000;
  const share = disturbedShare(before, readScheduler(workload.processes?.()), nThreads);
  const value = own ?? (workload.workPerIteration * iterations) / seconds;
  return { kind: 'sample', value, seconds, iterations, disturbedShare: share };
}

/** Finds how many iterations fill a sample, warming the code up on the way. */
async function calibrate(workload: Workload, sampleSeconds: number): Promise<number> {
  let iterations = 1;
  await workload.run(1);
  for (;;) {
    const start = performance.now();
    await workload.run(iterations);
    const seconds = (performance.now() - start) / 1000;
    if (seconds >= sampleSeconds / 4) return Math.max(1, Math.round((iterations * sampleSeconds) / seconds));
    iterations *= seconds < sampleSeconds / 40 ? 8 : 2;
  }
}

async function runOnce(workload: Workload, nThreads: number): Promise<void> {
  const own = await workload.run(1);
  const now = readScheduler();
  const share = now === null ? null : disturbedShare(atProcessStart(now), now, nThreads);
  send({ kind: 'sample', value: own ?? null, seconds: performance.now() / 1000, iterations: 1, disturbedShare: share });
}

async function main(): Promise<void> {
  const [adapterPath, optionsJson, mode] = process.argv.slice(2);
  const options = JSON.parse(optionsJson!) as Options;
  const adapter = (await import(pathToFileURL(adapterPath!).href)) as Adapter;
  const workload = await adapter.prepare(options);
  const nThreads = workload.busyThreads ?? Number(options.threads ?? 1);
  process.on('disconnect', () => void (workload.close?.() ?? Promise.resolve()).finally(() => process.exit()));
  if (mode === 'once') return runOnce(workload, nThreads);
  const iterations = await calibrate(workload, Number(options.sampleMs ?? 100) / 1000);
  process.on('message', () => {
    takeSample(workload, iterations, nThreads).then(send, fail);
  });
  send({ kind: 'ready', note: workload.note });
}

function described(error: unknown): ChildMessage {
  if (!(error instanceof Error)) return { kind: 'failed', reason: `failed: ${String(error)}` };
  // By name: adapters are bundled apart and have a class of their own.
  if (error.name === Absent.name) return { kind: 'absent', reason: `absent: ${error.message}` };
  return { kind: 'failed', reason: `failed: ${error.stack ?? error.message}` };
}

const fail = (error: unknown): void => send(described(error));

main().catch(fail);
