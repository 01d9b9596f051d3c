/** For tests: random kernels as machine code for every feature set, as WebAssembly, and by the interpreter. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BUFFER_BYTES,
  decisionsOf,
  difference,
  isFloatBuffer,
  type RandomKernel,
  randomBuffers,
  randomKernel,
} from '../../kernel/testing/index.ts';
import type { NativeHost } from '../../platform/index.ts';
import * as wasm from '../wasm/lower.fixture.ts';
import { type availability, Bench, lawful } from './lower.fixture.ts';

type FeatureSet = Awaited<ReturnType<typeof availability>>[number];

/** A kernel that went wrong: what to look at, and how to get it again. */
export interface Failure {
  readonly seed: number;
  readonly target: string;
  readonly what: string;
}

/** Kernels of one piece of code. */
const BATCH = 25;
/** Of kernels for machines of 4 lanes, one in so many runs as WebAssembly, too. */
const WASM_STRIDE = 8;
/** One kernel in so many uses operations that few machines have. */
const EXTRAS_STRIDE = 8;

/** The widest vectors of a seed's kernel. */
export const lanesOf = (seed: number): number => [16, 4, 16, 8][seed % 4]!;
const hasExtras = (seed: number): boolean => (seed >>> 2) % EXTRAS_STRIDE === 0;

/** What a seed's kernel works on: the same for neighbours. */
export const buffersOf = (seed: number): Uint8Array[] => randomBuffers(Math.floor(seed / BATCH));

/** The kernel that a seed stands for. */
export const kernelOf = (seed: number): RandomKernel =>
  randomKernel(decisionsOf(seed), lanesOf(seed), { expand: hasExtras(seed), dotBf16: hasExtras(seed) });

/** Runs the kernels of seeds everywhere; gives what went wrong and how many runs there were by target. */
export class RandomRuns {
  readonly runs = new Map<string, number>();
  readonly #bench: Bench;
  readonly #sets: readonly FeatureSet[];
  /** A file that names the kernel which is running: wrong code may end the process. */
  readonly logPath = join(tmpdir(), `bitloom-x64-kernel-${process.pid}.txt`);
  readonly #log: number;

  constructor(host: NativeHost, sets: readonly FeatureSet[]) {
    this.#bench = new Bench(host, BUFFER_BYTES);
    this.#sets = sets;
    this.#log = openSync(this.logPath, 'w');
  }

  dispose(): void {
    this.#bench.dispose();
    closeSync(this.#log);
    rmSync(this.logPath);
  }

  /** Feature sets that a seed's kernel is for. Without further operations, those that only add such make the same code. */
  #setsOf(seed: number): readonly FeatureSet[] {
    return this.#sets.filter(
      ({ lanes, features }) => lanes >= lanesOf(seed) && hasExtras(seed) === (features.expand && features.bf16),
    );
  }

  /** Runs the kernels of seeds `from`, `from` + 1 ... on feature sets, all of those they are for unless told. */
  async run(from: number, count: number, every = true): Promise<Failure[]> {
    const failures: Failure[] = [];
    for (let first = from; first < from + count; ) {
      const end = Math.min(from + count, (Math.floor(first / BATCH) + 1) * BATCH);
      const seeds = Array.from({ length: end - first }, (_, i) => first + i);
      failures.push(...(await this.#batch(seeds, every)));
      first = end;
    }
    return failures;
  }

  async #batch(seeds: readonly number[], every: boolean): Promise<Failure[]> {
    const buffers = buffersOf(seeds[0]!);
    const cases = seeds.map((seed) => {
      const { kernel, threads } = kernelOf(seed);
      const sets = this.#setsOf(seed);
      const chosen = every ? sets : sets.slice((seed >>> 2) % Math.max(1, sets.length)).slice(0, 1);
      return { seed, kernel, threads, sets: chosen, wanted: lawful(kernel, buffers, threads) };
    });
    const jobs = cases.flatMap((one) => one.sets.map(({ features, name }) => ({ ...one, features, name })));
    const failures: Failure[] = [];
    const note = (seed: number, target: string, found: readonly Uint8Array[], wanted: readonly Uint8Array[]): void => {
      this.runs.set(target, (this.runs.get(target) ?? 0) + 1);
      const what = difference(found, wanted, isFloatBuffer);
      if (what !== undefined) failures.push({ seed, target, what });
    };
    this.#bench.compiled(jobs, (runs) => {
      for (const [i, { seed, name, threads, wanted }] of jobs.entries()) {
        writeSync(this.#log, `seed ${seed} with ${name}\n`.padEnd(80), 0);
        note(seed, name, runs[i]!(buffers, threads), wanted);
      }
    });
    for (const { seed, kernel, threads, wanted } of cases) {
      if (lanesOf(seed) !== 4 || threads !== 1 || hasExtras(seed) || (seed >>> 2) % WASM_STRIDE !== 1) continue;
      note(seed, 'wasm', (await wasm.lower(kernel, wasm.PLAIN))(buffers, threads), wanted);
      note(seed, 'wasm, relaxed', (await wasm.lower(kernel, wasm.RELAXED))(buffers, threads), wanted);
    }
    return failures;
  }
}
