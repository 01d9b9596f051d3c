/** Elementwise functions with NumPy's names. Operands broadcast and promote; see ../promotion.ts. */
import * as build from '../../ir/build.ts';
import type { DType } from '../../ir/dtype.ts';
import { isFloat } from '../../ir/dtype.ts';
import type { Value } from '../../ir/graph.ts';
import { asTensor, type TensorLike, toFloat, toValue, unifyOperands } from '../promotion.ts';
import { plainDType, Tensor } from '../tensor.ts';

type Unary = (x: TensorLike) => Tensor;
type Binary = (a: TensorLike, b: TensorLike) => Tensor;

/** Keeps the operand's type. */
const unary =
  (name: string, f: (x: Value) => Value): Unary =>
  (x) => {
    const tensor = asTensor(x);
    plainDType(tensor, name);
    return new Tensor(f(tensor.value));
  };
/** Integers become f32 first. */
const floating =
  (name: string, f: (x: Value) => Value): Unary =>
  (x) =>
    new Tensor(f(toFloat(x, name)));
const binary =
  (name: string, f: (a: Value, b: Value) => Value): Binary =>
  (a, b) => {
    const [x, y] = unifyOperands([a, b], name);
    return new Tensor(f(x!, y!));
  };
const logical =
  (name: string, f: (a: Value, b: Value) => Value): Binary =>
  (a, b) => {
    const [x, y] = unifyOperands([a, b], name, 'bool');
    return new Tensor(f(x!, y!));
  };
/** Rounding leaves integers as they are. */
const rounding = (name: string, f: (x: Value) => Value): Unary =>
  unary(name, (x) => (isFloat(x.type.dtype) ? f(x) : x));

export const negative = unary('negative', build.neg);
export const abs = unary('abs', build.abs);
export const sign = unary('sign', build.sign);
export const floor = rounding('floor', build.floor);
export const ceil = rounding('ceil', build.ceil);
/** Rounds halves to even. */
export const round = rounding('round', build.round);
export const sqrt = floating('sqrt', build.sqrt);
/** 1 / sqrt(x). */
export const rsqrt = floating('rsqrt', build.rsqrt);
export const exp = floating('exp', build.exp);
export const expm1 = floating('expm1', build.expm1);
export const log = floating('log', build.log);
export const log1p = floating('log1p', build.log1p);
export const sin = floating('sin', build.sin);
export const cos = floating('cos', build.cos);
export const tan = floating('tan', build.tan);
export const tanh = floating('tanh', build.tanh);
/** The error function. */
export const erf = floating('erf', build.erf);
export const isfinite = floating('isfinite', build.isFinite);
export const isnan = floating('isnan', (x) => build.ne(x, x));
export const square = unary('square', (x) => build.mul(x, x));
/** 1 / x. */
export const reciprocal = floating('reciprocal', (x) =>
  build.div(build.full(x.type.dtype as DType, x.type.shape, 1), x),
);
/** Bitwise not of integers, logical not of bool. */
export const bitwiseNot = unary('bitwiseNot', build.not);
export const logicalNot: Unary = (x) => new Tensor(build.not(toValue(asTensor(x), 'bool')));

export const add = binary('add', build.add);
export const subtract = binary('subtract', build.sub);
export const multiply = binary('multiply', build.mul);
/** True division: integers become f32. */
export const divide: Binary = (a, b) => {
  const [x, y] = unifyOperands([a, b], 'divide');
  return new Tensor(build.div(toFloat(new Tensor(x!), 'divide'), toFloat(new Tensor(y!), 'divide')));
};
/** a - floor(a / b) * b, with the sign of b, as NumPy's `mod`. */
export const mod = binary('mod', (a, b) => {
  const r = build.rem(a, b);
  const zero = build.full(a.type.dtype as DType, a.type.shape, 0);
  const isWrong = build.and(build.ne(r, zero), build.ne(build.lt(r, zero), build.lt(b, zero)));
  return build.select(isWrong, build.add(r, b), r);
});
/** a - trunc(a / b) * b, with the sign of a, as NumPy's `fmod`. */
export const fmod = binary('fmod', build.rem);
export const power = binary('power', build.pow);
export const maximum = binary('maximum', build.max);
export const minimum = binary('minimum', build.min);
export const arctan2 = binary('arctan2', build.atan2);
export const bitwiseAnd = binary('bitwiseAnd', build.and);
export const bitwiseOr = binary('bitwiseOr', build.or);
export const bitwiseXor = binary('bitwiseXor', build.xor);
export const leftShift = binary('leftShift', build.shiftLeft);
export const rightShift = binary('rightShift', build.shiftRight);
export const logicalAnd = logical('logicalAnd', build.and);
export const logicalOr = logical('logicalOr', build.or);
export const logicalXor = logical('logicalXor', build.xor);
export const equal = binary('equal', build.eq);
export const notEqual = binary('notEqual', build.ne);
export const less = binary('less', build.lt);
export const lessEqual = binary('lessEqual', build.le);
export const greater = binary('greater', build.gt);
export const greaterEqual = binary('greaterEqual', build.ge);

/** a where the condition holds, else b. */
export function where(condition: TensorLike, a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = unifyOperands([a, b], 'where');
  const test = toValue(condition, 'bool');
  const [c] = unifyOperands(
    [new Tensor(test), new Tensor(build.broadcast(build.scalar('bool', 0), x!.type.shape, []))],
    'where',
  );
  const shape = c!.type.shape;
  return new Tensor(build.select(c!, build.broadcastTo(x!, shape), build.broadcastTo(y!, shape)));
}

/** Limits values to lower..upper; null leaves a side open. */
export function clip(x: TensorLike, lower: TensorLike | null, upper: TensorLike | null): Tensor {
  const above = lower === null ? asTensor(x) : maximum(x, lower);
  return upper === null ? above : minimum(above, upper);
}

/** The elements as another type: floats to integers truncate and saturate, NaN gives 0. */
export function astype(x: TensorLike, dtype: DType): Tensor {
  const tensor = asTensor(x);
  plainDType(tensor, 'astype');
  return new Tensor(build.cast(tensor.value, dtype));
}
