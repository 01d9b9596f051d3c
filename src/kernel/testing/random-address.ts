/**
 * Addresses of random kernels: sums of terms in every form that lowering looks at, always in bounds. Each term's range is
 * known, so that indices may begin below zero and terms be subtracted, as long as the whole never leaves its buffer.
 */
import { add, and, binary, type Expr, i32, max, min, mul, select, shl, sub } from '../expression.ts';
import type { Tape } from './tape.ts';

/** A scalar i32 that is known to lie between two numbers, both included. */
export interface Bounded {
  readonly value: Expr;
  readonly low: number;
  readonly high: number;
}

/** Where terms come from. */
export interface TermSource {
  /** Loop indices, variables and registers whose range is known. */
  readonly bounded: readonly Bounded[];
  /** Any integer. */
  integer(): Expr;
  condition(): Expr;
}

const COEFFICIENTS = [1, 2, 4, 8, 3, 5, 12, 16, 24, 36, 64] as const;
const MASKS = [7, 3, 1, 15] as const;

/** A term of an address. */
export function randomTerm(tape: Tape, source: TermSource): Bounded {
  const mask = tape.pick(MASKS);
  switch (tape.below(10)) {
    case 0:
    case 1:
    case 2:
      return tape.pick(source.bounded);
    case 3: {
      const shift = tape.between(1, 6);
      return { value: sub(and(source.integer(), mask), shift), low: -shift, high: mask - shift };
    }
    case 4:
      return { value: max(min(source.integer(), mask), -3), low: -3, high: mask };
    case 5:
      return { value: binary('rem_s', source.integer(), 5), low: -4, high: 4 };
    case 6:
      return { value: binary('rem_u', source.integer(), 6), low: 0, high: 5 };
    case 7: {
      const [a, b] = [tape.pick(source.bounded), tape.pick(source.bounded)];
      const value = select(source.condition(), a.value, b.value);
      return { value, low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
    }
    default:
      return { value: and(source.integer(), mask), low: 0, high: mask };
  }
}

/** `term * coefficient`, written in one of the ways that mean it. */
function scaled(tape: Tape, { value, low, high }: Bounded, coefficient: number): Bounded {
  const log2 = Math.log2(Math.abs(coefficient));
  const size = Math.abs(coefficient);
  const product = Number.isInteger(log2) && tape.once(2) ? shl(value, log2) : mul(value, size);
  if (coefficient > 0) return { value: product, low: low * size, high: high * size };
  return { value: tape.once(2) ? mul(value, -size) : sub(0, product), low: -high * size, high: -low * size };
}

/** A sum of terms whose range spans less than `room`, in multiples of `unit`. */
export function randomSum(tape: Tape, source: TermSource, room: number, unit: number): Bounded {
  let sum: Bounded = { value: i32(0), low: 0, high: 0 };
  for (let left = tape.below(4); left > 0; left--) {
    const size = unit * tape.pick(COEFFICIENTS);
    const term = scaled(tape, randomTerm(tape, source), tape.once(4) ? -size : size);
    const [low, high] = [sum.low + term.low, sum.high + term.high];
    if (high - low > room) continue;
    sum = { value: add(sum.value, term.value), low, high };
  }
  return sum;
}

/** The sum with a constant that makes it an offset of `bytes` bytes in a buffer of `limit`. */
export function placed(tape: Tape, { value, low, high }: Bounded, bytes: number, limit: number, unit: number): Expr {
  const room = limit - bytes - (high - low);
  const constant = unit * tape.below(Math.floor(room / unit) + 1) - low;
  return add(value, constant);
}
