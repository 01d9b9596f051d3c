/** Reductions and running reductions with NumPy's names. `axis`: a number, a list, or null for all axes. */
import * as build from '../../ir/build.ts';
import { type DType, isFloat } from '../../ir/dtype.ts';
import type { Value } from '../../ir/graph.ts';
import { elementCount, normalizeAxis } from '../../ir/shape.ts';
import { asTensor, type TensorLike, toFloat, toValue } from '../promotion.ts';
import { plainDType, Tensor } from '../tensor.ts';

export interface ReduceOptions {
  /** Default null: all axes. */
  readonly axis?: number | readonly number[] | null;
  /** Keeps reduced axes with size 1. */
  readonly keepdims?: boolean;
}

function axesOf(rank: number, axis: ReduceOptions['axis']): number[] {
  if (axis === undefined || axis === null) return Array.from({ length: rank }, (_, i) => i);
  return (typeof axis === 'number' ? [axis] : axis).map((a) => normalizeAxis(a, rank));
}

function reduceValue(x: Value, options: ReduceOptions, f: (x: Value, axes: readonly number[]) => Value): Value {
  const axes = axesOf(x.type.shape.length, options.axis);
  const reduced = f(x, axes);
  return options.keepdims
    ? build.reshape(
        reduced,
        x.type.shape.map((d, i) => (axes.includes(i) ? 1 : d)),
      )
    : reduced;
}

type Reduction = (x: TensorLike, options?: ReduceOptions) => Tensor;

/** Small integers and bool sum in i32. */
const summable = (x: Tensor, name: string): Value => {
  const dtype = plainDType(x, name);
  return isFloat(dtype) || dtype === 'u32' ? x.value : build.cast(x.value, 'i32');
};

export const sum: Reduction = (x, options = {}) =>
  new Tensor(reduceValue(summable(asTensor(x), 'sum'), options, build.reduceSum));
export const prod: Reduction = (x, options = {}) =>
  new Tensor(reduceValue(summable(asTensor(x), 'prod'), options, build.reduceProd));
export const max: Reduction = (x, options = {}) => new Tensor(reduceValue(asTensor(x).value, options, build.reduceMax));
export const min: Reduction = (x, options = {}) => new Tensor(reduceValue(asTensor(x).value, options, build.reduceMin));
export const all: Reduction = (x, options = {}) =>
  new Tensor(reduceValue(toValue(asTensor(x), 'bool'), options, build.reduceAnd));
export const any: Reduction = (x, options = {}) =>
  new Tensor(reduceValue(toValue(asTensor(x), 'bool'), options, build.reduceOr));

/** The arithmetic mean; NaN of an empty range. */
export const mean: Reduction = (x, options = {}) => {
  const value = toFloat(x, 'mean');
  const total = reduceValue(value, options, build.reduceSum);
  const count = axesOf(value.type.shape.length, options.axis).reduce((n, axis) => n * value.type.shape[axis]!, 1);
  return new Tensor(build.div(total, build.full(value.type.dtype as DType, total.type.shape, count)));
};

/** The mean squared distance from the mean. */
export const variance: Reduction = (x, options = {}) => {
  const value = toFloat(x, 'variance');
  const center = mean(new Tensor(value), { axis: options.axis ?? null, keepdims: true });
  const distance = build.sub(value, build.broadcastTo(center.value, value.type.shape));
  return mean(new Tensor(build.mul(distance, distance)), options);
};
export const std: Reduction = (x, options = {}) => new Tensor(build.sqrt(variance(x, options).value));

/** log(sum(exp(x))), without overflow. */
export const logsumexp: Reduction = (x, options = {}) => {
  const value = toFloat(x, 'logsumexp');
  const { dtype, shape } = value.type as { dtype: DType; shape: readonly number[] };
  const peak = reduceValue(value, { axis: options.axis ?? null, keepdims: true }, build.reduceMax);
  const safe = build.select(build.isFinite(peak), peak, build.full(dtype, peak.type.shape, 0));
  const total = reduceValue(build.exp(build.sub(value, build.broadcastTo(safe, shape))), options, build.reduceSum);
  return new Tensor(build.add(build.log(total), build.reshape(safe, total.type.shape)));
};

interface AxisOptions {
  /** Default null: the flattened tensor. */
  readonly axis?: number | null;
}
const alongAxis = (x: TensorLike, { axis = null }: AxisOptions, f: (x: Value, axis: number) => Value): Tensor => {
  const { value } = asTensor(x);
  if (axis === null) return new Tensor(f(build.reshape(value, [elementCount(value.type.shape)]), 0));
  return new Tensor(f(value, normalizeAxis(axis, value.type.shape.length)));
};

/** i32 place of the first greatest element; a NaN counts as greatest. */
export const argmax = (x: TensorLike, options: AxisOptions = {}): Tensor => alongAxis(x, options, build.argmax);
export const argmin = (x: TensorLike, options: AxisOptions = {}): Tensor => alongAxis(x, options, build.argmin);
export const cumsum = (x: TensorLike, options: AxisOptions = {}): Tensor => alongAxis(x, options, build.cumsum);
export const cumprod = (x: TensorLike, options: AxisOptions = {}): Tensor => alongAxis(x, options, build.cumprod);
export const cummax = (x: TensorLike, options: AxisOptions = {}): Tensor => alongAxis(x, options, build.cummax);
export const cummin = (x: TensorLike, options: AxisOptions = {}): Tensor => alongAxis(x, options, build.cummin);

/** Sorts ascending along `axis` (default the last one); stable, NaN last. */
export const sort = (x: TensorLike, options: AxisOptions = { axis: -1 }): Tensor =>
  alongAxis(x, options, (v, axis) => build.sort(v, axis));
/** i32 places that `sort` takes its elements from. */
export const argsort = (x: TensorLike, options: AxisOptions = { axis: -1 }): Tensor =>
  alongAxis(x, options, (v, axis) => build.argsort(v, axis));

/** The k greatest elements along `axis`, greatest first, and their i32 places. */
export function topK(x: Tensor, k: number, axis = -1): { values: Tensor; indices: Tensor } {
  const { values, indices } = build.topK(x.value, k, normalizeAxis(axis, x.ndim));
  return { values: new Tensor(values), indices: new Tensor(indices) };
}
