/** Reads and writes floats of every type as f32 in the kernel language. Packed formats: packed-block.ts. */

import type { ElementType } from '../ir/dtype.ts';
import {
  add,
  and,
  type BufferParam,
  binary,
  type Expr,
  mul,
  type Operand,
  or,
  select,
  shl,
  shrU,
  unary,
} from './expression.ts';
import type { KernelBuilder } from './language.ts';

/** Element types that kernels read as f32. */
export type FloatType = 'f32' | 'f16' | 'bf16';
export const isFloatType = (type: ElementType): type is FloatType =>
  type === 'f32' || type === 'f16' || type === 'bf16';
export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { f32: 4, f16: 2, bf16: 2 };

/** Loads floats of any type as f32, exactly. */
export function loadFloat(
  k: KernelBuilder,
  dtype: FloatType,
  buffer: BufferParam,
  byteOffset: Operand,
  lanes = 1,
): Expr {
  if (dtype === 'f32') return k.load(buffer, 'f32', byteOffset, lanes);
  const bits = k.load(buffer, 'u16', byteOffset, lanes);
  return dtype === 'f16' ? unary('f16_to_f32', bits) : unary('bits_f32', shl(bits, 16));
}

/** Loads 2 * `lanes` consecutive floats of any type as two vectors of f32, exactly; 16-bit ones by one load. */
export function loadFloatPair(
  k: KernelBuilder,
  dtype: FloatType,
  buffer: BufferParam,
  byteOffset: Expr,
  lanes: number,
): [Expr, Expr] {
  if (dtype === 'f32')
    return [0, 4 * lanes].map((at) => k.load(buffer, 'f32', add(byteOffset, at), lanes)) as [Expr, Expr];
  const words = k.let(k.load(buffer, 'i32', byteOffset, lanes));
  const half = (part: 'low' | 'high'): Expr => {
    const bits: Expr = { kind: 'halves', type: words.type, a: words, part };
    return dtype === 'f16' ? unary('f16_to_f32', bits) : unary('bits_f32', shl(bits, 16));
  };
  return [half('low'), half('high')];
}

/** Loads floats at an element index. */
export const loadFloatAt = (k: KernelBuilder, dtype: FloatType, buffer: BufferParam, index: Operand, lanes = 1): Expr =>
  loadFloat(k, dtype, buffer, mul(index, FLOAT_BYTES[dtype]), lanes);

/** Stores f32 values as floats of any type, rounded to nearest even. */
export function storeFloat(
  k: KernelBuilder,
  dtype: FloatType,
  buffer: BufferParam,
  byteOffset: Operand,
  value: Expr,
): void {
  if (dtype === 'f32') {
    k.store(buffer, 'f32', byteOffset, value);
    return;
  }
  if (dtype === 'f16') {
    k.store(buffer, 'u16', byteOffset, unary('f32_to_f16', value));
    return;
  }
  const x = k.let(value);
  const bits = k.let(unary('bits_i32', x));
  const rounded = shrU(add(add(bits, 0x7fff), and(shrU(bits, 16), 1)), 16);
  k.store(buffer, 'u16', byteOffset, select(binary('ne', x, x), or(shrU(bits, 16), 0x40), rounded));
}
