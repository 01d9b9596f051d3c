/**
 * Rewrites contractions that no hot kernel takes into products and sums over broadcast views. Fusion
 * makes one kernel of each: nothing is stored but the result.
 */
import {
  add,
  broadcast,
  cast,
  full,
  gather,
  iota,
  mul,
  pad,
  reduceSum,
  reshape,
  scalar,
  transpose,
} from '../../ir/build.ts';
import { type DType, isFloat } from '../../ir/dtype.ts';
import type { Value } from '../../ir/graph.ts';

const numbers = (value: Value, key: string): readonly number[] => value.attrs[key] as readonly number[];

/** The type in which products are summed. */
const sumType = (dtype: DType): DType => (isFloat(dtype) ? 'f32' : dtype === 'u32' ? 'u32' : 'i32');

/** Products to be summed from +0 on, as contractions are: a -0 alone would stay -0 in a plain sum. */
function products(a: Value, b: Value): Value {
  const product = mul(a, b);
  return product.type.dtype === 'f32' ? add(product, full('f32', product.type.shape, 0)) : product;
}

/** sum over k of lhs[batch, m, k] * rhs[batch, n, k], as broadcast, multiply, reduce. */
function dotGeneral(value: Value): Value {
  const [lhs, rhs] = value.inputs as [Value, Value];
  const wide = sumType(lhs.type.dtype as DType);
  const [lc, lb, rc, rb] = ['lhsContract', 'lhsBatch', 'rhsContract', 'rhsBatch'].map((key) => numbers(value, key)) as [
    readonly number[],
    readonly number[],
    readonly number[],
    readonly number[],
  ];
  const free = (x: Value, ...used: (readonly number[])[]) =>
    x.type.shape.map((_, axis) => axis).filter((axis) => !used.flat().includes(axis));
  const [lf, rf] = [free(lhs, lc, lb), free(rhs, rc, rb)];
  const sizes = (x: Value, axes: readonly number[]) => axes.map((axis) => x.type.shape[axis]!);
  const shape = [...sizes(lhs, lb), ...sizes(lhs, lf), ...sizes(rhs, rf), ...sizes(lhs, lc)];
  const range = (from: number, length: number) => Array.from({ length }, (_, i) => from + i);
  const batch = range(0, lb.length);
  const contracted = range(shape.length - lc.length, lc.length);
  const spread = (x: Value, perm: readonly number[], axes: readonly number[]) =>
    broadcast(transpose(cast(x, wide), perm), shape, axes);
  const left = spread(lhs, [...lb, ...lf, ...lc], [...batch, ...range(lb.length, lf.length), ...contracted]);
  const right = spread(
    rhs,
    [...rb, ...rf, ...rc],
    [...batch, ...range(lb.length + lf.length, rf.length), ...contracted],
  );
  return cast(reduceSum(products(left, right), contracted), value.type.dtype as DType);
}

/** Zeros between and around the elements of x, then windows by gathering, then products and sums. */
function conv(value: Value): Value {
  const [x, w] = value.inputs as [Value, Value];
  const wide = sumType(x.type.dtype as DType);
  const groups = value.attrs.groups as number;
  const [strides, low, high, spread, dilation] = ['strides', 'padLow', 'padHigh', 'lhsDilation', 'rhsDilation'].map(
    (key) => numbers(value, key),
  ) as [readonly number[], readonly number[], readonly number[], readonly number[], readonly number[]];
  const rank = strides.length;
  const around = (sizes: readonly number[]) => [0, 0, ...sizes];
  let patches = pad(cast(x, wide), scalar(wide, 0), around(low), around(high), around(spread.map((n) => n - 1)));
  const [places, window] = [value.type.shape.slice(2), w.type.shape.slice(2)];
  for (let axis = 0; axis < rank; axis++) {
    const shape = [places[axis]!, window[axis]!];
    const step = (along: number, by: number) => mul(iota('i32', shape, along), full('i32', shape, by));
    patches = gather(patches, add(step(0, strides[axis]!), step(1, dilation[axis]!)), 2 + 2 * axis);
  }
  // patches: [batch, groups * channels, place, window, place, window, ...]
  const [batch, channels, perGroup] = [x.type.shape[0]!, w.type.shape[1]!, w.type.shape[0]! / groups];
  const range = Array.from({ length: rank }, (_, i) => i);
  const cut = reshape(patches, [batch, groups, channels, ...patches.type.shape.slice(2)]);
  const sorted = transpose(cut, [0, 1, ...range.map((i) => 3 + 2 * i), 2, ...range.map((i) => 4 + 2 * i)]);
  const shape = [batch, groups, perGroup, ...places, channels, ...window];
  const contracted = [3 + rank, ...range.map((i) => 4 + rank + i)];
  const left = broadcast(sorted, shape, [0, 1, ...range.map((i) => 3 + i), ...contracted]);
  const weights = reshape(cast(w, wide), [groups, perGroup, channels, ...window]);
  const right = broadcast(weights, shape, [1, 2, ...contracted]);
  return cast(reshape(reduceSum(products(left, right), contracted), value.type.shape), value.type.dtype as DType);
}

/** The sums and products that a contraction stands for. */
export const decomposeContraction = (value: Value): Value =>
  value.op.name === 'conv' ? conv(value) : dotGeneral(value);
