/** Which instruction does a kernel operation, by operand element and scalar or vector. Data only. */
import type { BinaryOp, Element, MemoryType, UnaryOp } from '../../kernel/expression.ts';
import type { OpcodeName } from './opcodes.ts';

type Table<Op extends string> = Readonly<Record<Element, Partial<Record<Op, OpcodeName>>>>;

export const UNARY_SCALAR: Table<UnaryOp> = {
  f32: {
    neg: 'f32.neg',
    abs: 'f32.abs',
    sqrt: 'f32.sqrt',
    floor: 'f32.floor',
    ceil: 'f32.ceil',
    nearest: 'f32.nearest',
    trunc: 'f32.trunc',
    to_i32: 'i32.trunc_sat_f32_s',
    to_u32: 'i32.trunc_sat_f32_u',
    bits_i32: 'i32.reinterpret_f32',
  },
  i32: {
    to_f32: 'f32.convert_i32_s',
    to_f32_u: 'f32.convert_i32_u',
    bits_f32: 'f32.reinterpret_i32',
    popcount: 'i32.popcnt',
  },
  mask: { not: 'i32.eqz' },
};

export const UNARY_VECTOR: Table<UnaryOp> = {
  f32: {
    neg: 'f32x4.neg',
    abs: 'f32x4.abs',
    sqrt: 'f32x4.sqrt',
    floor: 'f32x4.floor',
    ceil: 'f32x4.ceil',
    nearest: 'f32x4.nearest',
    trunc: 'f32x4.trunc',
    to_i32: 'i32x4.trunc_sat_f32x4_s',
    to_u32: 'i32x4.trunc_sat_f32x4_u',
  },
  i32: {
    neg: 'i32x4.neg',
    abs: 'i32x4.abs',
    not: 'v128.not',
    to_f32: 'f32x4.convert_i32x4_s',
    to_f32_u: 'f32x4.convert_i32x4_u',
  },
  mask: { not: 'v128.not' },
};

export const BINARY_SCALAR: Table<BinaryOp> = {
  f32: {
    add: 'f32.add',
    sub: 'f32.sub',
    mul: 'f32.mul',
    div: 'f32.div',
    min: 'f32.min',
    max: 'f32.max',
    eq: 'f32.eq',
    ne: 'f32.ne',
    lt: 'f32.lt',
    le: 'f32.le',
    gt: 'f32.gt',
    ge: 'f32.ge',
  },
  i32: {
    add: 'i32.add',
    sub: 'i32.sub',
    mul: 'i32.mul',
    div_s: 'i32.div_s',
    div_u: 'i32.div_u',
    rem_s: 'i32.rem_s',
    rem_u: 'i32.rem_u',
    and: 'i32.and',
    or: 'i32.or',
    xor: 'i32.xor',
    shl: 'i32.shl',
    shr_s: 'i32.shr_s',
    shr_u: 'i32.shr_u',
    eq: 'i32.eq',
    ne: 'i32.ne',
    lt: 'i32.lt_s',
    le: 'i32.le_s',
    gt: 'i32.gt_s',
    ge: 'i32.ge_s',
    lt_u: 'i32.lt_u',
    le_u: 'i32.le_u',
    gt_u: 'i32.gt_u',
    ge_u: 'i32.ge_u',
  },
  mask: { and: 'i32.and', or: 'i32.or', xor: 'i32.xor' },
};

export const BINARY_VECTOR: Table<BinaryOp> = {
  f32: {
    add: 'f32x4.add',
    sub: 'f32x4.sub',
    mul: 'f32x4.mul',
    div: 'f32x4.div',
    min: 'f32x4.min',
    max: 'f32x4.max',
    eq: 'f32x4.eq',
    ne: 'f32x4.ne',
    lt: 'f32x4.lt',
    le: 'f32x4.le',
    gt: 'f32x4.gt',
    ge: 'f32x4.ge',
  },
  i32: {
    add: 'i32x4.add',
    sub: 'i32x4.sub',
    mul: 'i32x4.mul',
    min: 'i32x4.min_s',
    max: 'i32x4.max_s',
    min_u: 'i32x4.min_u',
    max_u: 'i32x4.max_u',
    and: 'v128.and',
    or: 'v128.or',
    xor: 'v128.xor',
    shl: 'i32x4.shl',
    shr_s: 'i32x4.shr_s',
    shr_u: 'i32x4.shr_u',
    eq: 'i32x4.eq',
    ne: 'i32x4.ne',
    lt: 'i32x4.lt_s',
    le: 'i32x4.le_s',
    gt: 'i32x4.gt_s',
    ge: 'i32x4.ge_s',
    lt_u: 'i32x4.lt_u',
    le_u: 'i32x4.le_u',
    gt_u: 'i32x4.gt_u',
    ge_u: 'i32x4.ge_u',
  },
  mask: { and: 'v128.and', or: 'v128.or', xor: 'v128.xor' },
};

export const LOAD_SCALAR: Readonly<Record<MemoryType, OpcodeName>> = {
  f32: 'f32.load',
  i32: 'i32.load',
  i16: 'i32.load16_s',
  u16: 'i32.load16_u',
  i8: 'i32.load8_s',
  u8: 'i32.load8_u',
};

/** The load, then what widens its elements to 32 bits. */
export const LOAD_VECTOR: Readonly<Record<MemoryType, readonly OpcodeName[]>> = {
  f32: ['v128.load'],
  i32: ['v128.load'],
  i16: ['v128.load16x4_s'],
  u16: ['v128.load16x4_u'],
  i8: ['v128.load32_zero', 'i16x8.extend_low_i8x16_s', 'i32x4.extend_low_i16x8_s'],
  u8: ['v128.load32_zero', 'i16x8.extend_low_i8x16_u', 'i32x4.extend_low_i16x8_u'],
};

export const STORE_SCALAR: Readonly<Record<MemoryType, OpcodeName>> = {
  f32: 'f32.store',
  i32: 'i32.store',
  i16: 'i32.store16',
  u16: 'i32.store16',
  i8: 'i32.store8',
  u8: 'i32.store8',
};

/** How a vector is stored: the bytes of its lanes that are kept, at the front, and the instruction. */
export const STORE_VECTOR: Readonly<Record<MemoryType, { op: OpcodeName; keptBytes: readonly number[] }>> = {
  f32: { op: 'v128.store', keptBytes: [] },
  i32: { op: 'v128.store', keptBytes: [] },
  i16: { op: 'v128.store64_lane', keptBytes: [0, 1, 4, 5, 8, 9, 12, 13] },
  u16: { op: 'v128.store64_lane', keptBytes: [0, 1, 4, 5, 8, 9, 12, 13] },
  i8: { op: 'v128.store32_lane', keptBytes: [0, 4, 8, 12] },
  u8: { op: 'v128.store32_lane', keptBytes: [0, 4, 8, 12] },
};
