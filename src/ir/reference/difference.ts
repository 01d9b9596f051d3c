/** Compares a result with an expected tensor within a bound. */
import { dtypeName, isFloat } from '../dtype.ts';
import { numberToBf16, numberToF16 } from '../float16.ts';
import { elementsOf, type HostTensor } from '../host-tensor.ts';
import { typeName } from '../op/rule.ts';
import { sameShape } from '../shape.ts';
import type { Bound } from './bounds.ts';

/** Position of a float among all floats of its type: neighbours differ by 1, both zeros are 0. */
function floatRank(value: number, dtype: string): number {
  const magnitude = Math.abs(value);
  const bits =
    dtype === 'f16'
      ? numberToF16(magnitude)
      : dtype === 'bf16'
        ? numberToBf16(magnitude)
        : new Uint32Array(Float32Array.of(magnitude).buffer)[0]!;
  return value < 0 ? -bits : bits;
}

function isNear(actual: number, expected: number, dtype: string, bound: Bound, magnitude: number): boolean {
  if (Object.is(actual, expected) || (Number.isNaN(actual) && Number.isNaN(expected))) return true;
  if (bound.kind === 'exact' || !isFloat(dtype as 'f32')) return false;
  if (actual === expected) return true;
  if (bound.kind === 'value' || Number.isNaN(actual) || Number.isNaN(expected)) return false;
  const steps = Math.abs(floatRank(actual, dtype) - floatRank(expected, dtype));
  if (bound.kind === 'ulps') return steps <= bound.ulps;
  // Results of 16 bits may also fall to the other side of a rounding boundary.
  return Math.abs(actual - expected) <= bound.error * magnitude || (dtype !== 'f32' && steps <= 1);
}

/** The first element that is out of bounds, told in words; null if there is none and the types agree. */
export function differenceFrom(expected: HostTensor, actual: HostTensor, bound: Bound): string | null {
  const dtype = dtypeName(expected.type.dtype);
  if (dtypeName(actual.type.dtype) !== dtype || !sameShape(actual.type.shape, expected.type.shape)) {
    return `type ${typeName(actual.type)} instead of ${typeName(expected.type)}`;
  }
  const [want, got] = [elementsOf(expected), elementsOf(actual)];
  const magnitude = Array.from(want, Math.abs)
    .filter(Number.isFinite)
    .reduce((a, b) => Math.max(a, b), 0);
  for (let i = 0; i < want.length; i++) {
    if (!isNear(got[i]!, want[i]!, dtype, bound, magnitude)) return `element ${i} is ${got[i]} instead of ${want[i]}`;
  }
  return null;
}
