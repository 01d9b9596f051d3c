/**
 * Keys and values of one sequence: a pair of tensors [nKvHeads, capacity, headDim] a layer. The
 * capacity exceeds the context by a prefill chunk, so that padded rows have a place to go.
 */
import { byteLength, type TensorType } from '../ir/shape.ts';
import type { CausalModel } from '../model/index.ts';
import type { DeviceBuffer } from '../target/target.ts';
import type { Device } from '../tensor/index.ts';

export type KvCacheType = 'f32' | 'f16';

/** Types of the cached tensors, keys then values of each layer in turn. */
export const cacheTypes = (
  { caches }: Pick<CausalModel, 'caches'>,
  capacity: number,
  dtype: KvCacheType,
): readonly TensorType[] =>
  caches.flatMap(({ nKvHeads, headDim }) => {
    const type: TensorType = { dtype, shape: [nKvHeads, capacity, headDim] };
    return [type, type];
  });

export class KvCache {
  /** Keys then values of each layer in turn. */
  readonly types: readonly TensorType[];
  readonly buffers: readonly DeviceBuffer[];

  constructor(device: Device, model: CausalModel, capacity: number, dtype: KvCacheType) {
    this.types = cacheTypes(model, capacity, dtype);
    this.buffers = this.types.map((type) => device.allocate(byteLength(type)));
    // Positions not yet written are masked, but must hold numbers: 0 * NaN is NaN.
    for (const buffer of this.buffers) device.bytes(buffer).fill(0);
  }

  get sizeBytes(): number {
    return this.buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  }

  dispose(): void {
    for (const buffer of this.buffers) buffer.dispose();
  }
}
