/**
 * Reads and writes stored numbers in the kernel language: 16-bit floats, and the blocks of every
 * number format, whose places follow from its row (quant/number-format.ts).
 */

import type { ElementType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import {
  codeParts,
  FIELD_BYTES,
  type Field,
  fieldOffset,
  type NumberFormat,
  panelBlockBytes,
  SUB_BLOCK,
} from '../quant/number-format.ts';
import {
  add,
  and,
  type BufferParam,
  binary,
  divU,
  type Expr,
  fma,
  mul,
  type Operand,
  or,
  remU,
  select,
  shl,
  shrU,
  sub,
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

/** Where one row's blocks lie: the byte offset of its first panel block, and its place in the panel. */
export interface PackedRow {
  readonly base: Expr;
  readonly lane: Operand;
}

/** The row number `row` of a matrix of `columns` elements per row. */
export function packedRow(k: KernelBuilder, format: NumberFormat, row: Expr, columns: number): PackedRow {
  const panelBytes = (columns / format.blockSize) * panelBlockBytes(format);
  if (format.panelRows === 1) return { base: mul(row, panelBytes), lane: 0 };
  return { base: k.let(mul(divU(row, format.panelRows), panelBytes)), lane: k.let(remU(row, format.panelRows)) };
}

/** A header field as f32: of one panel row (`lanes` 1), or of neighbouring rows from `lane` on. `block` is a byte offset. */
export function loadField(
  k: KernelBuilder,
  format: NumberFormat,
  field: Field,
  buffer: BufferParam,
  block: Expr,
  lane: Operand = 0,
  lanes = 1,
): Expr {
  const at = add(add(block, mul(lane, FIELD_BYTES[field.dtype])), fieldOffset(format, field));
  if (field.dtype === 'f32') return k.load(buffer, 'f32', at, lanes);
  if (field.dtype === 'i32') return unary('to_f32', k.load(buffer, 'i32', at, lanes));
  if (field.dtype === 'u8') return unary('to_f32', k.load(buffer, 'u8', at, lanes));
  return unary('f16_to_f32', k.load(buffer, 'u16', at, lanes));
}

/** Words in memory that several code groups share are loaded once. */
function sharedLoads(k: KernelBuilder, load: (byteOffset: number) => Expr): (byteOffset: number) => Expr {
  const loaded = new Map<number, Expr>();
  return (byteOffset) => {
    const known = loaded.get(byteOffset) ?? k.let(load(byteOffset));
    loaded.set(byteOffset, known);
    return known;
  };
}

/** Assembles the codes of one group of four elements from its parts. `each` repeats a byte mask over a lane. */
function joinParts(format: NumberFormat, group: number, word: (byteOffset: number) => Expr, each: number): Expr {
  const parts = codeParts(format, group).map(({ byteOffset, shift, mask, place }) => {
    const shifted = shrU(word(byteOffset), shift);
    return shl(mask === 0xff ? shifted : and(shifted, mask * each), place);
  });
  const codes = parts.reduce((joined, part) => or(joined, part));
  return format.codeXor === 0 ? codes : binary('xor', codes, (format.codeXor * each) | 0);
}

/** Bytes from one sub-block's codes to the next's. */
export const subBlockBytes = (format: NumberFormat): number => 4 * format.bits * format.panelRows;

/** The order of a sub-block's 8 groups in which groups of one stored word follow each other. */
export function groupOrder(format: NumberFormat): number[] {
  const { bits } = format.planes[0]!;
  const groups = Array.from({ length: SUB_BLOCK / 4 }, (_, group) => group);
  return groups.sort((a, b) => (a % bits) - (b % bits) || a - b);
}

/**
 * Unsigned codes of one sub-block of a panel of 4 rows as bytes: `codes(group)` has lane r = the four
 * neighbouring elements 4 * group .. of panel row r. `at` is the block's byte offset + sub-block * `subBlockBytes`.
 */
export function panelCodes(
  k: KernelBuilder,
  format: NumberFormat,
  buffer: BufferParam,
  at: Expr,
): (group: number) => Expr {
  if (format.panelRows !== 4) {
    throw new BitloomError('UNSUPPORTED_DTYPE', `kernels read codes of panels of 4 rows, not ${format.name}`, {
      format: format.name,
    });
  }
  const word = sharedLoads(k, (byteOffset) => k.load(buffer, 'i32', add(at, byteOffset), 4));
  return (group) => joinParts(format, group, word, 0x01010101);
}

/** Scale, origin and minimum of one row's block, for `blockValues`. */
interface BlockParameters {
  readonly scale: Expr;
  readonly origin: Expr | number;
  readonly min: Expr | null;
}

function blockParameters(
  k: KernelBuilder,
  format: NumberFormat,
  buffer: BufferParam,
  block: Expr,
  lane: Operand,
): BlockParameters {
  const field = (which: Field): Expr => k.let(loadField(k, format, which, buffer, block, lane));
  return {
    scale: field(format.scale),
    origin: format.zeroPoint === null ? format.offset : field(format.zeroPoint),
    min: format.min === null ? null : field(format.min),
  };
}

/**
 * The values of one sub-block of one row as 8 vectors of four neighbouring elements, in order. `block` is
 * the block's byte offset, `subBlock` the number of the sub-block in it.
 */
export function subBlockValues(
  k: KernelBuilder,
  format: NumberFormat,
  buffer: BufferParam,
  block: Expr,
  lane: Operand,
  subBlock: Operand,
): Expr[] {
  const { scale, origin, min } = blockParameters(k, format, buffer, block, lane);
  const at = k.let(add(add(block, mul(lane, 4)), mul(subBlock, subBlockBytes(format))));
  const word = sharedLoads(k, (byteOffset) => k.load(buffer, 'u8', add(at, byteOffset), 4));
  return Array.from({ length: SUB_BLOCK / 4 }, (_, group) => {
    const steps = sub(unary('to_f32', joinParts(format, group, word, 1)), origin);
    return min === null ? mul(steps, scale) : fma(steps, scale, min);
  });
}
