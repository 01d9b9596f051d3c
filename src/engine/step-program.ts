/**
 * The compiled step of a model: tokens in, logits out, caches updated in place. One program per
 * number of tokens; running one allocates nothing.
 */
import { byteLength, type Shape, type TensorType } from '../ir/shape.ts';
import type { CausalModel, LayerCache } from '../model/index.ts';
import type { DeviceBuffer, Pause } from '../target/target.ts';
import { type Device, type DeviceProgram, type Donation, numpy as np, type Tensor, trace } from '../tensor/index.ts';
import type { KvCache } from './kv-cache.ts';

export type Weights = (name: string) => Tensor;

/** What a step gives beside the caches: the next token's logits [vocabSize], or each token's loss [seqLen]. */
export type StepResult = 'logits' | 'losses';

const i32 = (shape: Shape): TensorType => ({ dtype: 'i32', shape });

/** Negative log-likelihood in nats of targets [seqLen] i32 under logits [seqLen, vocabSize]. */
function losses(logits: Tensor, targets: Tensor): Tensor {
  const chosen = np.takeAlongAxis(logits, np.reshape(targets, [targets.size, 1]), 1);
  return np.subtract(np.logsumexp(logits, { axis: 1 }), np.reshape(chosen, [targets.size]));
}

export class StepProgram {
  readonly seqLen: number;
  readonly #device: Device;
  readonly #program: DeviceProgram;
  readonly #controls: { tokens: DeviceBuffer; start: DeviceBuffer; pick: DeviceBuffer };
  readonly #result: DeviceBuffer;
  readonly #inputs: DeviceBuffer[];
  readonly #outputs: DeviceBuffer[];

  private constructor(
    device: Device,
    program: DeviceProgram,
    seqLen: number,
    cache: KvCache,
    weights: readonly DeviceBuffer[],
  ) {
    this.seqLen = seqLen;
    this.#device = device;
    this.#program = program;
    const allocate = (type: TensorType) => device.allocate(byteLength(type));
    const [tokens, start, pick] = program.inputs.slice(0, 3).map(allocate) as [
      DeviceBuffer,
      DeviceBuffer,
      DeviceBuffer,
    ];
    this.#controls = { tokens, start, pick };
    this.#result = allocate(program.outputs[0]!);
    this.#inputs = [tokens, start, pick, ...cache.buffers, ...weights];
    this.#outputs = [this.#result, ...cache.buffers];
  }

  /** Traces and compiles a step of `seqLen` tokens. Throws UNSUPPORTED_OP, OUT_OF_MEMORY. */
  static async compile(
    device: Device,
    model: CausalModel,
    weights: Weights,
    cache: KvCache,
    seqLen: number,
    result: StepResult,
  ): Promise<StepProgram> {
    const pickType = i32([result === 'logits' ? 1 : seqLen]);
    const step = (tokens: Tensor, start: Tensor, pick: Tensor, ...flat: Tensor[]): Tensor[] => {
      const caches: LayerCache[] = model.caches.map((_, i) => ({ keys: flat[2 * i]!, values: flat[2 * i + 1]! }));
      const positions = np.add(np.arange(seqLen), start);
      const { hidden, caches: next } = model.forward(weights, { tokens, start, positions, caches });
      const rows = result === 'logits' ? np.take(hidden, pick, 0) : hidden;
      const logits = model.logits(weights, rows);
      const answer = result === 'logits' ? np.reshape(logits, [model.vocabSize]) : losses(logits, pick);
      return [answer, ...next.flatMap(({ keys, values }) => [keys, values])];
    };
    const traced = trace(step, [i32([seqLen]), i32([1]), pickType, ...cache.types]);
    const donate: Donation[] = cache.types.map((_, i) => ({ input: 3 + i, output: 1 + i }));
    const program = await device.compile(traced.graph, { donate, name: `${result}${seqLen}` });
    return new StepProgram(
      device,
      program,
      seqLen,
      cache,
      traced.sources.map((source) => source.on(device)),
    );
  }

  #set(buffer: DeviceBuffer, values: ArrayLike<number>): void {
    const bytes = this.#device.bytes(buffer);
    const view = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    view.fill(0);
    view.set(values);
  }

  /**
   * Runs tokens (at most `seqLen`; the rest is padding) at positions from `start` on. `pick`: the row
   * whose logits are wanted, or the target ids. Gives a view of the result that the next run overwrites.
   * Where `pause` throws half-way, the caches hold what they held at the positions before `start`.
   */
  async run(tokens: readonly number[], start: number, pick: readonly number[], pause?: Pause): Promise<Float32Array> {
    this.#set(this.#controls.tokens, tokens);
    this.#set(this.#controls.start, [start]);
    this.#set(this.#controls.pick, pick);
    await this.#program.run(this.#inputs, this.#outputs, pause);
    const bytes = this.#device.bytes(this.#result);
    return new Float32Array(bytes.buffer, bytes.byteOffset, this.#program.outputs[0]!.shape[0]!);
  }

  /** The compiled program as text. */
  explain(): string {
    return this.#program.explain();
  }

  dispose(): void {
    for (const buffer of [...Object.values(this.#controls), this.#result]) buffer.dispose();
    this.#program.dispose();
  }
}
