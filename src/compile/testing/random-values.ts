/** Contents of random tensors: ordinary numbers mixed with the ones that break kernels. */
import { DTYPE_BYTES, type DType, isFloat, isPacked, isSigned } from '../../ir/dtype.ts';
import { type HostTensor, hostTensor } from '../../ir/host-tensor.ts';
import { elementCount, type TensorType } from '../../ir/shape.ts';
import { numbersFrom } from '../../kernel/testing/index.ts';
import { pack } from '../../quant/index.ts';

/**
 * NaN, infinities, zeros, denormals, large and small. Finite numbers stay below 2^60: sums that
 * overflow in f32 and not in the reference's double precision are a difference of precision, not an error.
 */
const SPECIAL_FLOATS = [
  0,
  -0,
  1,
  -1,
  NaN,
  Infinity,
  -Infinity,
  1e-40,
  -3e-42,
  2 ** 40,
  -(2 ** 33),
  0.5,
  2,
  1e-20,
  -1.5,
];

function specialIntegers(dtype: DType): number[] {
  const span = 2 ** (8 * DTYPE_BYTES[dtype] - (isSigned(dtype) ? 1 : 0));
  return [0, 1, 2, span - 1, isSigned(dtype) ? -span : span >> 1, isSigned(dtype) ? -1 : 255];
}

function element(dtype: DType, next: () => number, isTame: boolean): number {
  const draw = next();
  if (dtype === 'bool') return draw & 1;
  const isSpecial = !isTame && draw % 5 === 0;
  if (isFloat(dtype)) {
    if (isSpecial) return SPECIAL_FLOATS[next() % SPECIAL_FLOATS.length]!;
    return draw % 3 === 0 ? (next() % 9) - 4 : ((next() % 8001) - 4000) / 1000;
  }
  const special = specialIntegers(dtype);
  if (isSpecial) return special[next() % special.length]!;
  return isSigned(dtype) ? (next() % 25) - 12 : next() % 25;
}

/** A tensor of a type; `isTame` leaves out special numbers. */
export function randomTensor(type: TensorType, seed: number, isTame = false): HostTensor {
  const next = numbersFrom(seed);
  const { dtype, shape } = type;
  if (isPacked(dtype)) {
    const values = Float32Array.from({ length: elementCount(shape) }, () => element('f32', next, true));
    return { type, bytes: pack(dtype, values, shape.at(-1) ?? 0) };
  }
  return hostTensor(
    dtype,
    shape,
    Array.from({ length: elementCount(shape) }, () => element(dtype, next, isTame)),
  );
}
