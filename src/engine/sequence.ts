/** One token sequence on a device: prefill in chunks, decode one by one, or score a text. */
import { BitloomError } from '../ir/error.ts';
import type { CausalModel } from '../model/index.ts';
import type { Pause } from '../target/target.ts';
import type { Device } from '../tensor/index.ts';
import { KvCache, type KvCacheType } from './kv-cache.ts';
import { disposedError } from './request-queue.ts';
import { StepProgram, type StepResult, type Weights } from './step-program.ts';

/** Tokens per step: a step is padded to the next of these. The last is the prefill chunk. */
export const STEP_SIZES = [1, 8, 16, 32, 64, 128] as const;
export const PREFILL_CHUNK = STEP_SIZES[STEP_SIZES.length - 1]!;

export class Sequence {
  readonly contextLength: number;
  readonly cache: KvCache;
  readonly #device: Device;
  readonly #model: CausalModel;
  readonly #weights: Weights;
  readonly #programs = new Map<string, Promise<StepProgram>>();
  /** Tokens whose keys and values the cache holds. A step that fails or is aborted adds none. */
  readonly #tokens: number[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #isDisposed = false;

  constructor(device: Device, model: CausalModel, weights: Weights, contextLength: number, cacheType: KvCacheType) {
    this.contextLength = contextLength;
    this.#device = device;
    // Models whose positions change with the context (longrope) learn its length with each step.
    this.#model = { ...model, forward: (byName, step) => model.forward(byName, { ...step, contextLength }) };
    this.#weights = weights;
    this.cache = new KvCache(device, model, contextLength + PREFILL_CHUNK, cacheType);
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#tokens.length;
  }

  /** Logits that a step gives. */
  get vocabSize(): number {
    return this.#model.vocabSize;
  }

  reset(): void {
    this.#tokens.length = 0;
  }

  /**
   * Makes the cache hold the longest beginning of `tokens` that it has already, but not the last token, whose
   * logits are wanted. Returns its length: `append` the rest.
   */
  rewind(tokens: readonly number[]): number {
    let shared = 0;
    while (shared < tokens.length - 1 && this.#tokens[shared] === tokens[shared]) shared++;
    this.#tokens.length = Math.min(this.#tokens.length, shared);
    return this.#tokens.length;
  }

  /** The program for a step of at least `count` tokens; compiled on first use. */
  program(count: number, result: StepResult = 'logits'): Promise<StepProgram> {
    const seqLen = STEP_SIZES.find((size) => size >= count) ?? PREFILL_CHUNK;
    const key = `${result}${seqLen}`;
    const program =
      this.#programs.get(key) ??
      StepProgram.compile(this.#device, this.#model, this.#weights, this.cache, seqLen, result);
    this.#programs.set(key, program);
    return program;
  }

  /**
   * Appends tokens and gives the logits [vocabSize] after the last one; a view that the next call overwrites.
   * `pause` is awaited before each step and within long ones; where it throws, the cache holds the steps before.
   * Throws CONTEXT_OVERFLOW, and what `pause` throws.
   */
  append(tokens: readonly number[], pause?: Pause): Promise<Float32Array> {
    return this.#run(async () => {
      this.requireRoom(this.length + tokens.length);
      let logits: Float32Array = new Float32Array(0);
      for (let done = 0; done < tokens.length; done += PREFILL_CHUNK) {
        const chunk = tokens.slice(done, done + PREFILL_CHUNK);
        logits = await this.#step(chunk, 'logits', [chunk.length - 1], pause);
      }
      return logits;
    });
  }

  /** Loss in nats of each token but the first, given those before it. Starts from an empty cache. */
  score(tokens: readonly number[], pause?: Pause): Promise<Float32Array> {
    return this.#run(async () => {
      this.requireRoom(tokens.length);
      this.reset();
      const losses = new Float32Array(Math.max(0, tokens.length - 1));
      for (let done = 0; done < losses.length; done += PREFILL_CHUNK) {
        const chunk = tokens.slice(done, Math.min(done + PREFILL_CHUNK, losses.length));
        const targets = tokens.slice(done + 1, done + 1 + chunk.length);
        const result = await this.#step(chunk, 'losses', targets, pause);
        losses.set(result.subarray(0, chunk.length), done);
      }
      return losses;
    });
  }

  /** One step; `pick` and the result are those of `StepProgram.run`. */
  async #step(
    chunk: readonly number[],
    result: StepResult,
    pick: readonly number[],
    pause: Pause | undefined,
  ): Promise<Float32Array> {
    const pauseHere = async (): Promise<void> => {
      await pause?.();
      if (this.#isDisposed) throw disposedError();
    };
    await pauseHere();
    const program = await this.program(chunk.length, result);
    const view = await program.run(chunk, this.length, pick, pauseHere);
    this.#tokens.push(...chunk);
    return view;
  }

  /**
   * Compiles anew the programs that there are, after the device learnt better schedules. No step may run. Where it is
   * aborted, what was not made yet is made when it is wanted.
   */
  async renewPrograms(signal: AbortSignal): Promise<void> {
    for (const [key, old] of [...this.#programs]) {
      this.#programs.delete(key);
      await old.then(
        (program) => program.dispose(),
        () => {},
      );
      if (signal.aborted || this.#isDisposed) continue;
      const [, result, count] = /^(logits|losses)(\d+)$/.exec(key)!;
      await this.program(Number(count), result as StepResult);
    }
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    const running = work();
    this.#running = running.catch(() => {});
    return running;
  }

  /** Throws CONTEXT_OVERFLOW where the context does not hold `count` tokens. */
  requireRoom(count: number): void {
    if (count <= this.contextLength) return;
    throw new BitloomError(
      'CONTEXT_OVERFLOW',
      `${count} tokens do not fit the context of ${this.contextLength}; shorten the prompt or load with a larger contextLength`,
      { tokens: count, contextLength: this.contextLength },
    );
  }

  /** Ends the step that runs, which rejects with DISPOSED, and frees the cache. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    await this.#running;
    const free = (program: StepProgram): void => program.dispose();
    for (const program of this.#programs.values()) await program.then(free, () => {}); // one that failed to compile told its caller
    this.cache.dispose();
  }
}
