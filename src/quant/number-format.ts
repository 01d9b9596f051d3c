/**
 * Number formats as data. A row says how a block of numbers becomes bytes; packing, unpacking, the
 * `dequantize` decomposition and the kernels' decoders all follow from it.
 *
 * Legend: a block is `blockSize` elements under one scale. Its codes are stored in sub-blocks of 32
 * elements. Inside a sub-block each plane of b bits takes b little-endian 4-byte words, and byte j of the
 * plane holds the elements j, j + 4b, j + 8b, … from its low bits up. So a word is four neighbouring
 * elements per shift, and one vector load, a shift and a mask give vectors of neighbouring elements.
 */
import { type ElementType, isPacked, type PackedType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';

/** Elements of one sub-block: the unit in which codes are laid out. */
export const SUB_BLOCK = 32;

/** One number stored per block. `byteOffset` counts within one row's block. */
export interface Field {
  readonly dtype: 'f32' | 'f16' | 'i32' | 'u8';
  readonly byteOffset: number;
}

/** `bits` of each code, placed `place` bits up in it, in the words from `word` on of each sub-block. */
export interface Plane {
  readonly bits: 1 | 2 | 4 | 8;
  readonly place: number;
  readonly word: number;
}

/**
 * How a block's parameters are chosen when packing.
 * `peak`: the value of largest magnitude becomes the lowest code exactly (scale = peak / -offset).
 * `absmax`: symmetric, scale = absmax / 127. `range`: scale and min span the block.
 * `zero`: scale and an integer zero point span the block and zero, and zero is exact.
 */
export type Fit = 'peak' | 'absmax' | 'range' | 'zero';

/**
 * A packed element type with its meaning:
 * value = scale * (code - offset), or scale * (code - zeroPoint), or scale * code + min.
 */
export interface NumberFormat extends PackedType {
  /** Name of the plain layout; equals `name` there. */
  readonly baseName: string;
  /** Type id in GGUF files, or null where that format has none. */
  readonly ggufType: number | null;
  readonly fit: Fit;
  /** How value / scale becomes an integer. */
  readonly rounding: 'half-up' | 'half-away' | 'half-even';
  /** Bits of an unsigned code. */
  readonly bits: number;
  /** What `code` stands at zero, where neither zero point nor min is stored. */
  readonly offset: number;
  /** Stored byte = code XOR this: 0x80 turns an offset-128 code into a two's complement int8. */
  readonly codeXor: number;
  readonly scale: Field;
  readonly min: Field | null;
  readonly zeroPoint: Field | null;
  /** Sum of (code - offset) over the block: what an integer dot product needs against zero points. */
  readonly codeSum: Field | null;
  /** First code byte within one row's block. */
  readonly codesOffset: number;
  readonly planes: readonly Plane[];
}

/** Bit planes for codes of `bits`: the widest powers of two first, e.g. 7 = 4 + 2 + 1. */
export function planesFor(bits: number): Plane[] {
  const planes: Plane[] = [];
  let place = bits;
  let word = 0;
  for (const width of [8, 4, 2, 1] as const) {
    if ((bits & width) === 0) continue;
    place -= width;
    planes.push({ bits: width, place, word });
    word += width; // 32 elements of `width` bits are `width` words
  }
  return planes;
}

const panels = new WeakMap<NumberFormat, Map<number, NumberFormat>>();

/**
 * The format `<name>x<rows>` whose blocks of `rows` neighbouring rows are interleaved: for each block
 * along K first every header field, gathered for the rows, then the code words, word w of row r at w * rows + r.
 * A 16-byte load of an x4 panel is the same four elements of four rows. The same object for the same arguments.
 */
export function panel(format: NumberFormat, rows = 4): NumberFormat {
  if (format.panelRows !== 1) {
    throw new BitloomError('INVALID_ARGUMENT', `panel() needs a plain format, got ${format.name}`, {
      format: format.name,
    });
  }
  const made = panels.get(format) ?? new Map<number, NumberFormat>();
  panels.set(format, made);
  const known = made.get(rows);
  if (known !== undefined) return known;
  const layout: NumberFormat = { ...format, name: `${format.name}x${rows}`, panelRows: rows, ggufType: null };
  made.set(rows, layout);
  return layout;
}

/** True where a packed type is one of this layer's formats. */
export const isNumberFormat = (type: ElementType): type is NumberFormat => isPacked(type) && 'planes' in type;

/** `type` as a number format. Throws DTYPE_MISMATCH naming `operation` otherwise. */
export function asNumberFormat(type: ElementType, operation: string): NumberFormat {
  if (isNumberFormat(type)) return type;
  const name = isPacked(type) ? type.name : type;
  throw new BitloomError('DTYPE_MISMATCH', `${operation} needs a packed number format, got ${name}`, { dtype: name });
}

export const FIELD_BYTES: Readonly<Record<Field['dtype'], number>> = { f32: 4, f16: 2, i32: 4, u8: 1 };

/** Bytes of one block of all rows of a panel (of one row where the layout is plain). */
export const panelBlockBytes = (format: NumberFormat): number => format.blockBytes * format.panelRows;

/** Byte offset of `field` of panel row `row` within a panel block; the rows' fields are contiguous. */
export const fieldOffset = (format: NumberFormat, field: Field, row = 0): number =>
  field.byteOffset * format.panelRows + row * FIELD_BYTES[field.dtype];

/** Where a part of the codes of four neighbouring elements lies: one byte of a 4-byte word each. */
export interface CodePart {
  /** Byte offset of panel row 0's word within a panel block; row r's follows at + 4 * r. */
  readonly byteOffset: number;
  /** Right shift within each byte, then the mask. */
  readonly shift: number;
  readonly mask: number;
  /** Left shift of the masked bits in the code; a code is the OR of its parts, XORed with `codeXor`. */
  readonly place: number;
}

/** The parts of the codes of the elements 4 * group .. 4 * group + 3 of a block, widest plane first. */
export function codeParts(format: NumberFormat, group: number): CodePart[] {
  const groupsPerSubBlock = SUB_BLOCK / 4;
  const subBlock = Math.floor(group / groupsPerSubBlock);
  const within = group % groupsPerSubBlock;
  return format.planes.map(({ bits, place, word }) => ({
    byteOffset: (format.codesOffset + 4 * (subBlock * format.bits + word + (within % bits))) * format.panelRows,
    shift: Math.floor(within / bits) * bits,
    mask: 2 ** bits - 1,
    place,
  }));
}

/** Stored bits per element, scales included. */
export const bitsPerElement = (format: NumberFormat): number => (format.blockBytes * 8) / format.blockSize;
