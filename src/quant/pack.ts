/**
 * Numbers to bytes and back for every format and layout, all derived from the format's row. These are
 * the plain twins of the kernels' decoders.
 */
import { dtypeName, type ElementType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../ir/float16.ts';
import { byteLength } from '../ir/shape.ts';
import { type BlockParameters, encodeBlock, fitBlock } from './block-fit.ts';
import {
  codeParts,
  type Field,
  fieldOffset,
  isNumberFormat,
  type NumberFormat,
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

function writeField(view: DataView, at: number, field: Field, value: number): void {
  if (field.dtype === 'f16') view.setUint16(at, numberToF16(value), true);
  else if (field.dtype === 'f32') view.setFloat32(at, value, true);
  else if (field.dtype === 'i32') view.setInt32(at, value, true);
  else view.setUint8(at, value);
}

function readField(view: DataView, at: number, field: Field): number {
  if (field.dtype === 'f16') return f16ToNumber(view.getUint16(at, true));
  if (field.dtype === 'f32') return view.getFloat32(at, true);
  if (field.dtype === 'i32') return view.getInt32(at, true);
  return view.getUint8(at);
}

/** Where one plane keeps the code bits of each element of a block, as `codeParts` says. */
interface PlaneTable {
  readonly byteOffsets: Int32Array;
  readonly shifts: Uint8Array;
  readonly mask: number;
  readonly place: number;
}

function planeTables(format: NumberFormat): PlaneTable[] {
  const groups = Array.from({ length: format.blockSize / 4 }, (_, group) => codeParts(format, group));
  return format.planes.map((plane, p) => ({
    byteOffsets: Int32Array.from({ length: format.blockSize }, (_, i) => groups[i >> 2]![p]!.byteOffset + (i & 3)),
    shifts: Uint8Array.from({ length: format.blockSize }, (_, i) => groups[i >> 2]![p]!.shift),
    mask: 2 ** plane.bits - 1,
    place: plane.place,
  }));
}

/** ORs one block's codes into `bytes`, which are zero there; `at` is the byte offset of the panel block plus 4 * lane. */
function writeCodes(
  tables: readonly PlaneTable[],
  codes: Uint8Array,
  codeXor: number,
  bytes: Uint8Array,
  at: number,
): void {
  for (const { byteOffsets, shifts, mask, place } of tables) {
    for (let i = 0; i < codes.length; i++) {
      bytes[at + byteOffsets[i]!]! |= (((codes[i]! ^ codeXor) >> place) & mask) << shifts[i]!;
    }
  }
}

function readCodes(
  tables: readonly PlaneTable[],
  codes: Uint8Array,
  codeXor: number,
  bytes: Uint8Array,
  at: number,
): void {
  codes.fill(codeXor);
  for (const { byteOffsets, shifts, mask, place } of tables) {
    for (let i = 0; i < codes.length; i++) codes[i]! ^= ((bytes[at + byteOffsets[i]!]! >> shifts[i]!) & mask) << place;
  }
}

/** Checks that a block's parameters can be stored. Throws BAD_WEIGHTS naming the place. */
function requireStorable(format: NumberFormat, { scale, min }: BlockParameters, row: number, column: number): void {
  const most = format.scale.dtype === 'f16' ? 65504 : Number.MAX_VALUE;
  if (Math.abs(scale) <= most && Math.abs(min) <= most) return;
  throw new BitloomError(
    'BAD_WEIGHTS',
    `row ${row}, columns ${column}-${column + format.blockSize - 1} hold NaN, an infinity or values too large for ${format.name}`,
    { row, column, scale, min },
  );
}

function packBlocks(format: NumberFormat, values: Float32Array, columns: number, bytes: Uint8Array): void {
  const { blockSize, panelRows, scale, min, zeroPoint, codeSum } = format;
  const view = viewOf(bytes);
  const tables = planeTables(format);
  bytes.fill(0);
  const codes = new Uint8Array(blockSize);
  const parameters: BlockParameters = { scale: 0, min: 0, origin: 0 };
  const blocks = columns / blockSize;
  for (let row = 0; row * columns < values.length; row++) {
    const lane = row % panelRows;
    for (let block = 0; block < blocks; block++) {
      const base = (((row - lane) / panelRows) * blocks + block) * panelBlockBytes(format);
      const start = row * columns + block * blockSize;
      fitBlock(format, values, start, start + blockSize, parameters);
      requireStorable(format, parameters, row, block * blockSize);
      encodeBlock(format, values, start, parameters, codes);
      writeField(view, base + fieldOffset(format, scale, lane), scale, parameters.scale);
      if (min !== null) writeField(view, base + fieldOffset(format, min, lane), min, parameters.min);
      if (zeroPoint !== null)
        writeField(view, base + fieldOffset(format, zeroPoint, lane), zeroPoint, parameters.origin);
      if (codeSum !== null) {
        const sum = codes.reduce((total, code) => total + code - format.offset, 0);
        writeField(view, base + fieldOffset(format, codeSum, lane), codeSum, sum);
      }
      writeCodes(tables, codes, format.codeXor, bytes, base + 4 * lane);
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
  const { blockSize, panelRows, offset } = format;
  const view = viewOf(bytes);
  const tables = planeTables(format);
  const codes = new Uint8Array(blockSize);
  const blocks = columns / blockSize;
  for (let row = 0; row * columns < values.length; row++) {
    const lane = row % panelRows;
    const field = (base: number, which: Field) => readField(view, base + fieldOffset(format, which, lane), which);
    for (let block = 0; block < blocks; block++) {
      const base = (((row - lane) / panelRows) * blocks + block) * panelBlockBytes(format);
      const scale = field(base, format.scale);
      const min = format.min === null ? -0 : field(base, format.min); // x + -0 is x, its sign too
      const origin = format.zeroPoint === null ? offset : field(base, format.zeroPoint);
      readCodes(tables, codes, format.codeXor, bytes, base + 4 * lane);
      const start = row * columns + block * blockSize;
      for (let i = 0; i < blockSize; i++) values[start + i] = Math.fround((codes[i]! - origin) * scale) + min;
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
