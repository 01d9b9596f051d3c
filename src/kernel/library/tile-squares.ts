/**
 * Squares of a matrix for tile registers: 16 rows by 64 bytes of depth, as 16 vectors. `byRow` has a vector for each row, which
 * is a tile of the first operand; `byWord` one for each 4 bytes of depth with a lane for each row, a tile of the second one.
 * A matrix that lies along its depth gives rows by plain loads, one that lies across it gives words by interleaving; the
 * other is 64 shuffles away. What sticks out of the matrix is zero: ragged edges are first copied, element by element.
 */
import {
  add,
  type BufferParam,
  constant,
  type Expr,
  type MemoryType,
  mul,
  or,
  shl,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { TILES } from '../tile.ts';
import { transposeSquare } from './transpose.ts';

/** Element types that tile products take: both operands have the same one. */
export type TileOperandType = 'bf16' | 'i8' | 'u8';
export const isTileOperand = (dtype: unknown): dtype is TileOperandType =>
  dtype === 'bf16' || dtype === 'i8' || dtype === 'u8';

export const operandBytes = (dtype: TileOperandType): number => (dtype === 'bf16' ? 2 : 1);
/** Elements of depth in a tile. */
export const squareDepth = (dtype: TileOperandType): number => TILES.rowBytes / operandBytes(dtype);

/** An operand [batch, rows, depth]; strides count elements, and that of rows or that of depth is 1. */
export interface TileSource {
  readonly buffer: BufferParam;
  readonly dtype: TileOperandType;
  readonly rows: number;
  readonly depth: number;
  readonly rowStride: number;
  readonly depthStride: number;
  readonly batchStride: number;
}

/** Where a square begins, and how much of it there is. `batchOffset` counts elements. */
export interface SquarePlace {
  readonly batchOffset: Expr;
  readonly row: Expr;
  readonly rows: number;
  readonly depth: Expr;
  readonly depths: number;
}

const SIDE = TILES.rows;
const WORD_BYTES = 4;
const WORDS = vectorType('i32', SIDE);
const ZERO = constant(WORDS, 0);

export class TileSquares {
  readonly #k: KernelBuilder;
  readonly #source: TileSource;
  readonly #bytes: number;
  readonly #memory: MemoryType;
  /** Where ragged squares are put together. */
  readonly #edge: { readonly buffer: BufferParam; readonly byteOffset: number };

  constructor(k: KernelBuilder, source: TileSource) {
    this.#k = k;
    this.#source = source;
    this.#bytes = operandBytes(source.dtype);
    this.#memory = this.#bytes === 2 ? 'u16' : 'u8';
    this.#edge = k.threadScratch(SIDE * TILES.rowBytes);
  }

  byRow(place: SquarePlace): Expr[] {
    const loaded = this.#isAlong ? this.#rows(place) : this.#words(place);
    return loaded.isByRow ? loaded.vectors : transposeSquare(this.#k, loaded.vectors);
  }

  byWord(place: SquarePlace): Expr[] {
    const loaded = this.#isAlong ? this.#rows(place) : this.#words(place);
    return loaded.isByRow ? transposeSquare(this.#k, loaded.vectors) : loaded.vectors;
  }

  get #isAlong(): boolean {
    return this.#source.depthStride === 1;
  }

  #byteAt(place: SquarePlace): Expr {
    const { rowStride, depthStride } = this.#source;
    return mul(add(add(place.batchOffset, mul(place.row, rowStride)), mul(place.depth, depthStride)), this.#bytes);
  }

  #rows(place: SquarePlace): Loaded {
    if (place.depths < squareDepth(this.#source.dtype)) return this.#ragged(place);
    const [k, { buffer, rowStride }] = [this.#k, this.#source];
    const at = k.let(this.#byteAt(place));
    const row = (r: number): Expr =>
      r < place.rows ? k.let(k.load(buffer, 'i32', add(at, r * rowStride * this.#bytes), SIDE)) : ZERO;
    return { isByRow: true, vectors: Array.from({ length: SIDE }, (_, r) => row(r)) };
  }

  /** Interleaves as many depths as a word holds. */
  #words(place: SquarePlace): Loaded {
    if (place.rows < SIDE) return this.#ragged(place);
    const [k, { buffer, depthStride }] = [this.#k, this.#source];
    const [at, perWord] = [k.let(this.#byteAt(place)), WORD_BYTES / this.#bytes];
    const word = (w: number): Expr => {
      const present = Math.min(perWord, place.depths - w * perWord);
      if (present <= 0) return ZERO;
      const parts = Array.from({ length: present }, (_, i) => {
        const from = add(at, (w * perWord + i) * depthStride * this.#bytes);
        return shl(k.load(buffer, this.#memory, from, SIDE), 8 * this.#bytes * i);
      });
      return k.let(parts.reduce((joined, part) => or(joined, part)));
    };
    return { isByRow: false, vectors: Array.from({ length: SIDE }, (_, w) => word(w)) };
  }

  #ragged(place: SquarePlace): Loaded {
    const [k, { buffer, rowStride, depthStride }, edge] = [this.#k, this.#source, this.#edge];
    for (let r = 0; r < SIDE; r++) k.store(edge.buffer, 'i32', edge.byteOffset + r * TILES.rowBytes, ZERO);
    const from = k.let(this.#byteAt(place));
    k.loop(0, place.rows, 1, (r) =>
      k.loop(0, place.depths, 1, (d) => {
        const at = add(from, mul(add(mul(r, rowStride), mul(d, depthStride)), this.#bytes));
        const to = add(add(mul(r, TILES.rowBytes), mul(d, this.#bytes)), edge.byteOffset);
        k.store(edge.buffer, this.#memory, to, k.load(buffer, this.#memory, at));
      }),
    );
    const row = (r: number): Expr => k.let(k.load(edge.buffer, 'i32', edge.byteOffset + r * TILES.rowBytes, SIDE));
    return { isByRow: true, vectors: Array.from({ length: SIDE }, (_, r) => row(r)) };
  }
}

interface Loaded {
  readonly isByRow: boolean;
  readonly vectors: Expr[];
}
