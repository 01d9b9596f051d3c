/** How attention reads rows of its cache as vectors of four f32: from floats, or from blocks of int8 codes under a scale. */
import type { ElementType } from '../../ir/dtype.ts';
import { isNumberFormat, isSimple, type NumberFormat } from '../../quant/number-format.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat, loadFloatPair } from '../decode.ts';
import { add, type BufferParam, divU, type Expr, mul, type Operand, remU, unary } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';

const LANES = 4;

/** Where an element of a row lies: the byte offset of its block, and its number in the block. */
export interface ElementPlace {
  readonly at: Expr;
  readonly within: Operand;
}

export interface CacheRows {
  rowBytes(dim: number): number;
  /** Elements that a loop along a row of `dim` takes at a time. */
  step(dim: number): number;
  /** The place of `element` of the row at byte `row`. */
  place(row: Expr, element: Expr): ElementPlace;
  /** Reads `count` elements from a place on, within its block: those from `from` to `from` + 3. Shared loads are made once. */
  read(k: KernelBuilder, buffer: BufferParam, place: ElementPlace, count: number): (from: number) => Expr;
}

function floatRows(dtype: FloatType): CacheRows {
  const bytes = FLOAT_BYTES[dtype];
  return {
    rowBytes: (dim) => dim * bytes,
    step: (dim) => (dim % 16 === 0 ? 16 : LANES),
    place: (row, element) => ({ at: add(row, mul(element, bytes)), within: 0 }),
    read(k, buffer, { at }, count) {
      const pairs = new Map<number, [Expr, Expr]>();
      return (from) => {
        const start = from - (from % (2 * LANES));
        if (start + 2 * LANES > count) return loadFloat(k, dtype, buffer, add(at, from * bytes), LANES);
        const pair = pairs.get(start) ?? loadFloatPair(k, dtype, buffer, add(at, start * bytes), LANES);
        pairs.set(start, pair);
        return pair[(from - start) / LANES]!;
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
    read(k, buffer, { at, within }) {
      const block = k.let(at);
      const { dtype, byteOffset } = format.scale;
      const scale = k.let(loadFloat(k, dtype as FloatType, buffer, add(block, byteOffset)));
      const codes = k.let(add(block, within));
      return (from) => {
        const vector = k.load(buffer, 'i8', add(codes, planes[0]!.byteOffset + from), LANES);
        return mul(unary('to_f32', vector), scale);
      };
    },
  };
}

/** The reader of a cache's element type; undefined where attention has none. */
export function cacheRows(dtype: ElementType): CacheRows | undefined {
  if (isFloatType(dtype)) return floatRows(dtype);
  return isNumberFormat(dtype) && hasInt8Codes(dtype) ? codeRows(dtype) : undefined;
}
