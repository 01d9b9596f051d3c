/** Meaning of reductions, running reductions, arg-reductions and orderings, lane by lane. */
import { DTYPE_BYTES, type DType, isFloat, isSigned } from '../dtype.ts';
import { type Elements, makeElements } from '../host-tensor.ts';
import type { cumulativeOps, orderingOps, reductionOps } from '../op/reduction.ts';
import { axisAttr, booleanAttr, listAttr } from '../op/rule.ts';
import { type BinaryName, binaryFunction } from './elementwise.ts';
import { permuted } from './movement.ts';
import { lanes, type Rule } from './rule.ts';

type Combine = (a: number, b: number) => number;

/** Least (or greatest) value of a type, infinities included. */
function extreme(dtype: DType, isLeast: boolean): number {
  if (isFloat(dtype)) return isLeast ? -Infinity : Infinity;
  const span = 2 ** (8 * DTYPE_BYTES[dtype] - (isSigned(dtype) ? 1 : 0));
  return isLeast ? (isSigned(dtype) ? -span : 0) : span - 1;
}

/** What nothing combines to, per combining op. */
const identities: Partial<Record<BinaryName, (dtype: DType) => number>> = {
  add: () => 0,
  mul: () => 1,
  max: (dtype) => extreme(dtype, true),
  min: (dtype) => extreme(dtype, false),
  and: (dtype) => (dtype === 'bool' ? 1 : -1),
  or: () => 0,
};

/** Combines two partial results; integers stay within 32 bits, floats in double precision. */
function combineFunction(name: BinaryName, dtype: DType): Combine {
  return name === 'add' && !isFloat(dtype) ? (a, b) => (a + b) | 0 : binaryFunction(name, dtype);
}

const reduceRule =
  (name: BinaryName): Rule =>
  ([x], attrs, type) => {
    const axes = listAttr(attrs, 'axes');
    const { shape } = x!.type;
    const kept = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const data = permuted(x!.data, shape, [...kept, ...axes]);
    const length = axes.reduce((n, axis) => n * shape[axis]!, 1);
    const dtype = type.dtype as DType;
    const combine = combineFunction(name, dtype);
    const out = makeElements(type).fill(identities[name]!(dtype));
    if (data.length === 0) return out;
    for (let o = 0; o < out.length; o++) {
      let result = data[o * length]!;
      for (let i = 1; i < length; i++) result = combine(result, data[o * length + i]!);
      out[o] = result;
    }
    return out;
  };

const cumulativeRule =
  (name: BinaryName): Rule =>
  ([x], attrs, type) => {
    const combine = combineFunction(name, type.dtype as DType);
    const isReverse = booleanAttr(attrs, 'reverse');
    return mapLanes(x!.data, type.shape, axisAttr(attrs, type.shape.length), makeElements(type), (lane, out) => {
      let result = 0;
      for (let n = 0; n < lane.length; n++) {
        const i = isReverse ? lane.length - 1 - n : n;
        result = n === 0 ? lane[i]! : combine(result, lane[i]!);
        out[i] = result;
      }
    });
  };

/** Calls `f` with each lane along an axis and an equally long lane for its results. */
function mapLanes(
  data: Elements,
  shape: readonly number[],
  axis: number,
  out: Elements,
  f: (lane: Float64Array, result: Float64Array) => void,
): Elements {
  const { outer, size, inner } = lanes(shape, axis);
  const lane = new Float64Array(size);
  const result = new Float64Array(size);
  for (let o = 0; o < outer; o++) {
    for (let r = 0; r < inner; r++) {
      const start = o * size * inner + r;
      for (let i = 0; i < size; i++) lane[i] = data[start + i * inner]!;
      f(lane, result);
      for (let i = 0; i < size; i++) out[start + i * inner] = result[i]!;
    }
  }
  return out;
}

/** Order of two numbers for sorting: NaN after all others, zeros equal. */
function order(a: number, b: number, isDescending: boolean): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  const ascending = a < b ? -1 : a > b ? 1 : 0;
  return isDescending ? -ascending : ascending;
}

const sortRule =
  (takes: 'elements' | 'places'): Rule =>
  ([x], attrs, type) => {
    const isDescending = booleanAttr(attrs, 'descending');
    return mapLanes(x!.data, type.shape, axisAttr(attrs, type.shape.length), makeElements(type), (lane, out) => {
      const places = Array.from(lane, (_, i) => i).sort((i, j) => order(lane[i]!, lane[j]!, isDescending));
      places.forEach((place, i) => {
        out[i] = takes === 'places' ? place : lane[place]!;
      });
    });
  };

const argRule =
  (sign: 1 | -1): Rule =>
  ([x], attrs, type) => {
    const { outer, size, inner } = lanes(x!.type.shape, axisAttr(attrs, x!.type.shape.length));
    const out = makeElements(type);
    for (let o = 0, to = 0; o < outer; o++) {
      for (let r = 0; r < inner; r++, to++) {
        const at = (i: number) => sign * x!.data[(o * size + i) * inner + r]!;
        let best = 0;
        for (let i = 1; i < size && !Number.isNaN(at(best)); i++) if (at(i) > at(best) || Number.isNaN(at(i))) best = i;
        out[to] = best;
      }
    }
    return out;
  };

type Name = keyof typeof reductionOps | keyof typeof cumulativeOps | keyof typeof orderingOps;

export const reductionRules: Record<Name, Rule> = {
  reduce_sum: reduceRule('add'),
  reduce_prod: reduceRule('mul'),
  reduce_max: reduceRule('max'),
  reduce_min: reduceRule('min'),
  reduce_and: reduceRule('and'),
  reduce_or: reduceRule('or'),
  argmax: argRule(1),
  argmin: argRule(-1),
  cumsum: cumulativeRule('add'),
  cumprod: cumulativeRule('mul'),
  cummax: cumulativeRule('max'),
  cummin: cumulativeRule('min'),
  sort: sortRule('elements'),
  argsort: sortRule('places'),
};
