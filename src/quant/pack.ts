/**
 * Numbers to bytes and back for every format and layout, all derived from the format's row. These are
 * the plain twins of the kernels' decoders.
 */
import { dtypeName, type ElementType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../ir/float16.ts';
import { byteLength } from '../ir/shape.ts';
import { type BlockFit, BlockFitter, blockFit } from './block-fit.ts';
import {
  type BitTable,
  codeTables,
  type Field,
  fieldOffset,
  type GroupField,
  groupOffset,
  isNumberFormat,
  type NumberFormat,
  type ParameterField,
  panelBlockBytes,
} from './number-format.ts';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Checks that rows of `columns` elements divide into blocks. Throws SHAPE_MISMATCH. */
export function requireBlocks(type: ElementType, columns: number): void {
  if (isNumberFormat(type) && columns % type.blockSize !== 0) {
    const { name, blockSize } = type;
    throw new BitloomError(
      'SHAPE_MISMATCH',
      `${name} stores blocks of ${blockSize} along the last axis, and ${columns} is no multiple of it; choose a smaller group`,
      { format: name, columns, blockSize },
    );
  }
}

function writeField(view: DataView, at: number, field: ParameterField, value: number): void {
  if (field.dtype === 'f16') view.setUint16(at, numberToF16(value), true);
  else if (field.dtype === 'f32') view.setFloat32(at, value, true);
  else if (field.dtype === 'e8m0') view.setUint8(at, Math.round(Math.log2(value)) + 128);
  else view.setUint8(at, value);
}

function readField(view: DataView, at: number, field: ParameterField): number {
  if (field.dtype === 'f16') return f16ToNumber(view.getUint16(at, true));
  if (field.dtype === 'f32') return view.getFloat32(at, true);
  const byte = view.getUint8(at);
  return field.dtype === 'e8m0' ? 2 ** (byte - 128) : byte;
}

/** Where integers of up to 8 bits are stored, ready for loops over bytes. */
class BitPlaces {
  readonly #tables: readonly { byteOffsets: Int32Array; shifts: Uint8Array; mask: number; place: number }[];
  readonly #xor: number;

  /** Stored integer = integer XOR `xor`. */
  constructor(tables: readonly BitTable[], xor: number) {
    this.#xor = xor;
    this.#tables = tables.map(({ bits, place, byteOffsets, shifts }) => ({
      byteOffsets: Int32Array.from(byteOffsets),
      shifts: Uint8Array.from(shifts),
      mask: 2 ** bits - 1,
      place,
    }));
  }

  /** ORs integers into `bytes`, which are zero there; `at` is the start of the panel block plus the panel row's distance. */
  write(integers: Uint8Array, bytes: Uint8Array, at: number): void {
    for (const { byteOffsets, shifts, mask, place } of this.#tables) {
      for (let i = 0; i < integers.length; i++) {
        bytes[at + byteOffsets[i]!]! |= (((integers[i]! ^ this.#xor) >> place) & mask) << shifts[i]!;
      }
    }
  }

  read(integers: Uint8Array, bytes: Uint8Array, at: number): void {
    integers.fill(this.#xor);
    for (const { byteOffsets, shifts, mask, place } of this.#tables) {
      for (let i = 0; i < integers.length; i++) {
        integers[i]! ^= ((bytes[at + byteOffsets[i]!]! >> shifts[i]!) & mask) << place;
      }
    }
  }
}

/** The group integers of a layout: signed numbers in memory, biased or two's complement bits in blocks. */
class GroupPlaces {
  readonly #places: BitPlaces;
  readonly #bias: number;
  readonly #raw: Uint8Array;

  constructor(format: NumberFormat, { bits, isSigned, bias, tables }: GroupField) {
    const sign = 2 ** (bits - 1);
    const inPanel = tables.map((table) => ({
      ...table,
      byteOffsets: table.byteOffsets.map((byte) => groupOffset(format, byte)),
    }));
    this.#places = new BitPlaces(inPanel, isSigned ? sign : 0);
    this.#bias = isSigned ? sign : bias;
    this.#raw = new Uint8Array(format.blockSize / format.groupSize);
  }

  write(integers: Int32Array, bytes: Uint8Array, at: number): void {
    for (let g = 0; g < integers.length; g++) this.#raw[g] = integers[g]! + this.#bias;
    this.#places.write(this.#raw, bytes, at);
  }

  read(integers: Int32Array, bytes: Uint8Array, at: number): void {
    this.#places.read(this.#raw, bytes, at);
    for (let g = 0; g < integers.length; g++) integers[g] = this.#raw[g]! - this.#bias;
  }
}

/** Where a layout's codes and group integers are. */
function placesOf(format: NumberFormat): {
  codes: BitPlaces;
  subScales: GroupPlaces | null;
  subMins: GroupPlaces | null;
} {
  const { codeXor, subScale, subMin } = format;
  return {
    codes: new BitPlaces(codeTables(format), codeXor),
    subScales: subScale === null ? null : new GroupPlaces(format, subScale),
    subMins: subMin === null ? null : new GroupPlaces(format, subMin),
  };
}

/** Checks that a block's parameters can be stored. Throws BAD_WEIGHTS naming the place. */
function requireStorable(format: NumberFormat, { scale, min }: BlockFit, row: number, column: number): void {
  const most = format.scale.dtype === 'f16' ? 65504 : Number.MAX_VALUE;
  if (Math.abs(scale) <= most && Math.abs(min) <= most) return;
  throw new BitloomError(
    'BAD_WEIGHTS',
    `row ${row}, columns ${column}-${column + format.blockSize - 1} hold NaN, an infinity or values too large for ${format.name}`,
    { row, column, scale, min },
  );
}

function writeCodeSums(view: DataView, at: number, { codeSum, offset }: NumberFormat, codes: Uint8Array): void {
  const count = codeSum!.dtype === 'i32' ? 1 : 2;
  const size = codes.length / count;
  for (let i = 0; i < count; i++) {
    const sum = codes.subarray(i * size, (i + 1) * size).reduce((total, code) => total + code - offset, 0);
    if (count === 1) view.setInt32(at, sum, true);
    else view.setInt16(at + 2 * i, sum, true);
  }
}

function packBlocks(format: NumberFormat, values: Float32Array, columns: number, bytes: Uint8Array): void {
  const { blockSize, panelRows, scale, min, zeroPoint, codeSum } = format;
  const view = viewOf(bytes);
  const places = placesOf(format);
  bytes.fill(0);
  const fitter = new BlockFitter(format);
  const fit = blockFit(format);
  const blocks = columns / blockSize;
  for (let row = 0; row * columns < values.length; row++) {
    const lane = row % panelRows;
    for (let block = 0; block < blocks; block++) {
      const base = (((row - lane) / panelRows) * blocks + block) * panelBlockBytes(format);
      const at = (field: Field): number => base + fieldOffset(format, field, lane);
      fitter.fit(values, row * columns + block * blockSize, fit);
      requireStorable(format, fit, row, block * blockSize);
      writeField(view, at(scale), scale, fit.scale);
      if (min !== null) writeField(view, at(min), min, fit.min);
      if (zeroPoint !== null) writeField(view, at(zeroPoint), zeroPoint, fit.origin);
      if (codeSum !== null) writeCodeSums(view, at(codeSum), format, fit.codes);
      places.subScales?.write(fit.subScales, bytes, base + lane);
      places.subMins?.write(fit.subMins, bytes, base + lane);
      places.codes.write(fit.codes, bytes, base + 4 * lane);
    }
  }
}

/**
 * Packs row-major numbers of `columns` per row. Shapes: values `[rows, columns]` f32; result as
 * `byteLength()` of the type says. `target` receives the bytes where given.
 * Throws: SHAPE_MISMATCH, DTYPE_MISMATCH, BAD_WEIGHTS for NaN, infinities and scales beyond f16.
 */
export function pack(type: ElementType, values: Float32Array, columns: number, target?: Uint8Array): Uint8Array {
  requireBlocks(type, columns);
  const rows = columns === 0 ? 0 : values.length / columns;
  const bytes = target ?? new Uint8Array(byteLength({ dtype: type, shape: [rows, columns] }));
  const view = viewOf(bytes);
  if (isNumberFormat(type)) packBlocks(type, values, columns, bytes);
  else if (type === 'f32') for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true);
  else if (type === 'f16') for (let i = 0; i < values.length; i++) view.setUint16(2 * i, numberToF16(values[i]!), true);
  else if (type === 'bf16')
    for (let i = 0; i < values.length; i++) view.setUint16(2 * i, numberToBf16(values[i]!), true);
  else
    throw new BitloomError('DTYPE_MISMATCH', `cannot pack f32 values as ${dtypeName(type)}`, {
      dtype: dtypeName(type),
    });
  return bytes;
}

function unpackBlocks(format: NumberFormat, bytes: Uint8Array, columns: number, values: Float32Array): void {
  const { blockSize, groupSize, panelRows, offset, codebook, scale, min, zeroPoint } = format;
  const view = viewOf(bytes);
  const places = placesOf(format);
  const codes = new Uint8Array(blockSize);
  const groups = blockSize / groupSize;
  const [subScales, subMins] = [new Int32Array(groups).fill(1), new Int32Array(groups).fill(-1)]; // min is subtracted
  const blocks = columns / blockSize;
  for (let row = 0; row * columns < values.length; row++) {
    const lane = row % panelRows;
    const field = (base: number, which: ParameterField) =>
      readField(view, base + fieldOffset(format, which, lane), which);
    for (let block = 0; block < blocks; block++) {
      const base = (((row - lane) / panelRows) * blocks + block) * panelBlockBytes(format);
      const blockScale = field(base, scale);
      const blockMin = min === null ? -0 : field(base, min); // x - -(-0) is x, its sign too
      const origin = zeroPoint === null ? offset : field(base, zeroPoint);
      places.subScales?.read(subScales, bytes, base + lane);
      places.subMins?.read(subMins, bytes, base + lane);
      places.codes.read(codes, bytes, base + 4 * lane);
      if (codebook !== null) for (let i = 0; i < blockSize; i++) codes[i] = codebook[codes[i]!]!;
      const start = row * columns + block * blockSize;
      for (let group = 0; group < groups; group++) {
        const groupScale = Math.fround(blockScale * subScales[group]!);
        const groupMin = Math.fround(blockMin * subMins[group]!);
        for (let i = group * groupSize; i < (group + 1) * groupSize; i++) {
          values[start + i] = Math.fround((codes[i]! - origin) * groupScale) - groupMin;
        }
      }
    }
  }
}

/**
 * The numbers that packed bytes stand for. Shape: `[rows, columns]` f32.
 * Throws: SHAPE_MISMATCH, DTYPE_MISMATCH.
 */
export function unpack(type: ElementType, bytes: Uint8Array, rows: number, columns: number): Float32Array {
  requireBlocks(type, columns);
  const needed = byteLength({ dtype: type, shape: [rows, columns] });
  if (bytes.byteLength < needed) {
    throw new BitloomError(
      'SHAPE_MISMATCH',
      `${dtypeName(type)}[${rows}, ${columns}] takes ${needed} bytes, got ${bytes.byteLength}`,
    );
  }
  const view = viewOf(bytes);
  const values = new Float32Array(rows * columns);
  if (isNumberFormat(type)) unpackBlocks(type, bytes, columns, values);
  else if (type === 'f32') for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
  else if (type === 'f16') for (let i = 0; i < values.length; i++) values[i] = f16ToNumber(view.getUint16(2 * i, true));
  else if (type === 'bf16')
    for (let i = 0; i < values.length; i++) values[i] = bf16ToNumber(view.getUint16(2 * i, true));
  else throw new BitloomError('DTYPE_MISMATCH', `cannot unpack ${dtypeName(type)} as f32`, { dtype: dtypeName(type) });
  return values;
}
