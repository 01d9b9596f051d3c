/** Which instruction does a vector operation. Data only; where AVX-512 has a name of its own, the second is it. */
import type { BinaryOp, MemoryType, UnaryOp } from '../../kernel/expression.ts';
import type { Mnemonic } from './assembler/index.ts';

/** Names without and with AVX-512. */
type Names = readonly [Mnemonic, Mnemonic];
const both = (name: Mnemonic): Names => [name, name];

export const FLOAT_BINARY: Partial<Record<BinaryOp, Names>> = {
  add: both('vaddps'),
  sub: both('vsubps'),
  mul: both('vmulps'),
  div: both('vdivps'),
};

export const INTEGER_BINARY: Partial<Record<BinaryOp, Names>> = {
  add: both('vpaddd'),
  sub: both('vpsubd'),
  mul: both('vpmulld'),
  min: both('vpminsd'),
  max: both('vpmaxsd'),
  min_u: both('vpminud'),
  max_u: both('vpmaxud'),
  and: ['vpand', 'vpandd'],
  or: ['vpor', 'vpord'],
  xor: ['vpxor', 'vpxord'],
};

export const COMMUTATIVE: ReadonlySet<string> = new Set([
  'add',
  'mul',
  'min',
  'max',
  'min_u',
  'max_u',
  'and',
  'or',
  'xor',
]);

/** Shifts by an immediate or by the lowest lane of a vector. */
export const SHIFTS: Partial<Record<BinaryOp, Mnemonic>> = { shl: 'vpslld', shr_u: 'vpsrld', shr_s: 'vpsrad' };

/** Predicates of float comparisons that raise nothing for quiet NaN. */
export const FLOAT_COMPARES: Partial<Record<BinaryOp, number>> = { eq: 0, lt: 17, le: 18, ne: 4, ge: 29, gt: 30 };

/** Predicates of `vpcmpd` and `vpcmpud`. */
export const INTEGER_COMPARES: Partial<Record<BinaryOp, readonly [Mnemonic, number]>> = {
  eq: ['vpcmpd', 0],
  lt: ['vpcmpd', 1],
  le: ['vpcmpd', 2],
  ne: ['vpcmpd', 4],
  ge: ['vpcmpd', 5],
  gt: ['vpcmpd', 6],
  lt_u: ['vpcmpud', 1],
  le_u: ['vpcmpud', 2],
  ge_u: ['vpcmpud', 5],
  gt_u: ['vpcmpud', 6],
};

/** Rounding modes, with inexact results passed over. */
export const ROUNDINGS: Partial<Record<UnaryOp, number>> = { nearest: 8, floor: 9, ceil: 10, trunc: 11 };

/** Conversions that scalars do in vectors, too. */
export const CONVERSIONS_BY_VECTOR: ReadonlySet<UnaryOp> = new Set([
  'to_f32',
  'to_f32_u',
  'to_i32',
  'to_u32',
  'f16_to_f32',
  'f32_to_f16',
] as const);

/** Loads of vectors, widened to 32 bits. */
export const LOADS: Readonly<Record<MemoryType, Mnemonic>> = {
  f32: 'vmovups',
  i32: 'vmovups',
  i16: 'vpmovsxwd',
  u16: 'vpmovzxwd',
  i8: 'vpmovsxbd',
  u8: 'vpmovzxbd',
};
