/**
 * The meaning of every kernel operation on one lane, as plain numbers: f32 values are rounded
 * numbers, i32 values are signed 32-bit integers, mask values are 1 or 0. The law for lowering.
 */

import { BitloomError } from '../ir/error.ts';
import { f16ToNumber, numberToF16 } from '../ir/float16.ts';
import type { BinaryOp, Element, TernaryOp, UnaryOp } from './expression.ts';

type Unary = (a: number) => number;
type Binary = (a: number, b: number) => number;
type Ternary = (a: number, b: number, c: number) => number;

const float = new Float32Array(1);
const word = new Int32Array(float.buffer);
const { fround } = Math;

function bitsOfFloat(value: number): number {
  float[0] = value;
  return word[0]!;
}

function floatOfBits(bits: number): number {
  word[0] = bits;
  return float[0]!;
}

/** Rounds halves to even; keeps NaN, infinities and -0. */
function nearest(a: number): number {
  if (!Number.isFinite(a) || Math.abs(a) >= 2 ** 23) return a;
  const down = Math.floor(a);
  const rest = a - down;
  const rounded = rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
  return rounded === 0 && (a < 0 || Object.is(a, -0)) ? -0 : rounded;
}

const clamp = (a: number, low: number, high: number): number =>
  Number.isNaN(a) ? 0 : Math.trunc(Math.min(high, Math.max(low, a)));

/** Lane-wise unary operations on f32 operands; the rest are in `UNARY_I32`. */
export const UNARY_F32: Partial<Record<UnaryOp, Unary>> = {
  neg: (a) => -a,
  abs: Math.abs,
  sqrt: (a) => fround(Math.sqrt(a)),
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  nearest,
  to_i32: (a) => clamp(a, -(2 ** 31), 2 ** 31 - 1) | 0, // integers have one zero
  to_u32: (a) => clamp(a, 0, 2 ** 32 - 1) | 0,
  bits_i32: bitsOfFloat,
  bits_f32: (a) => a,
  f32_to_f16: numberToF16,
};

export const UNARY_I32: Partial<Record<UnaryOp, Unary>> = {
  neg: (a) => -a | 0,
  abs: (a) => Math.abs(a) | 0,
  not: (a) => ~a,
  popcount: bitCount,
  to_f32: (a) => fround(a),
  to_f32_u: (a) => fround(a >>> 0),
  bits_f32: floatOfBits,
  bits_i32: (a) => a,
  f16_to_f32: (a) => f16ToNumber(a & 0xffff),
};

export const UNARY_MASK: Partial<Record<UnaryOp, Unary>> = { not: (a) => 1 - a, mask_to_i32: (a) => a };

const truth = (holds: boolean): number => (holds ? 1 : 0);

const COMPARE: Partial<Record<BinaryOp, Binary>> = {
  eq: (a, b) => truth(a === b),
  ne: (a, b) => truth(a !== b),
  lt: (a, b) => truth(a < b),
  le: (a, b) => truth(a <= b),
  gt: (a, b) => truth(a > b),
  ge: (a, b) => truth(a >= b),
};

export const BINARY_F32: Partial<Record<BinaryOp, Binary>> = {
  ...COMPARE,
  add: (a, b) => fround(a + b),
  sub: (a, b) => fround(a - b),
  mul: (a, b) => fround(a * b),
  div: (a, b) => fround(a / b),
  min: Math.min,
  max: Math.max,
};

export const BINARY_I32: Partial<Record<BinaryOp, Binary>> = {
  ...COMPARE,
  add: (a, b) => (a + b) | 0,
  sub: (a, b) => (a - b) | 0,
  mul: Math.imul,
  min: Math.min,
  max: Math.max,
  div_s: (a, b) => (a / nonZero(b)) | 0,
  rem_s: (a, b) => (a % nonZero(b)) | 0,
  div_u: (a, b) => ((a >>> 0) / (nonZero(b) >>> 0)) | 0,
  rem_u: (a, b) => ((a >>> 0) % (nonZero(b) >>> 0)) | 0,
  min_u: (a, b) => Math.min(a >>> 0, b >>> 0) | 0,
  max_u: (a, b) => Math.max(a >>> 0, b >>> 0) | 0,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr_s: (a, b) => a >> b,
  shr_u: (a, b) => (a >>> b) | 0,
  lt_u: (a, b) => truth(a >>> 0 < b >>> 0),
  le_u: (a, b) => truth(a >>> 0 <= b >>> 0),
  gt_u: (a, b) => truth(a >>> 0 > b >>> 0),
  ge_u: (a, b) => truth(a >>> 0 >= b >>> 0),
};

function nonZero(divisor: number): number {
  if (divisor === 0) throw new BitloomError('INVALID_GRAPH', 'a kernel divides by zero');
  return divisor;
}

export const BINARY_MASK: Partial<Record<BinaryOp, Binary>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

/** sum + dot product of four signed bytes with four codes of at most `limit`. */
const dot8 =
  (limit: number): Ternary =>
  (sum, bytes, codes) => {
    let total = sum;
    for (let shift = 0; shift < 32; shift += 8) {
      const code = (codes >>> shift) & 0xff;
      if (code > limit)
        throw new BitloomError('INVALID_GRAPH', `a kernel passes code ${code} to a dot product of codes <= ${limit}`);
      total += ((bytes << (24 - shift)) >> 24) * code;
    }
    return total | 0;
  };

/** sum + dot product of two pairs of signed 16-bit numbers. */
const dot16: Ternary = (sum, b, c) =>
  (sum + Math.imul(b >> 16, c >> 16) + Math.imul((b << 16) >> 16, (c << 16) >> 16)) | 0;

/**
 * sum + the dot product of two pairs of bfloat16 numbers: the upper pair's product first, then the lower one's, each exact
 * and each sum rounded. Subnormal operands and results count as zero. Machines may add in another order and round
 * once or thrice: results differ by 2^-23 times the sum of the terms' magnitudes at most.
 */
const dotBf16: Ternary = (sum, b, c) => {
  const upper = normal(fround(normal(sum) + bfloat(b & UPPER) * bfloat(c & UPPER)));
  return normal(fround(upper + bfloat(b << 16) * bfloat(c << 16)));
};
const UPPER = 0xffff0000 | 0;
const bfloat = (bits: number): number => normal(floatOfBits(bits));
const normal = (x: number): number => (Math.abs(x) < 2 ** -126 ? (x < 0 || Object.is(x, -0) ? -0 : 0) : x);

function bitCount(a: number): number {
  let count = 0;
  for (let left = a; left !== 0; left &= left - 1) count++;
  return count;
}

/** `fma` rounds once here; machines may round the product too. */
export const TERNARY: Readonly<Record<TernaryOp, Ternary>> = {
  fma: (a, b, c) => fround(a * b + c),
  select: (mask, a, b) => (mask ? a : b),
  dot8u7: dot8(127),
  dot8u8: dot8(255),
  dot16,
  dotBf16: dotBf16,
};

/** The operation's function, or an INVALID_GRAPH error naming the operand type that it does not take. */
export function meaningOf<F>(
  op: string,
  element: Element,
  table: Readonly<Record<Element, Partial<Record<string, F>>>>,
): F {
  const f = table[element][op];
  if (f === undefined)
    throw new BitloomError('INVALID_GRAPH', `kernel operation ${op} does not take ${element}`, { op, element });
  return f;
}
