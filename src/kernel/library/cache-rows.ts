/** How attention reads rows of its cache as vectors of f32: from floats, or from blocks of int8 codes under a scale. */
import type { ElementType } from '../../ir/dtype.ts';
import { isNumberFormat, isSimple, type NumberFormat } from '../../quant/number-format.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat, loadFloatPair } from '../decode.ts';
import { add, type BufferParam, divU, type Expr, mul, type Operand, remU, splat, unary } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';

/** Where an element of a row lies: the byte offset of its block, and its number in the block. */
export interface ElementPlace {
  readonly at: Expr;
  readonly within: Operand;
}

/** Gives the vector that begins at an element. */
export type RowReader = (from: number) => Expr;

export interface CacheRows {
  rowBytes(dim: number): number;
  /** Elements that a loop along a row of `dim` takes at a time, by vectors of `lanes`. */
  step(dim: number, lanes: number): number;
  /** The place of `element` of the row at byte `row`. */
  place(row: Expr, element: Expr): ElementPlace;
  /**
   * Reads `count` elements from a place on: `lanes` of them from `from` on. They lie within the place's block, or are
   * whole blocks. Shared loads are made once.
   */
  read(k: KernelBuilder, buffer: BufferParam, place: ElementPlace, count: number, lanes: number): RowReader;
}

function floatRows(dtype: FloatType): CacheRows {
  const bytes = FLOAT_BYTES[dtype];
  return {
    rowBytes: (dim) => dim * bytes,
    step: (dim, lanes) => (dim % (4 * lanes) === 0 ? 4 * lanes : lanes),
    place: (row, element) => ({ at: add(row, mul(element, bytes)), within: 0 }),
    read(k, buffer, { at }, count, lanes) {
      const pairs = new Map<number, [Expr, Expr]>();
      return (from) => {
        const start = from - (from % (2 * lanes));
        // Wider machines widen 16-bit numbers as they load them.
        if (k.lanes > 4 || start + 2 * lanes > count) return loadFloat(k, dtype, buffer, add(at, from * bytes), lanes);
        const pair = pairs.get(start) ?? loadFloatPair(k, dtype, buffer, add(at, start * bytes), lanes);
        pairs.set(start, pair);
        return pair[(from - start) / lanes]!;
      };
    },
  };
}

/** True for blocks of two's complement int8 codes under one scale, such as Q8_0. */
const hasInt8Codes = (format: NumberFormat): boolean =>
  isSimple(format) &&
  format.panelRows === 1 &&
  format.bits === 8 &&
  format.offset === 128 &&
  format.codeXor === 0x80 &&
  format.min === null &&
  format.zeroPoint === null;

function codeRows(format: NumberFormat): CacheRows {
  const { blockSize, blockBytes, planes } = format;
  return {
    rowBytes: (dim) => (dim / blockSize) * blockBytes,
    step: () => blockSize,
    place: (row, element) => ({
      at: add(row, mul(divU(element, blockSize), blockBytes)),
      within: remU(element, blockSize),
    }),
    read(k, buffer, { at, within }, count, lanes) {
      const row = k.let(at);
      const first = count > blockSize ? row : k.let(add(row, within));
      const scales = new Map<number, Expr>();
      const scaleOf = (block: number): Expr => {
        const { dtype, byteOffset } = format.scale;
        const scale = loadFloat(k, dtype as FloatType, buffer, add(row, block * blockBytes + byteOffset));
        const all = scales.get(block) ?? k.let(splat(scale, lanes));
        scales.set(block, all);
        return all;
      };
      return (from) => {
        const block = Math.floor(from / blockSize);
        const code = block * blockBytes + planes[0]!.byteOffset + (from % blockSize);
        return mul(unary('to_f32', k.load(buffer, 'i8', add(first, code), lanes)), scaleOf(block));
      };
    },
  };
}

/** The reader of a cache's element type; undefined where attention has none. */
export function cacheRows(dtype: ElementType): CacheRows | undefined {
  if (isFloatType(dtype)) return floatRows(dtype);
  return isNumberFormat(dtype) && hasInt8Codes(dtype) ? codeRows(dtype) : undefined;
}
