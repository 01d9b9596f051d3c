/**
 * Matrix product C[m, n] = sum over k of A[m, k] * B[n, k] in tile registers (AMX), for bf16 to f32 and for bytes to i32.
 *
 * The micro-kernel multiplies 2 x 2 tiles: 4 of sums, 2 of A, 2 of B, which are all eight. 64 bytes of depth take 4 loads of
 * tiles, 8 cycles each, and 4 products, 16 cycles each: loads are half of what products leave room for. (1 x 1 tile would
 * take 2 loads for one product, 16 cycles for 16; 1 x 2 takes 24 for 32.) Both operands are packed in tiles of 1 KiB
 * (tile-squares.ts), so that a tile is 16 neighbouring cache lines, padded with zeros to whole tiles.
 *
 * Blocking (Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008): a work item owns nc columns and mc
 * rows of C. For kc bytes of depth at a time it packs B, kc x nc, which stays in L2, then one or two pairs of tiles of rows
 * of A, which stay in L1 and meet all columns. Each pair takes 2 KiB of B for 64 cycles of products: 32 bytes a cycle from
 * L2, or 16 where two pairs take them one after the other (32 x kc of B in L1, too). Sums wait in scratch as tiles between
 * pieces of the depth: 4 tiles loaded and stored, 8 KiB, for kc cycles of products. B and these sums fit half of L2.
 * Predicted for bf16 at 1024 x 4096 x 4096, L1 of 48 and L2 of 2048 KiB: two pairs with kc = 512, nc = 384 and mc = 512 take
 * 25 bytes of L2 a cycle, about half of what cores sustain. Moving sums and packing (96 cycles of 512; 88 a square of B for
 * mc, 16 a square of A for nc of products) leave 72 % of 512 products a cycle; the cost model, which knows 24 bytes of L2 a
 * cycle and what of the shorter times does not hide, says 56 %.
 *
 * f32 sums of tile products take denormals for zeros and make zeros of them: of bf16 numbers whose products are all below
 * 2^-126 nothing is left. Within a product there are two chains (tile.ts), then pieces of 64 bytes are added in order.
 */
import { add, type BufferParam, divU, type Expr, I32, i32, min, mul, remU, sub } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import type { KernelRequest, Schedule } from '../template.ts';
import { TILES, type Tile, type TileDot } from '../tile.ts';
import type { GemmSizes } from './gemm.ts';
import type { Results } from './results.ts';
import {
  operandBytes,
  type SquarePlace,
  squareDepth,
  type TileOperandType,
  type TileSource,
  TileSquares,
} from './tile-squares.ts';
import { forTiles } from './tiles.ts';

/**
 * Bytes of depth at a time, a multiple of 64; pairs of tiles of rows that are packed together; columns and rows of a work item,
 * multiples of 32 and of the pairs' rows.
 */
export interface TileGemmSchedule extends Schedule {
  readonly tileDepthBytes: number;
  readonly rowPairs: number;
  readonly nc: number;
  readonly mc: number;
}

export const isTileGemm = (schedule: Schedule): schedule is TileGemmSchedule => 'tileDepthBytes' in schedule;

export interface TileGemmProblem extends GemmSizes {
  readonly a: TileSource;
  readonly b: TileSource;
}

/** The writing end of a product of floats. */
export const floatResults = (results: Results, { epilogue, output }: KernelRequest): TileResults => ({
  storeFirst: (rowStart, column, sums, count) => results.storeFirst(rowStart, column, sums, count),
  whole: epilogue === undefined && output.dtype === 'f32' ? results.output : null,
});

/** The writing end of a product of bytes. */
export function integerResults(k: KernelBuilder): TileResults {
  const output = k.buffer('output', 'write');
  return {
    storeFirst(rowStart, column, sums, count) {
      const at = add(rowStart, column);
      if (count >= sums.type.lanes) return k.storeAt(output, 'i32', at, sums);
      const all = k.let(sums);
      for (let lane = 0; lane < count; lane++)
        k.storeAt(output, 'i32', add(at, lane), { kind: 'extract', type: I32, a: all, lane });
    },
    whole: output,
  };
}

/** The writing end: stores the first `count` lanes of sums of one row, or whole tiles where C lies in memory just so. */
export interface TileResults {
  storeFirst(rowStart: Expr, column: Expr, sums: Expr, count: number): void;
  readonly whole: BufferParam | null;
}

const SIDE = TILES.rows;
const PAIR = 2 * SIDE;
const TILE_BYTES = TILES.rows * TILES.rowBytes;
const WORD_BYTES = 4;
const DOTS: Readonly<Record<TileOperandType, TileDot>> = { bf16: 'bf16', i8: 's8s8', u8: 'u8u8' };

/** Emits the whole product. C has batch * m rows of n columns. */
export function emitTileGemm(
  k: KernelBuilder,
  problem: TileGemmProblem,
  schedule: TileGemmSchedule,
  results: TileResults,
): void {
  const { batch, m, n } = problem;
  if (batch * m * n === 0) return;
  const [columnBlocks, rowBlocks] = [Math.ceil(n / schedule.nc), Math.ceil(m / schedule.mc)];
  const gemm = new TileGemm(k, problem, schedule, results);
  k.parallelLoop(batch * columnBlocks * rowBlocks, 1, (item) => {
    const rowBlock = k.let(remU(item, rowBlocks));
    const columnBlock = k.let(remU(divU(item, rowBlocks), columnBlocks));
    gemm.block(k.let(divU(item, rowBlocks * columnBlocks)), rowBlock, columnBlock);
  });
}

/** A range of depth: its first element, whole squares, and elements of a last one. */
interface Slice {
  readonly start: Expr;
  readonly squares: number;
  readonly rest: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** Rows and columns of one work item, its own C with the rest. */
interface Block {
  readonly batch: Expr;
  readonly firstRow: Expr;
  readonly lastRow: Expr;
  readonly firstColumn: Expr;
  readonly lastColumn: Expr;
}

/** Up to 2 x 2 tiles of C. */
interface Corner {
  readonly row: Expr;
  /** Number of its first row among those that are packed. */
  readonly packed: number;
  readonly rows: number;
  readonly column: Expr;
  readonly columns: number;
}

interface Region {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
}

/** Emits the parts of one product; holds what they share. */
class TileGemm {
  readonly #k: KernelBuilder;
  readonly #problem: TileGemmProblem;
  readonly #schedule: TileGemmSchedule;
  readonly #results: TileResults;
  readonly #aSquares: TileSquares;
  readonly #bSquares: TileSquares;
  readonly #aTiles: Region;
  readonly #bTiles: Region;
  /** Tiles of sums, [rows / 32][columns / 32][2][2]. */
  readonly #sums: Region;
  readonly #a: readonly Tile[];
  readonly #b: readonly Tile[];
  readonly #c: readonly (readonly Tile[])[];

  constructor(k: KernelBuilder, problem: TileGemmProblem, schedule: TileGemmSchedule, results: TileResults) {
    this.#k = k;
    this.#problem = problem;
    this.#schedule = schedule;
    this.#results = results;
    const { tileDepthBytes, rowPairs, nc, mc } = schedule;
    this.#aSquares = new TileSquares(k, problem.a);
    this.#bSquares = new TileSquares(k, problem.b);
    this.#aTiles = k.threadScratch(rowPairs * PAIR * tileDepthBytes);
    this.#bTiles = k.threadScratch(nc * tileDepthBytes);
    this.#sums = k.threadScratch(WORD_BYTES * (this.#isSliced ? mc * nc : PAIR * PAIR));
    const pair = <T>(make: () => T): T[] => [make(), make()];
    const element = problem.a.dtype === 'bf16' ? 'f32' : 'i32';
    this.#a = pair(() => k.tile('bytes', SIDE, TILES.rowBytes));
    this.#b = pair(() => k.tile('bytes', SIDE, TILES.rowBytes));
    this.#c = pair(() => pair(() => k.tile(element, SIDE, TILES.rowBytes)));
  }

  /** Elements of depth in a whole slice. */
  get #sliceDepth(): number {
    return this.#schedule.tileDepthBytes / operandBytes(this.#problem.a.dtype);
  }

  get #isSliced(): boolean {
    return this.#problem.depth > this.#sliceDepth;
  }

  /** Rows rowBlock * mc .. and columns columnBlock * nc .. of one batch entry, over the whole depth. */
  block(batch: Expr, rowBlock: Expr, columnBlock: Expr): void {
    const [k, { m, n, depth, a }, { mc, nc }] = [this.#k, this.#problem, this.#schedule];
    const [firstRow, firstColumn] = [k.let(mul(rowBlock, mc)), k.let(mul(columnBlock, nc))];
    const block: Block = {
      batch,
      firstRow,
      lastRow: k.let(min(add(firstRow, mc), i32(m))),
      firstColumn,
      lastColumn: k.let(min(add(firstColumn, nc), i32(n))),
    };
    const whole = this.#sliceDepth;
    const slices = Math.max(1, Math.ceil(depth / whole));
    const slice = (start: Expr, length: number, isFirst: boolean, isLast: boolean): void => {
      const squares = Math.floor(length / squareDepth(a.dtype));
      const range = { start, squares, rest: length % squareDepth(a.dtype), isFirst, isLast };
      this.#packColumns(block, range);
      this.#rowPairs(block, range);
    };
    if (slices > 1) slice(i32(0), whole, true, false);
    if (slices > 2) k.loop(whole, (slices - 1) * whole, whole, (start) => slice(start, whole, false, false));
    slice(i32((slices - 1) * whole), depth - (slices - 1) * whole, slices === 1, true);
  }

  #packColumns(block: Block, slice: Slice): void {
    const [k, { b, n }, { tileDepthBytes }] = [this.#k, this.#problem, this.#schedule];
    const batchOffset = k.let(mul(block.batch, b.batchStride));
    forTiles(k, block.firstColumn, block.lastColumn, SIDE, n, (row, rows) => {
      const to = add(mul(sub(row, block.firstColumn), tileDepthBytes), this.#bTiles.byteOffset);
      this.#pack(slice, to, (depth, depths) => this.#bSquares.byWord({ batchOffset, row, rows, depth, depths }));
    });
  }

  /** Tiles of a slice one after the other. */
  #pack(slice: Slice, to: Expr, square: (depth: Expr, depths: number) => Expr[]): void {
    const [k, { a }] = [this.#k, this.#problem];
    const side = squareDepth(a.dtype);
    const tile = k.variable(to);
    const put = (depth: Expr, depths: number): void => {
      for (const [i, vector] of square(depth, depths).entries())
        k.store(this.#aTiles.buffer, 'i32', add(tile, i * TILES.rowBytes), vector);
      k.set(tile, add(tile, TILES.rowBytes * SIDE));
    };
    k.loop(0, slice.squares * side, side, (done) => put(add(slice.start, done), side));
    if (slice.rest > 0) put(add(slice.start, slice.squares * side), slice.rest);
  }

  #rowPairs(block: Block, slice: Slice): void {
    const [k, { a, m, n }, { tileDepthBytes, rowPairs }] = [this.#k, this.#problem, this.#schedule];
    const batchOffset = k.let(mul(block.batch, a.batchStride));
    forTiles(k, block.firstRow, block.lastRow, rowPairs * PAIR, m, (first, count) => {
      for (let done = 0; done < count; done += SIDE) {
        const [row, rows] = [k.let(add(first, done)), Math.min(SIDE, count - done)];
        const place = (depth: Expr, depths: number): SquarePlace => ({ batchOffset, row, rows, depth, depths });
        const to = i32(this.#aTiles.byteOffset + done * tileDepthBytes);
        this.#pack(slice, to, (depth, depths) => this.#aSquares.byRow(place(depth, depths)));
      }
      forTiles(k, block.firstColumn, block.lastColumn, PAIR, n, (column, columns) => {
        for (let done = 0; done < count; done += PAIR) {
          const rows = Math.min(PAIR, count - done);
          this.#corner(block, slice, { row: k.let(add(first, done)), packed: done, rows, column, columns });
        }
      });
    });
  }

  /** The tiles of C that a corner has, by row and column. */
  #corners({ rows, columns }: Corner): { i: number; j: number; tile: Tile }[] {
    return this.#c.flatMap((row, i) =>
      row.flatMap((tile, j) => (SIDE * i < rows && SIDE * j < columns ? [{ i, j, tile }] : [])),
    );
  }

  /** The micro-kernel: up to 2 x 2 tiles of C over one slice. */
  #corner(block: Block, slice: Slice, corner: Corner): void {
    const [k, { tileDepthBytes }] = [this.#k, this.#schedule];
    const tiles = this.#corners(corner);
    const waiting = k.let(this.#waitingAt(block, corner));
    const place = (i: number, j: number): Expr => add(waiting, (2 * i + j) * TILE_BYTES);
    for (const { i, j, tile } of tiles) {
      if (slice.isFirst) k.tileZero(tile);
      else k.tileLoad(tile, this.#sums.buffer, place(i, j), TILES.rowBytes);
    }
    const columns = k.let(add(mul(sub(corner.column, block.firstColumn), tileDepthBytes), this.#bTiles.byteOffset));
    const rows = this.#aTiles.byteOffset + corner.packed * tileDepthBytes;
    k.loop(0, (slice.squares + (slice.rest > 0 ? 1 : 0)) * TILE_BYTES, TILE_BYTES, (at) => {
      const load = (tile: Tile, from: Expr, which: number): void =>
        k.tileLoad(tile, this.#bTiles.buffer, add(add(from, at), which * SIDE * tileDepthBytes), TILES.rowBytes);
      const loaded = new Set<Tile>();
      for (const { i, j, tile } of tiles) {
        const [a, b] = [this.#a[i]!, this.#b[j]!];
        if (!loaded.has(a)) load(a, i32(rows), i);
        if (!loaded.has(b)) load(b, columns, j);
        loaded.add(a).add(b);
        k.tileDot(DOTS[this.#problem.a.dtype], tile, a, b);
      }
    });
    this.#put(block, slice, corner, place);
  }

  /** Where the sums of a corner wait for the next slice. */
  #waitingAt(block: Block, { row, column }: Corner): Expr {
    const { byteOffset } = this.#sums;
    if (!this.#isSliced) return i32(byteOffset);
    const [rows, columns] = [sub(row, block.firstRow), sub(column, block.firstColumn)];
    return add(mul(add(mul(rows, this.#schedule.nc), mul(columns, PAIR)), WORD_BYTES), byteOffset);
  }

  #put(block: Block, slice: Slice, corner: Corner, place: (i: number, j: number) => Expr): void {
    const [k, { m, n }, { whole }] = [this.#k, this.#problem, this.#results];
    for (const { i, j, tile } of this.#corners(corner)) {
      const [rows, columns] = [corner.rows - SIDE * i, corner.columns - SIDE * j].map((left) => Math.min(SIDE, left));
      const rowStart = mul(add(add(mul(block.batch, m), corner.row), SIDE * i), n);
      const column = k.let(add(corner.column, SIDE * j));
      if (slice.isLast && whole && rows === SIDE && columns === SIDE) {
        k.tileStore(tile, whole, mul(add(rowStart, column), WORD_BYTES), WORD_BYTES * n);
        continue;
      }
      k.tileStore(tile, this.#sums.buffer, place(i, j), TILES.rowBytes);
      if (slice.isLast) this.#putRows(place(i, j), tile, k.let(rowStart), column, rows!, columns!);
    }
  }

  #putRows(from: Expr, { element }: Tile, rowStart: Expr, column: Expr, rows: number, columns: number): void {
    const [k, { n }] = [this.#k, this.#problem];
    k.loop(0, rows, 1, (row) => {
      const sums = k.load(this.#sums.buffer, element as 'f32' | 'i32', add(from, mul(row, TILES.rowBytes)), SIDE);
      this.#results.storeFirst(k.let(add(rowStart, mul(row, n))), column, sums, columns);
    });
  }
}
