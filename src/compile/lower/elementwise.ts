/** The elementwise ops in the kernel language, on register forms of any lanes. Rows follow ir/op/elementwise.ts. */
import { DTYPE_BYTES, type DType, isFloat } from '../../ir/dtype.ts';
import { BitloomError } from '../../ir/error.ts';
import {
  and,
  type BinaryOp,
  binary,
  constant,
  type Expr,
  mul,
  or,
  select,
  sub,
  unary,
} from '../../kernel/expression.ts';
import type { KernelBuilder } from '../../kernel/language.ts';
import * as math from '../../kernel/math.ts';
import { REGISTER, wrap } from './element-type.ts';

/** One op on registers. `from` is the operands' type (of the last operand), `to` the result's. */
type Row = (k: KernelBuilder, operands: readonly Expr[], from: DType, to: DType) => Expr;

const not = (mask: Expr): Expr => unary('not', mask);
const like = (x: Expr, value: number): Expr => constant(x.type, value);
const isMask = (x: Expr): boolean => x.type.element === 'mask';
const isUnsigned = (dtype: DType): boolean => dtype === 'u32' || dtype === 'u8';

const direct =
  (op: BinaryOp): Row =>
  (_, [a, b]) =>
    binary(op, a!, b!);
const function1 =
  (f: (k: KernelBuilder, x: Expr) => Expr): Row =>
  (k, [x]) =>
    f(k, x!);
const function2 =
  (f: (k: KernelBuilder, a: Expr, b: Expr) => Expr): Row =>
  (k, [a, b]) =>
    f(k, a!, b!);
const extremum =
  (op: 'min' | 'max'): Row =>
  (_, [a, b], from) =>
    binary(from === 'u32' ? `${op}_u` : op, a!, b!);

/** Ordering of two registers; for bool, false < true. */
const compare =
  (op: 'lt' | 'le' | 'gt' | 'ge'): Row =>
  (_, [a, b], from) => {
    if (from === 'bool') return binary(op, unary('mask_to_i32', a!), unary('mask_to_i32', b!));
    return binary(from === 'u32' ? `${op}_u` : op, a!, b!);
  };

/** Quotient or remainder of scalar integers with the table's answers for zero and overflow. */
function integerDivide(k: KernelBuilder, a: Expr, b: Expr, dtype: DType, what: 'div' | 'rem'): Expr {
  const isZero = k.let(binary('eq', b, 0));
  const onZero = what === 'div' ? like(a, -1) : a;
  if (isUnsigned(dtype)) return select(isZero, onZero, binary(`${what}_u`, a, select(isZero, like(b, 1), b)));
  const isMinusOne = binary('eq', b, -1);
  const safe = k.let(select(binary('or', isZero, isMinusOne), like(b, 1), b));
  const onMinusOne = what === 'div' ? sub(like(a, 0), a) : like(a, 0);
  return select(isZero, onZero, select(isMinusOne, onMinusOne, binary(`${what}_s`, a, safe)));
}

/** a^b modulo 2^32 by squaring; a negative exponent truncates the reciprocal. */
function integerPower(k: KernelBuilder, a: Expr, b: Expr, dtype: DType): Expr {
  const result = k.variable(like(a, 1));
  const base = k.variable(a);
  const exponent = k.variable(b);
  const isNegative = isUnsigned(dtype) ? undefined : k.let(binary('lt', b, 0));
  if (isNegative) k.set(exponent, select(isNegative, like(b, 0), exponent));
  k.while(binary('ne', exponent, 0), () => {
    k.set(result, select(binary('ne', and(exponent, 1), 0), mul(result, base), result));
    k.set(base, mul(base, base));
    k.set(exponent, binary('shr_u', exponent, 1));
  });
  if (!isNegative) return result;
  const ofMinusOne = select(binary('eq', and(b, 1), 0), like(a, 1), like(a, -1));
  const others = select(binary('eq', a, -1), ofMinusOne, like(a, 0));
  return select(isNegative, select(binary('eq', a, 1), like(a, 1), others), result);
}

const shift =
  (op: 'shl' | 'shr_s' | 'shr_u', outside: (a: Expr) => Expr) =>
  (a: Expr, b: Expr, bits: number): Expr =>
    select(binary('lt_u', b, bits), binary(op, a, and(b, 31)), outside(a));

const shiftLeft = shift('shl', (a) => like(a, 0));
const shiftRightSigned = shift('shr_s', (a) => binary('shr_s', a, 31));
const shiftRightUnsigned = shift('shr_u', (a) => like(a, 0));

const INTEGER_RANGE: Partial<Record<DType, readonly [number, number]>> = { i8: [-128, 127], u8: [0, 255] };

/** Converts registers between types. 16-bit results still have f32 precision: storing or rounding follows. */
function convert(x: Expr, from: DType, to: DType): Expr {
  if (to === 'bool') return from === 'bool' ? x : binary('ne', x, 0);
  if (from === 'bool') return isFloat(to) ? unary('to_f32', unary('mask_to_i32', x)) : unary('mask_to_i32', x);
  if (isFloat(from) && isFloat(to)) return x;
  if (isFloat(to)) return unary(from === 'u32' ? 'to_f32_u' : 'to_f32', x);
  if (!isFloat(from)) return wrap(to, x);
  const whole = unary(to === 'u32' ? 'to_u32' : 'to_i32', x);
  const range = INTEGER_RANGE[to];
  return range ? binary('min', binary('max', whole, range[0]), range[1]) : whole;
}

/** Sign of an integer: -1, 0 or 1. */
function integerSign(x: Expr, dtype: DType): Expr {
  const positive = select(binary('ne', x, 0), like(x, 1), like(x, 0));
  return isUnsigned(dtype) ? positive : select(binary('lt', x, 0), like(x, -1), positive);
}

/** Either branch as registers; masks have no select of their own. */
function choose(condition: Expr, a: Expr, b: Expr): Expr {
  if (!isMask(a)) return select(condition, a, b);
  return or(and(condition, a), and(not(condition), b));
}

/** Bits moved between register forms of one width; 16-bit floats pass as their bits (see emitter). */
function sameBits(x: Expr, from: DType, to: DType): Expr {
  if (REGISTER[from] === REGISTER[to]) return wrap(to, x);
  return to === 'f32' ? unary('bits_f32', x) : unary('bits_i32', x);
}

const ROWS: Readonly<Record<string, Row>> = {
  neg: (_, [x], from) => (isFloat(from) ? unary('neg', x!) : sub(like(x!, 0), x!)),
  abs: (_, [x], from) => (isUnsigned(from) ? x! : unary('abs', x!)),
  sign: (k, [x], from) => (isFloat(from) ? math.sign(k, x!) : integerSign(x!, from)),
  floor: (_, [x]) => unary('floor', x!),
  ceil: (_, [x]) => unary('ceil', x!),
  round: (_, [x]) => unary('nearest', x!),
  sqrt: (_, [x]) => unary('sqrt', x!),
  rsqrt: function1(math.rsqrt),
  exp: function1(math.exp),
  expm1: function1(math.expm1),
  log: function1(math.log),
  log1p: function1(math.log1p),
  sin: function1(math.sin),
  cos: function1(math.cos),
  tan: function1(math.tan),
  tanh: function1(math.tanh),
  erf: function1(math.erf),
  logistic: function1(math.logistic),
  not: (_, [x]) => not(x!),
  is_finite: (_, [x]) => binary('lt', and(unary('bits_i32', x!), 0x7fffffff), 0x7f800000),
  add: direct('add'),
  sub: direct('sub'),
  mul: direct('mul'),
  div: (k, [a, b], from) => (isFloat(from) ? binary('div', a!, b!) : integerDivide(k, a!, b!, from, 'div')),
  rem: (k, [a, b], from) => (isFloat(from) ? math.rem(k, a!, b!) : integerDivide(k, a!, b!, from, 'rem')),
  pow: (k, [a, b], from) => (isFloat(from) ? math.pow(k, a!, b!) : integerPower(k, a!, b!, from)),
  max: extremum('max'),
  min: extremum('min'),
  atan2: function2(math.atan2),
  and: direct('and'),
  or: direct('or'),
  xor: direct('xor'),
  shift_left: (_, [a, b], from) => shiftLeft(a!, b!, 8 * DTYPE_BYTES[from]),
  shift_right: (_, [a, b], from) =>
    isUnsigned(from) ? shiftRightUnsigned(a!, b!, 8 * DTYPE_BYTES[from]) : shiftRightSigned(a!, b!, 32),
  eq: (_, [a, b]) => (isMask(a!) ? not(binary('xor', a!, b!)) : binary('eq', a!, b!)),
  ne: (_, [a, b]) => (isMask(a!) ? binary('xor', a!, b!) : binary('ne', a!, b!)),
  lt: compare('lt'),
  le: compare('le'),
  gt: compare('gt'),
  ge: compare('ge'),
  select: (_, [condition, a, b]) => choose(condition!, a!, b!),
  cast: (_, [x], from, to) => convert(x!, from, to),
  bitcast: (_, [x], from, to) => sameBits(x!, from, to),
};

/** Ops of i32 lanes that exist for scalars only. Shifts are for vectors where the amount is one constant. */
const SCALAR_INTEGER_OPS: ReadonlySet<string> = new Set(['div', 'rem', 'pow', 'shift_left', 'shift_right']);

/** Whether an op on operands of a type can run on whole vectors. */
export const isVectorOp = (name: string, from: DType): boolean => isFloat(from) || !SCALAR_INTEGER_OPS.has(name);

/**
 * One element (or a vector of them) of an elementwise op. Integers come wrapped to their type; 16-bit
 * floats come in f32, to be rounded by the caller. Throws UNSUPPORTED_OP for an op without a row.
 */
export function elementwise(k: KernelBuilder, name: string, operands: readonly Expr[], from: DType, to: DType): Expr {
  const row = ROWS[name];
  if (!row)
    throw new BitloomError('UNSUPPORTED_OP', `no generic kernel computes ${name}; decompose it first`, { op: name });
  const result = row(k, operands, from, to);
  return isFloat(to) || isMask(result) ? result : wrap(to, result);
}

/** Combining ops of reductions: the elementwise op and the value that nothing combines to. */
export const REDUCTION_COMBINE: Readonly<Record<string, string>> = {
  reduce_sum: 'add',
  reduce_prod: 'mul',
  reduce_max: 'max',
  reduce_min: 'min',
  reduce_and: 'and',
  reduce_or: 'or',
};
