/**
 * Matrices that products read, as logical [rows, depth] f32, whatever their element type and strides;
 * and the packing of some of their rows into a panel [depth][width] f32, zero-padded to the width.
 */
import { type ElementType, isPacked } from '../../ir/dtype.ts';
import { BitloomError } from '../../ir/error.ts';
import { isNumberFormat, type NumberFormat } from '../../quant/number-format.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat } from '../decode.ts';
import {
  add,
  type BufferParam,
  binary,
  constant,
  divU,
  type Expr,
  F32,
  i32,
  mul,
  sub,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { decodeRow, packedRow } from '../packed-block.ts';
import { transposeSquare } from './transpose.ts';

/** One matrix operand. Strides count elements and are of no meaning for packed types, whose rows are dense. */
export interface MatrixSource {
  readonly buffer: BufferParam;
  readonly dtype: FloatType | NumberFormat;
  readonly rows: number;
  readonly depth: number;
  readonly rowStride: number;
  readonly depthStride: number;
  readonly batchStride: number;
  /** Elements in front of a batch entry, where they are not that many strides. */
  readonly batchOffset?: (batch: Expr) => Expr;
  /** Room for one block of `mostRows` rows of a packed type, as f32. */
  readonly decoded?: { readonly buffer: BufferParam; readonly byteOffset: number };
  /** Packs in place of `packPanel`, of whole rows one range of depth after the other; the rest is then of no meaning. */
  readonly pack?: (row: Expr, validRows: number, range: DepthRange, target: PanelTarget) => void;
}

/** A right operand that is no matrix in memory: its columns write themselves to scratch as [depth][pitch] f32. */
export interface ColumnSource {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
  /** Columns that there is room for, and more, so that depths lie in different sets of a cache. */
  readonly pitch: number;
  write(batch: Expr, firstColumn: Expr, lastColumn: Expr, range: DepthRange): void;
}

/** Elements of a matrix in front of a batch entry. */
export const batchOffset = (source: MatrixSource, batch: Expr): Expr =>
  source.batchOffset?.(batch) ?? mul(batch, source.batchStride);

/** Rows of a panel at most: three vectors, or what four-lane machines pack of the other operand. */
const mostRows = (k: KernelBuilder): number => Math.max(16, 3 * k.lanes);

/** A dense row-major [rows, depth] operand of any type that kernels read. */
export function denseSource(
  k: KernelBuilder,
  buffer: BufferParam,
  dtype: ElementType,
  rows: number,
  depth: number,
): MatrixSource {
  if (!isFloatType(dtype) && !isNumberFormat(dtype)) {
    const name = isPacked(dtype) ? dtype.name : dtype;
    throw new BitloomError('UNSUPPORTED_DTYPE', `no kernel reads ${name} as numbers`, { dtype: name });
  }
  const decoded = isFloatType(dtype) ? {} : { decoded: k.threadScratch(4 * mostRows(k) * dtype.blockSize) };
  return { buffer, dtype, rows, depth, rowStride: depth, depthStride: 1, batchStride: rows * depth, ...decoded };
}

export const isReadable = (dtype: ElementType): boolean => isFloatType(dtype) || isNumberFormat(dtype);

/** A range of depth being packed; whole blocks of packed types. */
export interface DepthRange {
  readonly start: Expr;
  readonly length: Expr;
}

/** Where a panel goes: [depth][width] f32 from `byteOffset` on. */
export interface PanelTarget {
  readonly buffer: BufferParam;
  readonly byteOffset: Expr;
  readonly width: number;
}

/**
 * Packs rows row .. row + width - 1 over a range of depth. `validRows` of them exist; the others become zeros.
 * `batchOffset` counts elements.
 */
export function packPanel(
  k: KernelBuilder,
  source: MatrixSource,
  batchOffset: Expr,
  row: Expr,
  validRows: number,
  range: DepthRange,
  target: PanelTarget,
): void {
  const { dtype } = source;
  if (source.pack) {
    source.pack(row, validRows, range, target);
    return;
  }
  if (!isFloatType(dtype)) {
    packBlocks(k, source, dtype, row, validRows, range, target);
    return;
  }
  const bytes = FLOAT_BYTES[dtype];
  const start = k.let(
    mul(add(add(batchOffset, mul(row, source.rowStride)), mul(range.start, source.depthStride)), bytes),
  );
  const load = (at: Expr, r: number, lanes: number): Expr =>
    loadFloat(k, dtype, source.buffer, add(at, bytes * r * source.rowStride), lanes);
  const store = (to: Expr, depth: number, r: number, value: Expr): void =>
    k.store(target.buffer, 'f32', add(to, 4 * (depth * target.width + r)), value);
  const walk = (depths: number, part: WalkedPart, body: (from: Expr, to: Expr) => void): void =>
    walkDepth(k, { ...part, fromStep: bytes * source.depthStride, toStep: 4 * target.width, depths }, body);
  if (source.depthStride === 1) {
    packAcross(k, source.depth, range.length, (size, done, count) => {
      const from = add(start, mul(done, bytes));
      const to = add(target.byteOffset, mul(done, 4 * target.width));
      walk(size, { from, to, count }, (at, place) => {
        for (let r = 0; r < target.width; r += size) {
          const rows = Array.from({ length: size }, (_, i) =>
            r + i < validRows ? k.let(load(at, r + i, size)) : constant(vectorType('f32', size), 0),
          );
          const columns = size === 1 ? rows : transposeSquare(k, rows);
          for (const [d, column] of columns.entries()) store(place, d, r, column);
        }
      });
    });
    return;
  }
  walk(1, { from: start, to: target.byteOffset, count: range.length }, (from, to) => {
    let r = 0;
    for (const lanes of source.rowStride === 1 ? widths(k) : [])
      for (; r + lanes <= validRows; r += lanes) store(to, 0, r, load(from, r, lanes));
    for (; r < target.width; r++) store(to, 0, r, r < validRows ? load(from, r, 1) : constant(F32, 0));
  });
}

/** Lanes of vectors, widest first. */
const widths = (k: KernelBuilder): number[] => [16, 8, 4].filter((lanes) => lanes <= k.lanes);

/**
 * Covers `length` depths, the last ones of `depth` or a multiple of the lanes, by squares: as many depths as there are
 * lanes at a time, then 4, then single ones. The body gets a square's side, the depths done before, and those to do.
 */
function packAcross(
  k: KernelBuilder,
  depth: number,
  length: Expr,
  body: (size: number, done: Expr, count: Expr) => void,
): void {
  let done: Expr = i32(0);
  for (const size of [...new Set([k.lanes, 4, 1])]) {
    if (depth < size) continue;
    const end = size === 1 ? length : k.let(binary('and', length, -size));
    body(size, done, k.let(sub(end, done)));
    if (depth % size === 0) return;
    done = end;
  }
}

/** Where a walk over `count` depths begins. */
interface WalkedPart {
  readonly from: Expr;
  readonly to: Expr;
  readonly count: Expr;
}

/** A walk of two pointers, `depths` at a time. */
interface DepthWalk extends WalkedPart {
  readonly fromStep: number;
  readonly toStep: number;
  readonly depths: number;
}

function walkDepth(k: KernelBuilder, walk: DepthWalk, body: (from: Expr, to: Expr) => void): void {
  const from = k.variable(walk.from);
  const first = k.let(walk.to);
  k.loop(first, add(first, mul(walk.count, walk.toStep)), walk.toStep * walk.depths, (to) => {
    body(from, to);
    k.set(from, add(from, walk.fromStep * walk.depths));
  });
}

/** Number formats: block after block, whose rows are decoded to f32 in scratch and packed from there. */
function packBlocks(
  k: KernelBuilder,
  source: MatrixSource,
  format: NumberFormat,
  row: Expr,
  validRows: number,
  range: DepthRange,
  target: PanelTarget,
): void {
  const { blockSize } = format;
  const { buffer, byteOffset } = source.decoded!;
  const decoded: MatrixSource = {
    ...source,
    buffer,
    dtype: 'f32',
    depth: blockSize,
    rowStride: blockSize,
    depthStride: 1,
  };
  const to = k.variable(target.byteOffset);
  k.loop(range.start, add(range.start, range.length), blockSize, (depth) => {
    const first = k.let(divU(depth, blockSize));
    k.loop(0, validRows, 1, (r) => {
      const place = packedRow(k, format, k.let(add(row, r)), source.depth);
      decodeRow(k, format, source.buffer, place, { first, count: 1 }, buffer, add(mul(r, 4 * blockSize), byteOffset));
    });
    const block = { start: i32(0), length: i32(blockSize) };
    packPanel(k, decoded, i32(byteOffset / 4), i32(0), validRows, block, { ...target, byteOffset: to });
    k.set(to, add(to, 4 * target.width * blockSize));
  });
}
