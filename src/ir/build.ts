/**
 * Typed functions that apply ops of the table, one a primitive: how every layer writes programs.
 * Shapes must fit exactly; NumPy broadcasting is spelled with `broadcast` (see `broadcastTo`).
 */
import type { DType, ElementType } from './dtype.ts';
import { apply, type Op, type Value } from './graph.ts';
import { type HostTensor, hostTensor } from './host-tensor.ts';
import type { ScatterMode } from './op/indexing.ts';
import { ops } from './ops.ts';
import { elementCount, type Shape, sameShape } from './shape.ts';

type Unary = (x: Value) => Value;
type Binary = (a: Value, b: Value) => Value;
const unary =
  (op: Op): Unary =>
  (x) =>
    apply(op, [x]);
const binary =
  (op: Op): Binary =>
  (a, b) =>
    apply(op, [a, b]);

export const input = (index: number, name: string, dtype: ElementType, shape: Shape): Value =>
  apply(ops.input, [], { index, name, dtype, shape });
/** A constant of a host tensor's bytes, which are kept and must not change. */
export const constantOf = ({ type, bytes }: HostTensor): Value => apply(ops.constant, [], { ...type, data: bytes });
export const constant = (dtype: DType, shape: Shape, values: ArrayLike<number>): Value =>
  constantOf(hostTensor(dtype, shape, values));
export const scalar = (dtype: DType, value: number): Value => constant(dtype, [], [value]);
/** One value repeated over a shape. */
export const full = (dtype: DType, shape: Shape, value: number): Value => broadcast(scalar(dtype, value), shape, []);
export const iota = (dtype: DType, shape: Shape, axis: number): Value => apply(ops.iota, [], { dtype, shape, axis });
export const randomBits = (key: Value, shape: Shape): Value => apply(ops.random_bits, [key], { shape });

export const neg = unary(ops.neg);
export const abs = unary(ops.abs);
export const sign = unary(ops.sign);
export const floor = unary(ops.floor);
export const ceil = unary(ops.ceil);
export const round = unary(ops.round);
export const sqrt = unary(ops.sqrt);
export const rsqrt = unary(ops.rsqrt);
export const exp = unary(ops.exp);
export const expm1 = unary(ops.expm1);
export const log = unary(ops.log);
export const log1p = unary(ops.log1p);
export const sin = unary(ops.sin);
export const cos = unary(ops.cos);
export const tan = unary(ops.tan);
export const tanh = unary(ops.tanh);
export const erf = unary(ops.erf);
export const logistic = unary(ops.logistic);
export const not = unary(ops.not);
// biome-ignore lint/suspicious/noShadowRestrictedNames: used as build.isFinite, the name that its op has elsewhere
export const isFinite = unary(ops.is_finite);

export const add = binary(ops.add);
export const sub = binary(ops.sub);
export const mul = binary(ops.mul);
export const div = binary(ops.div);
export const rem = binary(ops.rem);
export const pow = binary(ops.pow);
export const max = binary(ops.max);
export const min = binary(ops.min);
export const atan2 = binary(ops.atan2);
export const and = binary(ops.and);
export const or = binary(ops.or);
export const xor = binary(ops.xor);
export const shiftLeft = binary(ops.shift_left);
export const shiftRight = binary(ops.shift_right);

export const eq = binary(ops.eq);
export const ne = binary(ops.ne);
export const lt = binary(ops.lt);
export const le = binary(ops.le);
export const gt = binary(ops.gt);
export const ge = binary(ops.ge);

export const select = (condition: Value, a: Value, b: Value): Value => apply(ops.select, [condition, a, b]);
/** The value as another type; itself where it has that type already. */
export const cast = (x: Value, dtype: DType): Value => (x.type.dtype === dtype ? x : apply(ops.cast, [x], { dtype }));
/** `shape` is needed for panel types only, whose bytes do not tell the number of rows. */
export const bitcast = (x: Value, dtype: ElementType, shape: Shape | null = null): Value =>
  apply(ops.bitcast, [x], { dtype, shape });

export const broadcast = (x: Value, shape: Shape, axes: readonly number[]): Value =>
  apply(ops.broadcast, [x], { shape, axes });
/** NumPy's broadcast: axes align at the end. Itself where the shape is the same. */
export function broadcastTo(x: Value, shape: Shape): Value {
  const offset = shape.length - x.type.shape.length;
  return sameShape(x.type.shape, shape)
    ? x
    : broadcast(
        x,
        shape,
        x.type.shape.map((_, i) => i + offset),
      );
}
/** The same elements in another shape; itself where it has that shape already. One size may be -1. */
export function reshape(x: Value, shape: Shape): Value {
  const rest = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
  const known = shape.map((d) => (d === -1 && rest > 0 ? elementCount(x.type.shape) / rest : d));
  return sameShape(x.type.shape, known) ? x : apply(ops.reshape, [x], { shape: known });
}
export const transpose = (x: Value, perm: readonly number[]): Value => apply(ops.transpose, [x], { perm });
export const slice = (
  x: Value,
  starts: readonly number[],
  limits: readonly number[],
  strides?: readonly number[],
): Value => apply(ops.slice, [x], { starts, limits, strides: strides ?? starts.map(() => 1) });
/** Elements `start` to before `limit` of one axis. */
export const sliceAxis = (x: Value, axis: number, start: number, limit: number): Value =>
  slice(
    x,
    x.type.shape.map((_, i) => (i === axis ? start : 0)),
    x.type.shape.with(axis, limit),
  );
export const pad = (
  x: Value,
  value: Value,
  low: readonly number[],
  high: readonly number[],
  interior?: readonly number[],
): Value => apply(ops.pad, [x, value], { low, high, interior: interior ?? low.map(() => 0) });
export const reverse = (x: Value, axes: readonly number[]): Value => apply(ops.reverse, [x], { axes });
export const concat = (parts: readonly Value[], axis: number): Value => apply(ops.concat, parts, { axis });

export const gather = (operand: Value, indices: Value, axis: number): Value =>
  apply(ops.gather, [operand, indices], { axis });
export const gatherAlong = (operand: Value, indices: Value, axis: number): Value =>
  apply(ops.gather_along, [operand, indices], { axis });
export const scatter = (
  operand: Value,
  indices: Value,
  updates: Value,
  axis: number,
  mode: ScatterMode = 'set',
): Value => apply(ops.scatter, [operand, indices, updates], { axis, mode });
/** `starts` are scalar integer values, one per axis. */
export const dynamicSlice = (operand: Value, starts: readonly Value[], sizes: readonly number[]): Value =>
  apply(ops.dynamic_slice, [operand, ...starts], { sizes });
export const dynamicUpdateSlice = (operand: Value, update: Value, starts: readonly Value[]): Value =>
  apply(ops.dynamic_update_slice, [operand, update, ...starts]);

const reduction =
  (op: Op) =>
  (x: Value, axes: readonly number[]): Value =>
    apply(op, [x], { axes });
export const reduceSum = reduction(ops.reduce_sum);
export const reduceProd = reduction(ops.reduce_prod);
export const reduceMax = reduction(ops.reduce_max);
export const reduceMin = reduction(ops.reduce_min);
export const reduceAnd = reduction(ops.reduce_and);
export const reduceOr = reduction(ops.reduce_or);
export const argmax = (x: Value, axis: number): Value => apply(ops.argmax, [x], { axis });
export const argmin = (x: Value, axis: number): Value => apply(ops.argmin, [x], { axis });

const cumulative =
  (op: Op) =>
  (x: Value, axis: number, reverse = false): Value =>
    apply(op, [x], { axis, reverse });
export const cumsum = cumulative(ops.cumsum);
export const cumprod = cumulative(ops.cumprod);
export const cummax = cumulative(ops.cummax);
export const cummin = cumulative(ops.cummin);

export const sort = (x: Value, axis: number, descending = false): Value => apply(ops.sort, [x], { axis, descending });
export const argsort = (x: Value, axis: number, descending = false): Value =>
  apply(ops.argsort, [x], { axis, descending });
/** The k greatest elements of each lane, greatest first, and their i32 places; NaN comes last. */
export function topK(x: Value, k: number, axis: number): { values: Value; indices: Value } {
  const indices = sliceAxis(argsort(x, axis, true), axis, 0, k);
  return { values: gatherAlong(x, indices, axis), indices };
}

/** Axes of a `dot_general`; batch axes default to none, the result type to f32 or i32. */
export interface DotAxes {
  readonly lhsContract: readonly number[];
  readonly rhsContract: readonly number[];
  readonly lhsBatch?: readonly number[];
  readonly rhsBatch?: readonly number[];
  readonly resultDtype?: DType;
}
export const dotGeneral = (lhs: Value, rhs: Value, axes: DotAxes): Value =>
  apply(ops.dot_general, [lhs, rhs], { lhsBatch: [], rhsBatch: [], ...axes });

/** Windows of a `conv`, one entry per spatial axis; absent ones are 1, paddings 0. */
export interface ConvWindow {
  readonly strides?: readonly number[];
  readonly padLow?: readonly number[];
  readonly padHigh?: readonly number[];
  readonly lhsDilation?: readonly number[];
  readonly rhsDilation?: readonly number[];
  readonly groups?: number;
  readonly resultDtype?: DType;
}
export function conv(x: Value, w: Value, window: ConvWindow = {}): Value {
  const ones = x.type.shape.slice(2).map(() => 1);
  const zeros = ones.map(() => 0);
  const defaults = { strides: ones, padLow: zeros, padHigh: zeros, lhsDilation: ones, rhsDilation: ones, groups: 1 };
  return apply(ops.conv, [x, w], { ...defaults, ...window });
}
