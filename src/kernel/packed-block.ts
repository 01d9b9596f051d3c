/**
 * Reads the blocks of every packed format in the kernel language. Where the bits lie and what they mean follows from the
 * format's row (quant/number-format.ts). A panel is read all its rows at a time, one to a lane; any layout one row at a time.
 */
import {
  type CodePart,
  codeParts,
  FIELD_BYTES,
  fieldOffset,
  type GroupField,
  groupOffset,
  type NumberFormat,
  type ParameterField,
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
  I32,
  i32,
  mul,
  type Operand,
  or,
  remU,
  select,
  shl,
  shrU,
  splat,
  sub,
  unary,
} from './expression.ts';
import type { KernelBuilder } from './language.ts';

/** Neighbouring elements of one row that one word of a panel holds, and that are decoded at a time. */
const QUAD = 4;

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

/** 2^(e - 128) of bytes e in i32 lanes; denormal for the lowest two. */
function powerOfTwo(k: KernelBuilder, bytes: Expr): Expr {
  const e = k.let(bytes);
  const bits = select(binary('lt', e, 2), shl(add(e, 1), 21), shl(sub(e, 1), 23));
  return unary('bits_f32', bits);
}

/** A header field as f32: of one panel row (`lanes` 1), or of neighbouring rows from `lane` on. `block` is a byte offset. */
export function loadField(
  k: KernelBuilder,
  format: NumberFormat,
  field: ParameterField,
  buffer: BufferParam,
  block: Expr,
  lane: Operand = 0,
  lanes = 1,
): Expr {
  const at = add(add(block, mul(lane, FIELD_BYTES[field.dtype])), fieldOffset(format, field));
  switch (field.dtype) {
    case 'f32':
      return k.load(buffer, 'f32', at, lanes);
    case 'f16':
      return unary('f16_to_f32', k.load(buffer, 'u16', at, lanes));
    case 'u8':
      return unary('to_f32', k.load(buffer, 'u8', at, lanes));
    case 'e8m0':
      return powerOfTwo(k, k.load(buffer, 'u8', at, lanes));
  }
}

/** Words in memory that several quads of codes share are loaded once. */
function sharedLoads(k: KernelBuilder, load: (byteOffset: number) => Expr): (byteOffset: number) => Expr {
  const loaded = new Map<number, Expr>();
  return (byteOffset) => {
    const known = loaded.get(byteOffset) ?? k.let(load(byteOffset));
    loaded.set(byteOffset, known);
    return known;
  };
}

/** Whether levels are twice their codes: these are one bit up. */
const isDoubled = ({ codebook }: NumberFormat): boolean =>
  codebook?.every((level, code) => level === 2 * code) ?? false;

/** A format's codebook as a byte look-up of whole words; the codes themselves where there is none. */
function levelsOf({ codebook }: NumberFormat, codes: Expr): Expr {
  if (codebook === null) return codes;
  const table = Array.from({ length: 16 }, (_, code) => codebook[code] ?? 0);
  return { kind: 'lookup', type: codes.type, table, indices: codes };
}

/** Bits of each byte shifted right by `right` (left, where that is negative) and masked there. */
function movedBits(bytes: Expr, right: number, mask: number): Expr {
  const moved = right < 0 ? shl(bytes, -right) : shrU(bytes, right);
  return mask === 0xff ? moved : and(moved, mask * 0x01010101);
}

/** Bytes from one sub-block's codes to the next's in the canonical layout. */
export const subBlockBytes = (format: NumberFormat): number => 4 * format.bits * format.panelRows;

/** The order of a sub-block's 8 quads by the last word that they need. */
export function quadOrder(format: NumberFormat): number[] {
  const last = (quad: number): number => Math.max(...codeParts(format, quad).map(({ byteOffset }) => byteOffset));
  const quads = Array.from({ length: SUB_BLOCK / QUAD }, (_, quad) => quad);
  return quads.sort((a, b) => last(a) - last(b) || a - b);
}

/** Instructions that `panelLevels` computes a sub-block with, besides its loads. */
export function levelInstructions(format: NumberFormat): number {
  const ofPart = ({ shift, place, mask }: CodePart): number => (shift === place ? 0 : 1) + (mask === 0xff ? 0 : 1);
  const ofQuad = (_: unknown, quad: number): number => {
    const parts = codeParts(format, quad);
    const moves = parts.reduce((sum, part) => sum + ofPart(part), 0);
    return (
      moves +
      parts.length -
      1 +
      (format.codebook === null || isDoubled(format) ? 0 : 1) +
      (format.codeXor === 0 ? 0 : 1)
    );
  };
  return Array.from({ length: SUB_BLOCK / QUAD }, ofQuad).reduce((sum, count) => sum + count, 0);
}

/**
 * Unsigned levels of one sub-block of a panel as bytes: `levels(quad)` has lane r = the four
 * neighbouring elements 4 * quad .. of panel row r. `at` is the block's byte offset + sub-block * `subBlockBytes`.
 */
export function panelLevels(
  k: KernelBuilder,
  format: NumberFormat,
  buffer: BufferParam,
  at: Expr,
): (quad: number) => Expr {
  const word = sharedLoads(k, (byteOffset) => k.load(buffer, 'i32', add(at, byteOffset), format.panelRows));
  const up = isDoubled(format) ? 1 : 0;
  return (quad) => {
    const parts = codeParts(format, quad).map(({ byteOffset, shift, mask, place }) =>
      movedBits(word(byteOffset), shift - place - up, mask << (place + up)),
    );
    const codes = parts.reduce((joined, part) => or(joined, part));
    if (up > 0) return codes;
    return levelsOf(format, format.codeXor === 0 ? codes : binary('xor', codes, (format.codeXor * 0x01010101) | 0));
  };
}

/**
 * Integers of a block's groups for the rows of a panel, as i32. `block` is the panel block's byte offset; bytes that hold
 * integers of two kinds are loaded once.
 */
export function panelIntegers(
  k: KernelBuilder,
  format: NumberFormat,
  buffer: BufferParam,
  block: Expr,
): (field: GroupField, group: Operand) => Expr {
  const loads = new Map<string, Expr>();
  return ({ tables, bits, isSigned }, group) => {
    const { byteOffsets, shifts } = tables[0]!;
    const [first, shift] = [byteOffsets[0]!, shifts[0]!];
    const at = add(add(block, mul(group, format.panelRows)), groupOffset(format, first));
    const key = typeof group === 'number' ? `${first} ${group}` : '';
    const stored = loads.get(key) ?? k.let(k.load(buffer, isSigned ? 'i8' : 'u8', at, format.panelRows));
    if (key !== '') loads.set(key, stored);
    const shifted = shrU(stored, shift);
    return shift + bits === 8 ? shifted : and(shifted, 2 ** bits - 1);
  };
}

/** Integer `group` of one row's groups, in any layout, as i32. `block` includes the row's place in its panel. */
export function storedInteger(
  k: KernelBuilder,
  format: NumberFormat,
  { tables, bits, isSigned, bias }: GroupField,
  buffer: BufferParam,
  block: Expr,
  group: number,
): Expr {
  const parts = tables.map((table) => {
    const byte = k.load(buffer, 'u8', add(block, groupOffset(format, table.byteOffsets[group]!)));
    return shl(and(shrU(byte, table.shifts[group]!), 2 ** table.bits - 1), table.place);
  });
  const stored = parts.reduce((joined, part) => or(joined, part));
  const sign = 2 ** (bits - 1);
  return isSigned ? sub(binary('xor', stored, sign), sign) : sub(stored, bias);
}

/** Four scalars as one vector. */
export function vectorOf(scalars: readonly Expr[]): Expr {
  const [a, b, c, d] = scalars.map((x) => splat(x, 4)) as [Expr, Expr, Expr, Expr];
  const pair = (x: Expr, y: Expr, pattern: readonly number[]): Expr => ({
    kind: 'shuffle',
    type: x.type,
    a: x,
    b: y,
    pattern,
  });
  return pair(pair(a, b, [0, 4, 0, 4]), pair(c, d, [0, 4, 0, 4]), [0, 1, 4, 5]);
}

/** Levels of elements 4 * quad .. of one row as i32 lanes, in any layout. */
function rowLevels(k: KernelBuilder, format: NumberFormat, word: (byteOffset: number) => Expr, quad: number): Expr {
  const parts = codeParts(format, quad).map(({ byteOffset, byteStep, shift, shiftStep, mask, place }) => {
    if (byteStep === 1) return shl(and(shrU(word(byteOffset), shift), mask), place);
    const byte: Expr = k.let({ kind: 'extract', type: I32, a: word(byteOffset), lane: 0 });
    return shl(vectorOf([0, 1, 2, 3].map((i) => and(shrU(byte, shift + i * shiftStep), mask))), place);
  });
  const codes = parts.reduce((joined, part) => or(joined, part));
  const plain = format.codeXor === 0 ? codes : binary('xor', codes, format.codeXor);
  return format.codebook === null ? plain : and(levelsOf(format, plain), 0xff);
}

/**
 * The values of one row's block as vectors of four neighbouring elements, in order: `body(quad, value)`. `block` is the
 * byte offset of the (panel's) block, `lane` the row's place in its panel. Rounded as the `dequantize` composite does.
 */
export function forBlockValues(
  k: KernelBuilder,
  format: NumberFormat,
  buffer: BufferParam,
  block: Expr,
  lane: Operand,
  body: (quad: number, value: Expr) => void,
): void {
  const { groupSize, blockSize, subScale, subMin } = format;
  const field = (which: ParameterField | null): Expr | null =>
    which && k.let(loadField(k, format, which, buffer, block, lane));
  const [scale, min, zeroPoint] = [field(format.scale)!, field(format.min), field(format.zeroPoint)];
  const groupsAt = k.let(add(block, lane));
  const codesAt = k.let(add(block, mul(lane, QUAD)));
  const word = sharedLoads(k, (byteOffset) => k.load(buffer, 'u8', add(codesAt, byteOffset), QUAD));
  const times = (value: Expr, integers: GroupField | null, group: number): Expr =>
    integers === null
      ? value
      : k.let(mul(value, unary('to_f32', storedInteger(k, format, integers, buffer, groupsAt, group))));
  for (let group = 0; group * groupSize < blockSize; group++) {
    const step = times(scale, subScale, group);
    const least = min && times(min, subMin, group);
    for (let i = 0; i < groupSize / QUAD; i++) {
      const quad = (group * groupSize) / QUAD + i;
      const levels = unary('to_f32', rowLevels(k, format, word, quad));
      const scaled = mul(sub(levels, zeroPoint ?? format.offset), step);
      body(quad, least === null ? scaled : subMin === null ? add(scaled, least) : sub(scaled, least));
    }
  }
}

/** Decodes row `row` of packed `x` [.., columns] from block `first` on to f32 at byte `to` of `out`. */
export function decodeRow(
  k: KernelBuilder,
  format: NumberFormat,
  x: BufferParam,
  { base, lane }: PackedRow,
  blocks: { readonly first: Operand; readonly count: Operand },
  out: BufferParam,
  to: Expr,
): void {
  const target = k.variable(to);
  const bytes = panelBlockBytes(format);
  const start = k.let(add(base, mul(blocks.first, bytes)));
  const size = typeof blocks.count === 'number' ? i32(blocks.count) : blocks.count;
  k.loop(start, add(start, mul(size, bytes)), bytes, (block) => {
    forBlockValues(k, format, x, block, lane, (quad, value) => k.store(out, 'f32', add(target, 16 * quad), value));
    k.set(target, add(target, 4 * format.blockSize));
  });
}
