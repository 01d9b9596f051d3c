/** The machine itself as a contender: a probe of arithmetic or read bandwidth on one or more threads. */
import * as v8 from 'node:v8';
import { Worker } from 'node:worker_threads';
import { Absent, numberOption, type Options, type Workload } from '../adapter.ts';
import { buildProbe, type ProbeKind } from '../probe.ts';

/** What a probe thread gets. `signals` holds the turn to run and the number of threads that are done. */
export interface ProbeThread {
  readonly probe: Uint8Array<ArrayBuffer>;
  readonly workingSetBytes: number;
  readonly signals: Int32Array<SharedArrayBuffer>;
  readonly passes: Int32Array<SharedArrayBuffer>;
}

export const TURN = 0;
export const RESULT = 1;

type Run = (passes: number, workingSetBytes: number) => number;

/** Compiles a probe with a memory of its own and touches every page. Throws Absent without relaxed SIMD. */
export function instantiateProbe(bytes: Uint8Array<ArrayBuffer>, workingSetBytes: number): Run {
  // Node 20 has relaxed SIMD behind a flag; later ones do not know the flag any more.
  if (!WebAssembly.validate(bytes)) v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  if (!WebAssembly.validate(bytes)) throw new Absent('this Node has no relaxed SIMD');
  const memory = new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(workingSetBytes / 65536)) });
  // Untouched pages all map to the one zero page, which would read as if it were cached.
  new Uint8Array(memory.buffer).fill(1);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return exports.run as Run;
}

/** Options: probe, threads, workingSetBytes (all threads together, `read` only). */
export async function prepare(options: Options): Promise<Workload> {
  const kind = options.probe as ProbeKind;
  const nThreads = numberOption(options, 'threads');
  const total = kind === 'read' ? numberOption(options, 'workingSetBytes') : 0;
  const workingSetBytes = Math.ceil(total / nThreads / 128) * 128;
  const { bytes, workPerPass } = buildProbe(kind, workingSetBytes);
  const run = instantiateProbe(bytes, workingSetBytes);
  const signals = new Int32Array(new SharedArrayBuffer(8));
  const passes = new Int32Array(new SharedArrayBuffer(4));
  const others = nThreads - 1;
  const workerData: ProbeThread = { probe: bytes, workingSetBytes, signals, passes };
  for (let i = 0; i < others; i++) new Worker(new URL('../probe-worker.mjs', import.meta.url), { workerData });
  const settled = (finished: number): void => {
    for (let done = Atomics.load(signals, RESULT); done < finished; done = Atomics.load(signals, RESULT)) {
      Atomics.wait(signals, RESULT, done);
    }
  };
  let turn = 0;
  return {
    workPerIteration: workPerPass * nThreads,
    note: `${kind}, ${nThreads} thread${nThreads > 1 ? 's' : ''}${total ? `, ${(total / 1e6).toFixed(0)} MB` : ''}`,
    run(iterations) {
      settled(others * (turn + 1));
      passes[0] = iterations;
      Atomics.store(signals, TURN, ++turn);
      Atomics.notify(signals, TURN);
      run(iterations, workingSetBytes);
      settled(others * (turn + 1));
      return undefined;
    },
  };
}
