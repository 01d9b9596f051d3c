/**
 * Meaning of elementwise ops on single numbers. Floats are computed in double precision and rounded
 * once to the result type; integers wrap when they are stored.
 */
import { DTYPE_BYTES, type DType, isFloat, isSigned } from '../dtype.ts';
import { type Elements, makeElements } from '../host-tensor.ts';
import type { binaryOps, choiceOps, compareOps, unaryOps } from '../op/elementwise.ts';
import type { TensorType } from '../shape.ts';
import type { Rule, Tensor } from './rule.ts';

export type UnaryName = keyof typeof unaryOps;
export type BinaryName = keyof typeof binaryOps;
type CompareName = keyof typeof compareOps;
type Unary = (x: number) => number;
type Binary = (a: number, b: number) => number;

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const isTie = x - floor === 0.5;
  const nearest = isTie ? 2 * Math.floor((floor + 1) / 2) : Math.floor(x + 0.5);
  return Math.abs(x) < 2 ** 52 ? (nearest === 0 ? x * 0 : nearest) : x;
}

/** Error function: 2 / sqrt(pi) e^(-x^2) sum of x (2 x^2)^n / (2n + 1)!!, whose terms all have one sign. */
function erf(x: number): number {
  if (!(Math.abs(x) < 6)) return Math.sign(x); // NaN included; beyond 6 the difference to 1 is below 2^-54
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const floatUnary: Record<UnaryName, Unary> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundHalfEven,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  tanh: Math.tanh,
  erf,
  logistic: (x) => 1 / (1 + Math.exp(-x)),
  not: (x) => ~x,
  is_finite: (x) => (Number.isFinite(x) ? 1 : 0),
};

/** a^b as in C: unlike in JavaScript, 1 to any power and -1 to an infinite one are 1. */
const floatPow: Binary = (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b);

/** a^b modulo 2^32 by squaring; a negative exponent truncates the reciprocal. */
function integerPow(a: number, b: number): number {
  if (b < 0) return a === 1 ? 1 : a === -1 ? (b % 2 === 0 ? 1 : -1) : 0;
  let result = 1;
  for (let [base, exponent] = [a, b]; exponent > 0; exponent = Math.floor(exponent / 2)) {
    if (exponent % 2 === 1) result = Math.imul(result, base);
    base = Math.imul(base, base);
  }
  return result;
}

const floatBinary: Record<BinaryName, Binary> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  rem: (a, b) => a % b,
  pow: floatPow,
  max: Math.max,
  min: Math.min,
  atan2: Math.atan2,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shift_left: (a, b) => a << b,
  shift_right: (a, b) => a >> b,
};

const integerBinary: Partial<Record<BinaryName, Binary>> = {
  mul: Math.imul,
  div: (a, b) => (b === 0 ? -1 : Math.trunc(a / b)),
  rem: (a, b) => (b === 0 ? a : a % b),
  pow: integerPow,
};

const compare: Record<CompareName, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};

/** Shift amounts are read as unsigned; one that is not below the bit count shifts everything out. */
function shiftFunction(name: 'shift_left' | 'shift_right', dtype: DType): Binary {
  const bits = 8 * DTYPE_BYTES[dtype];
  if (name === 'shift_left') return (a, b) => (b >>> 0 < bits ? a << b : 0);
  if (isSigned(dtype)) return (a, b) => a >> Math.min(b >>> 0, 31);
  return (a, b) => (b >>> 0 < bits ? a >>> b : 0);
}

/** The function of two numbers of a type that a binary op computes, before storing wraps or rounds. */
export function binaryFunction(name: BinaryName, dtype: DType): Binary {
  if (name === 'shift_left' || name === 'shift_right') return shiftFunction(name, dtype);
  return (isFloat(dtype) ? undefined : integerBinary[name]) ?? floatBinary[name];
}

/** The function of one number of a type that a unary op computes, before storing wraps or rounds. */
export function unaryFunction(name: UnaryName, dtype: DType): Unary {
  return name === 'not' && dtype === 'bool' ? (x) => 1 - x : floatUnary[name];
}

const INTEGER_RANGE: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i8: [-128, 127],
  u8: [0, 255],
};

/** The conversion of a number of one type to another, before storing wraps or rounds. */
export function castFunction(from: DType, to: DType): Unary {
  if (to === 'bool') return (x) => (x !== 0 ? 1 : 0);
  const range = INTEGER_RANGE[to];
  if (!range || !isFloat(from)) return (x) => x;
  return (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), range[0]), range[1]));
}

function mapUnary(f: Unary, { data }: Tensor, type: TensorType): Elements {
  const out = makeElements(type);
  for (let i = 0; i < data.length; i++) out[i] = f(data[i]!);
  return out;
}

const unaryRule =
  (name: UnaryName): Rule =>
  ([x], _, type) =>
    mapUnary(unaryFunction(name, x!.type.dtype as DType), x!, type);

const binaryRule =
  (name: BinaryName): Rule =>
  ([a, b], _, type) => {
    const out = makeElements(type);
    const f = binaryFunction(name, type.dtype as DType);
    for (let i = 0; i < out.length; i++) out[i] = f(a!.data[i]!, b!.data[i]!);
    return out;
  };

const compareRule =
  (name: CompareName): Rule =>
  ([a, b], _, type) => {
    const out = makeElements(type);
    const f = compare[name];
    for (let i = 0; i < out.length; i++) out[i] = f(a!.data[i]!, b!.data[i]!) ? 1 : 0;
    return out;
  };

const choiceRules: Record<keyof typeof choiceOps, Rule> = {
  select([condition, a, b], _, type) {
    const out = makeElements(type);
    for (let i = 0; i < out.length; i++) out[i] = condition!.data[i] ? a!.data[i]! : b!.data[i]!;
    return out;
  },
  cast: ([x], _, type) => mapUnary(castFunction(x!.type.dtype as DType, type.dtype as DType), x!, type),
};

const rulesOf = <Name extends string>(table: Record<Name, unknown>, rule: (name: Name) => Rule) =>
  Object.fromEntries((Object.keys(table) as Name[]).map((name) => [name, rule(name)])) as Record<Name, Rule>;

export const elementwiseRules = {
  ...rulesOf(floatUnary, unaryRule),
  ...rulesOf(floatBinary, binaryRule),
  ...rulesOf(compare, compareRule),
  ...choiceRules,
};
