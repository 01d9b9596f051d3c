/**
 * Number formats as data. A row says how a block of numbers becomes bytes; packing, unpacking, the
 * `dequantize` decomposition and the kernels' decoders all follow from it.
 *
 * Legend: a block is `blockSize` elements that lie together. It has groups of `groupSize` elements under one effective
 * scale: the block's own, or that times the group's small integer `subScale`. A code of `bits` bits is stored in planes of
 * some of its bits (`Plane`). Files have many orders of planes; kernels read one, the canonical layout: sub-blocks of 32
 * elements are 8 quads of four neighbours, whose codes of b bits take b little-endian 4-byte words. The elements of a quad
 * are in the bytes of a word, which hold as many whole codes as they have room for: quad q is in word q % b, b * floor(q / b)
 * bits up. Where bits are left, they hold the last quads: bit i of these in the i-th bit left of the words in their order.
 * So one vector load, a shift and a mask give vectors of neighbouring elements; the last quads of 3 bits take twice that.
 */
import { type ElementType, isPacked, type PackedType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';

/** Elements of one sub-block: the unit in which the canonical layout stores codes. */
export const SUB_BLOCK = 32;

/** Types of scales, minimums and zero points. `e8m0`: a byte e for 2^(e - 128). */
export type ParameterType = 'f32' | 'f16' | 'u8' | 'e8m0';
/** Types of sums of codes: one of the whole block, or one of each half of it. */
export type SumType = 'i32' | 'i16x2';

/** One number (or pair) stored per block. `byteOffset` counts within one row's block. */
export interface Field<T extends ParameterType | SumType = ParameterType | SumType> {
  readonly dtype: T;
  readonly byteOffset: number;
}
export type ParameterField = Field<ParameterType>;

/**
 * `bits` of each code, placed `place` bits up in it. Chunks of period * 8 / bits elements take `period` bytes each and
 * start `stride` bytes apart: element r of a chunk is in byte r % period of it, bits * floor(r / period) bits up. Where `quads`
 * says so, chunks are sub-blocks whose four neighbours of each quad are in the four bytes of a word.
 */
export interface Plane {
  readonly bits: number;
  readonly place: number;
  readonly byteOffset: number;
  readonly period: number;
  readonly stride: number;
  readonly quads?: readonly QuadPlace[];
}

/** A word of a sub-block, and how many bits up in each of its bytes. */
export interface QuadPlace {
  readonly word: number;
  readonly shift: number;
}

/** Where `bits` of each of several integers are: integer i in the byte at byteOffsets[i], shifts[i] bits up; they go `place` bits up. */
export interface BitTable {
  readonly bits: number;
  readonly place: number;
  readonly byteOffsets: readonly number[];
  readonly shifts: readonly number[];
}

/** Small integers, one per group: the OR of the tables' bits, read as two's complement where `isSigned`, minus `bias`. */
export interface GroupField {
  readonly bits: number;
  readonly isSigned: boolean;
  readonly bias: number;
  /** Least and greatest integer of the format, in whatever layout. */
  readonly range: readonly [number, number];
  readonly tables: readonly BitTable[];
}

/**
 * How a block's parameters are chosen when packing.
 * `peak`: the value of largest magnitude becomes the lowest code exactly (scale = peak / -offset).
 * `absmax`: symmetric, scale = absmax / 127. `range`: scale and min span the block.
 * `zero`: scale and an integer zero point span the block and zero, and zero is exact.
 * `search`: the parameters of least squared error among candidates (search-fit.ts).
 * `bipolar`: levels around zero, which is none of them: scale = mean magnitude for one bit, else absmax / (2^bits - 1).
 */
export type Fit = 'peak' | 'absmax' | 'range' | 'zero' | 'search' | 'bipolar';

/**
 * A packed element type with its meaning. With level = codebook[code] where there is a codebook, else code:
 * value = scale * (level - origin) + min, where origin is `zeroPoint` or else `offset`, and
 * value = (scale * subScale) * (level - offset) - min * subMin where groups have small integers of their own.
 * Every product and sum is rounded to f32.
 */
export interface NumberFormat extends PackedType {
  /** Name of the plain layout; equals `name` there. */
  readonly baseName: string;
  /** Type id in GGUF files, or null where that format has none. */
  readonly ggufType: number | null;
  readonly fit: Fit;
  /** How value / scale becomes an integer. */
  readonly rounding: 'half-up' | 'half-away' | 'half-even';
  /** Elements under one effective scale: `blockSize`, or less where there are sub-scales. */
  readonly groupSize: number;
  /** Bits of an unsigned code. */
  readonly bits: number;
  /** What `level` stands at zero, where neither zero point nor min is stored. */
  readonly offset: number;
  /** Unsigned levels (below 256) by code where these are not evenly spaced, else null. */
  readonly codebook: readonly number[] | null;
  /** Stored byte = code XOR this: 0x80 turns an offset-128 code into a two's complement int8. */
  readonly codeXor: number;
  readonly scale: ParameterField;
  readonly min: ParameterField | null;
  readonly zeroPoint: ParameterField | null;
  readonly subScale: GroupField | null;
  /** Integers of 0 and more that `min` is multiplied by; the product is subtracted. */
  readonly subMin: GroupField | null;
  /** Sums of (code - offset) over each `sumSize()` elements: what integer dot products need against origins and minimums. */
  readonly codeSum: Field<SumType> | null;
  readonly planes: readonly Plane[];
}

/** What most rows have none of, and the plain layout. */
export const PLAIN = {
  kind: 'packed',
  panelRows: 1,
  codebook: null,
  min: null,
  zeroPoint: null,
  subScale: null,
  subMin: null,
  codeSum: null,
  codeXor: 0,
} as const;

/** Bytes of a word, elements of a quad, and quads of a sub-block. */
const QUAD = 4;
const QUADS = SUB_BLOCK / QUAD;

/** Where canonical words have one bit of a quad's codes. */
function quadBit(bits: number, quad: number, bit: number): QuadPlace {
  const whole = bits * Math.floor(8 / bits); // bits of whole codes in a byte, and quads that are whole
  if (quad < whole) return { word: quad % bits, shift: bits * Math.floor(quad / bits) + bit };
  const number = (quad - whole) * bits + bit;
  return { word: Math.floor(number / (8 - whole)), shift: whole + (number % (8 - whole)) };
}

const quadPlaces = new Map<string, readonly QuadPlace[]>();

/** Places of one bit of all quads of a sub-block: the same object for the same arguments. */
function placesOfBit(bits: number, bit: number): readonly QuadPlace[] {
  const key = `${bits} ${bit}`;
  const places = quadPlaces.get(key) ?? Array.from({ length: QUADS }, (_, quad) => quadBit(bits, quad, bit));
  quadPlaces.set(key, places);
  return places;
}

/** Canonical planes of codes of `bits` from `byteOffset` on: one of whole codes where these fill bytes, else one for each bit. */
export function planesFor(bits: number, byteOffset: number): Plane[] {
  const stride = QUAD * bits;
  if (8 % bits === 0) return [{ bits, place: 0, byteOffset, period: QUAD * bits, stride }];
  return Array.from({ length: bits }, (_, bit) => ({
    ...{ bits: 1, place: bit, byteOffset, period: QUAD, stride },
    quads: placesOfBit(bits, bit),
  }));
}

/** Where a plane has its bits of one element of a block. */
function placeOf(
  { bits, byteOffset, period, stride, quads }: Plane,
  element: number,
): { byteOffset: number; shift: number } {
  if (quads) {
    const { word, shift } = quads[Math.floor((element % SUB_BLOCK) / QUAD)]!;
    const subBlock = byteOffset + Math.floor(element / SUB_BLOCK) * stride;
    return { byteOffset: subBlock + QUAD * word + (element % QUAD), shift };
  }
  const chunk = (period * 8) / bits;
  const within = element % chunk;
  return {
    byteOffset: byteOffset + Math.floor(element / chunk) * stride + (within % period),
    shift: bits * Math.floor(within / period),
  };
}

/** A plane's bits of elements 0 .. count - 1. */
export function planeTable(plane: Plane, count: number): BitTable {
  const places = Array.from({ length: count }, (_, element) => placeOf(plane, element));
  return {
    bits: plane.bits,
    place: plane.place,
    byteOffsets: places.map(({ byteOffset }) => byteOffset),
    shifts: places.map(({ shift }) => shift),
  };
}

const PLANE_KEYS = ['bits', 'place', 'byteOffset', 'period', 'stride', 'quads'] as const;

/** True where a plain format's blocks already lie as kernels read them, so that panels only interleave the rows' bytes. */
export function isCanonical({ bits, planes, subScale, subMin }: NumberFormat): boolean {
  const wanted = planesFor(bits, planes[0]!.byteOffset);
  return (
    subScale === null &&
    subMin === null &&
    wanted.every((plane, p) => PLANE_KEYS.every((key) => plane[key] === planes[p]?.[key]))
  );
}

/** True where a block is one group of evenly spaced codes in canonical planes under a float scale. */
export const isSimple = (format: NumberFormat): boolean =>
  isCanonical(format) && format.codebook === null && format.scale.dtype !== 'e8m0';

/** Group integers as whole bytes from `byteOffset` on: each an int8, or both in one byte where they fit. */
function canonicalGroups(
  { subScale, subMin, blockSize, groupSize }: NumberFormat,
  byteOffset: number,
): { subScale: GroupField | null; subMin: GroupField | null; size: number } {
  const count = blockSize / groupSize;
  const groups = Array.from({ length: count }, (_, group) => group);
  const isShared = subScale !== null && subMin !== null && subScale.bits + subMin.bits <= 8;
  const bytes = ({ range }: GroupField, start: number, bits: number, shift: number): GroupField => ({
    range,
    bits,
    isSigned: bits === 8,
    bias: 0,
    tables: [{ bits, place: 0, byteOffsets: groups.map((g) => start + g), shifts: groups.map(() => shift) }],
  });
  if (isShared) {
    const low = bytes(subScale, byteOffset, subScale.bits, 0);
    return { subScale: low, subMin: bytes(subMin, byteOffset, subMin.bits, subScale.bits), size: count };
  }
  const first = subScale === null ? 0 : count;
  return {
    subScale: subScale === null ? null : bytes(subScale, byteOffset, 8, 0),
    subMin: subMin === null ? null : bytes(subMin, byteOffset + first, 8, 0),
    size: first + (subMin === null ? 0 : count),
  };
}

/** One row of the layout that kernels read: header fields, then group integers as bytes, then canonical planes. */
function canonical(format: NumberFormat): NumberFormat {
  if (isCanonical(format)) return format;
  let byteOffset = 0;
  const place = <T extends Field>(field: T): T => {
    const placed = { ...field, byteOffset };
    byteOffset += FIELD_BYTES[field.dtype];
    return placed;
  };
  const { scale, min } = format;
  const header = { scale: place(scale), min: min === null ? null : place(min) };
  const { subScale, subMin, size } = canonicalGroups(format, byteOffset);
  // Vectors of panels lie in whole cache lines, where blocks are so long that it costs next to nothing.
  const end = byteOffset + size;
  const start = subScale === null ? end : Math.ceil(end / QUAD) * QUAD;
  const planes = planesFor(format.bits, start);
  const blockBytes = start + (format.blockSize * format.bits) / 8;
  return { ...format, ...header, subScale, subMin, planes, blockBytes };
}

const panels = new WeakMap<NumberFormat, Map<number, NumberFormat>>();

/**
 * The format `<name>x<rows>` whose canonical blocks of `rows` neighbouring rows are interleaved: for each block along K
 * first every header field, gathered for the rows, then the group integers' bytes (byte b of row r at b * rows + r), then
 * the code words (word w of row r at w * rows + r). A 16-byte load of an x4 panel is the same four elements of four rows.
 * A panel's `blockBytes`, fields and planes are those of one canonical row; `fieldOffset`, `codeParts` and `groupOffset` say
 * where they lie interleaved. The same object for the same arguments.
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
  const layout: NumberFormat = {
    ...canonical(format),
    name: `${format.name}x${rows}`,
    panelRows: rows,
    ggufType: null,
  };
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

export const FIELD_BYTES: Readonly<Record<Field['dtype'], number>> = {
  f32: 4,
  f16: 2,
  i32: 4,
  i16x2: 4,
  u8: 1,
  e8m0: 1,
};

/** Bytes of one block of all rows of a panel (of one row where the layout is plain). */
export const panelBlockBytes = (format: NumberFormat): number => format.blockBytes * format.panelRows;

/** Byte offset of `field` of panel row `row` within a panel block; the rows' fields are contiguous. */
export const fieldOffset = (format: NumberFormat, field: Field, row = 0): number =>
  field.byteOffset * format.panelRows + row * FIELD_BYTES[field.dtype];

/** The bytes between group integers and codes that hold nothing, one after the other. */
export function paddingBytes({ scale, min, subScale, subMin, planes }: NumberFormat): number[] {
  const fields = [scale, min].filter((field) => field !== null);
  const groups = [subScale, subMin].filter((field) => field !== null);
  const ends = [
    ...fields.map(({ byteOffset, dtype }) => byteOffset + FIELD_BYTES[dtype]),
    ...groups.map(({ tables }) => Math.max(...tables[0]!.byteOffsets) + 1),
  ];
  const [first, end] = [Math.max(...ends), planes[0]!.byteOffset];
  return groups.length === 0 ? [] : Array.from({ length: end - first }, (_, i) => first + i);
}

/** Byte offset within a panel block of a group integer's byte of panel row `row`; the rows' bytes are contiguous. */
export const groupOffset = (format: NumberFormat, byteOffset: number, row = 0): number =>
  byteOffset * format.panelRows + row;

/** What says where codes are. */
type CodeLayout = Pick<NumberFormat, 'planes' | 'panelRows'>;

/** Byte offset within a panel block of byte `byteOffset` of row 0's codes: the rows' codes are interleaved by words. */
const codeOffset = ({ planes, panelRows }: CodeLayout, byteOffset: number): number =>
  byteOffset * panelRows - ((byteOffset - planes[0]!.byteOffset) % 4) * (panelRows - 1);

/** The tables of all codes of a block, for panel row 0; row r's bytes follow at + 4 * r. */
export const codeTables = (format: NumberFormat): BitTable[] =>
  format.planes.map((plane) => {
    const table = planeTable(plane, format.blockSize);
    return { ...table, byteOffsets: table.byteOffsets.map((byte) => codeOffset(format, byte)) };
  });

/**
 * Where a part of the codes of four neighbouring elements lies: element i of them in the byte at byteOffset + i * byteStep,
 * shift + i * shiftStep bits up. In panels byteStep is 1 and shiftStep 0: one byte of a 4-byte word each.
 */
export interface CodePart {
  /** Byte offset of panel row 0's word within a panel block; row r's follows at + 4 * r. */
  readonly byteOffset: number;
  readonly byteStep: 0 | 1;
  /** Right shift within each byte, then the mask. */
  readonly shift: number;
  readonly shiftStep: number;
  readonly mask: number;
  /** Left shift of the masked bits in the code; a code is the OR of its parts, XORed with `codeXor`. */
  readonly place: number;
}

/**
 * The parts of the codes of the elements 4 * group .. 4 * group + 3 of a block, in the order of the planes. Planes whose bits
 * are side by side are one part.
 */
export function codeParts(layout: CodeLayout, group: number): CodePart[] {
  const parts: CodePart[] = [];
  for (const plane of layout.planes) {
    const { byteOffset: at, shift } = placeOf(plane, QUAD * group);
    const [byteOffset, before] = [codeOffset(layout, at), parts.at(-1)];
    const step = before ? shift - before.shift : 0;
    const isNext =
      before?.byteStep === 1 &&
      before.byteOffset === byteOffset &&
      before.mask === 2 ** step - 1 &&
      plane.place === before.place + step;
    if (isNext) parts[parts.length - 1] = { ...before, mask: 2 ** (step + plane.bits) - 1 };
    else
      parts.push({
        byteOffset,
        byteStep: plane.period === 1 ? 0 : 1,
        shift,
        shiftStep: plane.period === 1 ? plane.bits : 0,
        mask: 2 ** plane.bits - 1,
        place: plane.place,
      });
  }
  return parts;
}

/** Elements of one stored sum of codes; 0 where there are none. */
export const sumSize = ({ codeSum, blockSize }: NumberFormat): number =>
  codeSum === null ? 0 : codeSum.dtype === 'i32' ? blockSize : blockSize / 2;

/** Bits of an unsigned level: of a code, or of the codebook's entries. */
export const levelBits = ({ bits, codebook }: NumberFormat): number =>
  codebook === null ? bits : Math.ceil(Math.log2(Math.max(...codebook) + 1));

/** Stored bits per element, scales included. */
export const bitsPerElement = (format: NumberFormat): number => (format.blockBytes * 8) / format.blockSize;
