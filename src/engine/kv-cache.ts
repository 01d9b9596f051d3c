/**
 * Keys and values of one sequence: a pair of tensors [nKvHeads, capacity, headDim] a layer. The
 * capacity exceeds the context by a prefill chunk, so that padded rows have a place to go.
 */
import type { ElementType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { byteLength, type TensorType } from '../ir/shape.ts';
import type { CausalModel } from '../model/index.ts';
import { CACHE_FORMAT } from '../quant/index.ts';
import type { DeviceBuffer } from '../target/target.ts';
import type { Device } from '../tensor/index.ts';

/** How keys and values are kept: as floats, or as int8 codes in blocks of 32 along a head, 1.125 bytes a number. */
export type KvCacheType = 'f32' | 'f16' | 'q8_0';

const ELEMENT_TYPES: Readonly<Record<KvCacheType, ElementType>> = { f32: 'f32', f16: 'f16', q8_0: CACHE_FORMAT };

/** The element type of a cache whose heads have `headDim` numbers. Throws INVALID_ARGUMENT, UNSUPPORTED_DTYPE. */
function elementType(type: KvCacheType, headDim: number): ElementType {
  if (!Object.hasOwn(ELEMENT_TYPES, type)) {
    const known = Object.keys(ELEMENT_TYPES).join(', ');
    throw new BitloomError('INVALID_ARGUMENT', `kvCacheType is '${type}'; there are ${known}`, { kvCacheType: type });
  }
  const { blockSize } = CACHE_FORMAT;
  if (type === 'q8_0' && headDim % blockSize !== 0) {
    const message = `a q8_0 cache needs heads of a multiple of ${blockSize} numbers, and this model's have ${headDim}; take kvCacheType f16`;
    throw new BitloomError('UNSUPPORTED_DTYPE', message, { headDim, blockSize });
  }
  return ELEMENT_TYPES[type];
}

/** Types of the cached tensors, keys then values of each layer in turn. Throws INVALID_ARGUMENT, UNSUPPORTED_DTYPE. */
export const cacheTypes = (
  { caches }: Pick<CausalModel, 'caches'>,
  capacity: number,
  cacheType: KvCacheType,
): readonly TensorType[] =>
  caches.flatMap(({ nKvHeads, headDim }) => {
    const type: TensorType = { dtype: elementType(cacheType, headDim), shape: [nKvHeads, capacity, headDim] };
    return [type, type];
  });

export class KvCache {
  /** Keys then values of each layer in turn. */
  readonly types: readonly TensorType[];
  readonly buffers: readonly DeviceBuffer[];

  constructor(device: Device, model: CausalModel, capacity: number, type: KvCacheType) {
    this.types = cacheTypes(model, capacity, type);
    // Positions not yet written are masked, but must hold numbers: 0 * NaN is NaN.
    this.buffers = this.types.map((each) => device.allocateZeroed(byteLength(each)));
  }

  get sizeBytes(): number {
    return this.buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  }

  dispose(): void {
    for (const buffer of this.buffers) buffer.dispose();
  }
}
