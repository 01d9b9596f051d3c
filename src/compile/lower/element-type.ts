/**
 * How plain element types lie in memory and in registers. Registers hold f32 for floats, i32 (wrapped
 * to the type's range) for integers and a mask for bool.
 */
import type { DType } from '../../ir/dtype.ts';
import {
  add,
  and,
  binary,
  type Element,
  type Expr,
  type MemoryType,
  or,
  select,
  shl,
  shrU,
  unary,
} from '../../kernel/expression.ts';
import type { KernelBuilder } from '../../kernel/language.ts';

export const MEMORY_TYPE: Readonly<Record<DType, MemoryType>> = {
  f32: 'f32',
  f16: 'u16',
  bf16: 'u16',
  i32: 'i32',
  u32: 'i32',
  i8: 'i8',
  u8: 'u8',
  bool: 'u8',
};

export const REGISTER: Readonly<Record<DType, Element>> = {
  f32: 'f32',
  f16: 'f32',
  bf16: 'f32',
  i32: 'i32',
  u32: 'i32',
  i8: 'i32',
  u8: 'i32',
  bool: 'mask',
};

/** Types whose memory form differs from their register form in more than width. */
export const isEncoded = (dtype: DType): boolean => dtype === 'f16' || dtype === 'bf16' || dtype === 'bool';

/** The register form of what a load gives. */
export function decode(dtype: DType, loaded: Expr): Expr {
  if (dtype === 'f16') return unary('f16_to_f32', loaded);
  if (dtype === 'bf16') return unary('bits_f32', shl(loaded, 16));
  return dtype === 'bool' ? binary('ne', loaded, 0) : loaded;
}

/** What a store takes, of the register form. 16-bit floats round to nearest even. */
export function encode(k: KernelBuilder, dtype: DType, value: Expr): Expr {
  if (dtype === 'f16') return unary('f32_to_f16', value);
  if (dtype === 'bool') return unary('mask_to_i32', value);
  if (dtype !== 'bf16') return value;
  const bits = k.let(unary('bits_i32', value));
  const high = k.let(shrU(bits, 16));
  const rounded = shrU(add(add(bits, 0x7fff), and(high, 1)), 16);
  const isNotANumber = binary('gt', and(bits, 0x7fffffff), 0x7f800000);
  return select(isNotANumber, or(high, 0x40), rounded);
}

/** Wraps an i32 to the range of a narrower integer type. */
export function wrap(dtype: DType, value: Expr): Expr {
  if (dtype === 'i8') return binary('shr_s', shl(value, 24), 24);
  return dtype === 'u8' ? and(value, 0xff) : value;
}
