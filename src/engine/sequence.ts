/** One token sequence on a device: prefill in chunks, decode one by one, or score a text. */
import { BitloomError } from '../ir/error.ts';
import type { CausalModel } from '../model/index.ts';
import type { Device } from '../tensor/index.ts';
import { KvCache, type KvCacheType } from './kv-cache.ts';
import { StepProgram, type StepResult, type Weights } from './step-program.ts';

/** Tokens per step: a step is padded to the next of these. The last is the prefill chunk. */
const STEP_SIZES = [1, 8, 16, 32, 64, 128] as const;
export const PREFILL_CHUNK = STEP_SIZES[STEP_SIZES.length - 1]!;

/** Rejects with the signal's reason as cause once it fired. Throws ABORTED. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new BitloomError('ABORTED', 'the call was aborted by its signal', {}, { cause: signal.reason });
}

export class Sequence {
  readonly contextLength: number;
  readonly cache: KvCache;
  readonly #device: Device;
  readonly #model: CausalModel;
  readonly #weights: Weights;
  readonly #programs = new Map<string, Promise<StepProgram>>();
  #length = 0;

  constructor(device: Device, model: CausalModel, weights: Weights, contextLength: number, cacheType: KvCacheType) {
    this.contextLength = contextLength;
    this.#device = device;
    this.#model = model;
    this.#weights = weights;
    this.cache = new KvCache(device, model, contextLength + PREFILL_CHUNK, cacheType);
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
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

  /** Appends tokens and gives the logits [vocabSize] after the last one; a view that the next call overwrites. Throws ABORTED, CONTEXT_OVERFLOW. */
  async append(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.#requireRoom(tokens.length);
    let logits = new Float32Array(0);
    for (let done = 0; done < tokens.length; done += PREFILL_CHUNK) {
      throwIfAborted(signal);
      const chunk = tokens.slice(done, done + PREFILL_CHUNK);
      const program = await this.program(chunk.length);
      logits = (await program.run(chunk, this.#length, [chunk.length - 1])) as Float32Array<ArrayBuffer>;
      this.#length += chunk.length;
    }
    return logits;
  }

  /** Loss in nats of each token but the first, given those before it. Starts from an empty cache. */
  async score(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.reset();
    this.#requireRoom(tokens.length);
    const losses = new Float32Array(Math.max(0, tokens.length - 1));
    for (let done = 0; done < losses.length; done += PREFILL_CHUNK) {
      throwIfAborted(signal);
      const chunk = tokens.slice(done, Math.min(done + PREFILL_CHUNK, losses.length));
      const program = await this.program(chunk.length, 'losses');
      const result = await program.run(chunk, this.#length, tokens.slice(done + 1, done + 1 + chunk.length));
      losses.set(result.subarray(0, chunk.length), done);
      this.#length += chunk.length;
    }
    return losses;
  }

  #requireRoom(count: number): void {
    if (this.#length + count <= this.contextLength) return;
    throw new BitloomError(
      'CONTEXT_OVERFLOW',
      `${this.#length + count} tokens do not fit the context of ${this.contextLength}; shorten the prompt or load with a larger contextLength`,
      { tokens: this.#length + count, contextLength: this.contextLength },
    );
  }

  async dispose(): Promise<void> {
    for (const program of this.#programs.values()) (await program).dispose();
    this.cache.dispose();
  }
}
