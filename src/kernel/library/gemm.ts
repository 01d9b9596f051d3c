/**
 * Matrix product C[m, n] = sum over k of A[m, k] * B[n, k], for operands of any strides and types.
 *
 * Tiling (Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008; Van Zee & van de Geijn,
 * BLIS, 2015): each work item owns nc columns of C. It packs kc x nc of B into panels [k][nr] that fit half of
 * L2, then passes over the rows of A, mr at a time (mr x kc fits half of L1 and serves all panels). The
 * micro-kernel holds mr x nr of C in registers: mr * nr / lanes accumulators, nr / lanes vectors of B and one
 * repeated element of A are at most 15 registers (engines keep one of 16 for themselves), hence 6 x 8 at 4 lanes.
 * A is read in place where it is f32 and dense along k, else packed as panels [k][mr], mr rows at a time.
 */

import { rankSchedules, WIDENING, type Work } from '../cost.ts';
import { FLOAT_BYTES, type FloatType } from '../decode.ts';
import {
  add,
  type BufferParam,
  binary,
  constant,
  divU,
  type Expr,
  F32,
  fma,
  i32,
  min,
  mul,
  remU,
  splat,
  sub,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import type { Machine } from '../machine.ts';
import type { Schedule } from '../template.ts';
import { batchOffset, type ColumnSource, type DepthRange, type MatrixSource, packPanel } from './panel-source.ts';
import type { Results } from './results.ts';
import { forTiles } from './tiles.ts';

/** Block sizes of one product: register tile mr x nr, kc of the depth at a time, nc columns and mc rows per work item. */
export interface GemmSchedule extends Schedule {
  readonly mr: number;
  readonly nr: number;
  readonly kc: number;
  readonly nc: number;
  readonly mc: number;
}

export interface GemmSizes {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly depth: number;
}

export interface GemmProblem extends GemmSizes {
  /** [m, depth] and [n, depth]. */
  readonly a: MatrixSource;
  readonly b: MatrixSource | ColumnSource;
  /** Where results lie, in elements, if not as [batch, m, n]: the first of a row, and the distance of rows. */
  readonly rowStart?: (batch: Expr, row: Expr) => Expr;
  readonly rowStride?: number;
  /** The channel of a row, where an epilogue asks for it; the next row's is the next. */
  readonly channel?: (batch: Expr, row: Expr) => Expr;
}

const UNROLL = 4;

/** Emits the whole product. `results` has batch * m rows of n columns. */
export function emitGemm(k: KernelBuilder, problem: GemmProblem, schedule: GemmSchedule, results: Results): void {
  const { batch, m, n } = problem;
  if (batch * m * n === 0) return;
  const columnBlocks = Math.ceil(n / schedule.nc);
  const rowBlocks = Math.ceil(m / schedule.mc);
  const gemm = new Gemm(k, problem, schedule, results);
  k.parallelLoop(batch * columnBlocks * rowBlocks, 1, (item) => {
    const rowBlock = k.let(remU(item, rowBlocks));
    const columnBlock = k.let(remU(divU(item, rowBlocks), columnBlocks));
    gemm.block(k.let(divU(item, rowBlocks * columnBlocks)), rowBlock, columnBlock);
  });
}

/** Emits the parts of one product; holds what they share. */
class Gemm {
  readonly #k: KernelBuilder;
  readonly #problem: GemmProblem;
  readonly #schedule: GemmSchedule;
  readonly #results: Results;
  readonly #columns: PackedColumns;
  readonly #rowStride: number;
  readonly #aPanel: { buffer: BufferParam; byteOffset: number } | null;

  constructor(k: KernelBuilder, problem: GemmProblem, schedule: GemmSchedule, results: Results) {
    this.#k = k;
    this.#problem = problem;
    this.#schedule = schedule;
    this.#results = results;
    const { kc, nc, mr, nr } = schedule;
    const { b } = problem;
    this.#columns = isMatrix(b)
      ? { ...k.threadScratch(4 * kc * Math.ceil(nc / nr) * nr), columnBytes: 4 * kc, depthBytes: 4 * nr }
      : { buffer: b.buffer, byteOffset: b.byteOffset, columnBytes: 4, depthBytes: 4 * b.pitch };
    this.#rowStride = problem.rowStride ?? problem.n;
    const readsInPlace = problem.a.dtype === 'f32' && problem.a.depthStride === 1 && !isWorthPacking(k.lanes, schedule);
    this.#aPanel = readsInPlace ? null : k.threadScratch(4 * kc * roundUp(mr, k.lanes));
  }

  /** Rows rowBlock * mc .. and columns columnBlock * nc .. of one batch entry, over the whole depth. */
  block(batch: Expr, rowBlock: Expr, columnBlock: Expr): void {
    const [k, { m, n, depth }, { mc, nc, kc }] = [this.#k, this.#problem, this.#schedule];
    const [firstRow, firstColumn] = [k.let(mul(rowBlock, mc)), k.let(mul(columnBlock, nc))];
    const lastRow = k.let(min(add(firstRow, mc), i32(m)));
    const lastColumn = k.let(min(add(firstColumn, nc), i32(n)));
    const slice = (range: DepthRange, isFirst: boolean, isLast: boolean): void => {
      this.#packColumns(batch, firstColumn, lastColumn, range);
      const pass = { batch, firstColumn, lastColumn, range, isFirst, isLast };
      this.#rowTiles(pass, firstRow, lastRow);
    };
    const slices = Math.max(1, Math.ceil(depth / kc));
    if (slices === 1) {
      slice({ start: i32(0), length: i32(depth) }, true, true);
      return;
    }
    slice({ start: i32(0), length: i32(kc) }, true, false);
    if (slices > 2) k.loop(kc, (slices - 1) * kc, kc, (start) => slice({ start, length: i32(kc) }, false, false));
    slice({ start: i32((slices - 1) * kc), length: i32(depth - (slices - 1) * kc) }, false, true);
  }

  #packColumns(batch: Expr, firstColumn: Expr, lastColumn: Expr, range: DepthRange): void {
    const [k, { b, n }, { nr }] = [this.#k, this.#problem, this.#schedule];
    if (!isMatrix(b)) {
      b.write(batch, firstColumn, lastColumn, range);
      return;
    }
    const { buffer, byteOffset, columnBytes } = this.#columns;
    const offset = k.let(batchOffset(b, batch));
    const pack = (column: Expr, valid: number): void => {
      const panel = k.let(add(mul(sub(column, firstColumn), columnBytes), byteOffset));
      packPanel(k, b, offset, column, valid, range, { buffer, byteOffset: panel, width: nr });
    };
    forTiles(k, firstColumn, lastColumn, nr, n, pack);
  }

  #rowTiles(pass: Pass, firstRow: Expr, lastRow: Expr): void {
    const [k, { a, m }, { mr }] = [this.#k, this.#problem, this.#schedule];
    const offset = k.let(batchOffset(a, pass.batch));
    forTiles(k, firstRow, lastRow, mr, m, (row, valid) => {
      if (this.#aPanel) {
        const width = roundUp(mr, k.lanes);
        const { buffer, byteOffset } = this.#aPanel;
        packPanel(k, a, offset, row, valid, pass.range, { buffer, byteOffset: i32(byteOffset), width });
        this.#columnTiles(pass, row, valid, { buffer, start: i32(byteOffset), rowBytes: 4, depthBytes: 4 * width });
      } else {
        const start = k.let(mul(add(add(offset, mul(row, a.rowStride)), pass.range.start), 4));
        this.#columnTiles(pass, row, valid, { buffer: a.buffer, start, rowBytes: 4 * a.rowStride, depthBytes: 4 });
      }
    });
  }

  #columnTiles(pass: Pass, row: Expr, rows: number, a: RowPanel): void {
    const [k, { m, n }, { nr }] = [this.#k, this.#problem, this.#schedule];
    const { byteOffset, columnBytes } = this.#columns;
    const rowStart = k.let(this.#problem.rowStart?.(pass.batch, row) ?? mul(add(mul(pass.batch, m), row), n));
    const channel = k.let(this.#problem.channel?.(pass.batch, row) ?? i32(0));
    forTiles(k, pass.firstColumn, pass.lastColumn, nr, n, (column, valid) => {
      const panel = k.let(add(mul(sub(column, pass.firstColumn), columnBytes), byteOffset));
      const sums = this.#startSums(pass, rowStart, column, rows, valid);
      this.#multiply(a, panel, pass.range, sums);
      this.#finishSums(pass, rowStart, channel, column, valid, sums);
    });
  }

  /** Accumulators [rows][nr / lanes]: zero, or the partial sums of earlier slices. */
  #startSums(pass: Pass, rowStart: Expr, column: Expr, rows: number, valid: number): Variable[][] {
    const [k, { nr }] = [this.#k, this.#schedule];
    const type = vectorType('f32', k.lanes);
    // Vectors past a ragged tile's last column are left out; at four lanes they cost less than code of their own.
    const vectors = k.lanes > 4 ? Math.ceil(valid / k.lanes) : nr / k.lanes;
    const partial = (row: number, j: number): Expr => {
      if (pass.isFirst || j >= valid) return constant(type, 0);
      const at = mul(add(add(rowStart, row * this.#rowStride), add(column, j)), 4);
      if (j + k.lanes <= valid) return k.load(this.#results.output, 'f32', at, k.lanes);
      return this.#raggedLoad(at, valid - j);
    };
    return Array.from({ length: rows }, (_, row) =>
      Array.from({ length: vectors }, (_, v) => k.variable(partial(row, v * k.lanes))),
    );
  }

  /** A vector of which only the first `count` lanes are in bounds: built by shifting elements in from the back. */
  #raggedLoad(at: Expr, count: number): Expr {
    const k = this.#k;
    let vector = constant(vectorType('f32', k.lanes), 0);
    for (let lane = count - 1; lane >= 0; lane--) {
      const element = splat(k.load(this.#results.output, 'f32', add(at, 4 * lane)), k.lanes);
      const pattern = Array.from({ length: k.lanes }, (_, i) => (i === 0 ? 0 : k.lanes + i - 1));
      vector = k.let({ kind: 'shuffle', type: vector.type, a: element, b: vector, pattern });
    }
    return vector;
  }

  #finishSums(pass: Pass, rowStart: Expr, channel: Expr, column: Expr, valid: number, sums: Variable[][]): void {
    const k = this.#k;
    sums.forEach((vectors, row) =>
      vectors.forEach((sum, v) => {
        const count = Math.min(k.lanes, valid - v * k.lanes);
        if (count <= 0) return;
        const start = add(rowStart, row * this.#rowStride);
        const at = add(column, v * k.lanes);
        if (pass.isLast) this.#results.storeFirst(start, at, sum, count, add(channel, row));
        else storePartial(k, this.#results.output, add(start, at), sum, count);
      }),
    );
  }

  /** The micro-kernel: sums += A tile * B panel over a range of depth. */
  #multiply(a: RowPanel, panel: Expr, range: DepthRange, sums: Variable[][]): void {
    const k = this.#k;
    const { buffer, depthBytes } = this.#columns;
    const b = k.variable(panel);
    const step = (at: Expr, u: number): void => {
      const vectors = sums[0]!.map((_, v) =>
        k.let(k.load(buffer, 'f32', add(b, u * depthBytes + 4 * v * k.lanes), k.lanes)),
      );
      sums.forEach((row, i) => {
        const element = k.let(splat(k.load(a.buffer, 'f32', add(at, u * a.depthBytes + i * a.rowBytes)), k.lanes));
        for (const [v, sum] of row.entries()) k.set(sum, fma(element, vectors[v]!, sum));
      });
    };
    const depth = range.length;
    const whole = k.let(binary('and', depth, -UNROLL));
    const middle = k.let(add(a.start, mul(whole, a.depthBytes)));
    k.loop(a.start, middle, UNROLL * a.depthBytes, (at) => {
      for (let u = 0; u < UNROLL; u++) step(at, u);
      k.set(b, add(b, depthBytes * UNROLL));
    });
    if (depth.kind === 'const' && depth.value % UNROLL === 0) return;
    k.loop(middle, add(a.start, mul(depth, a.depthBytes)), a.depthBytes, (at) => {
      step(at, 0);
      k.set(b, add(b, depthBytes));
    });
  }
}

/** One pass over the rows of A with the packed columns of B. */
interface Pass {
  readonly batch: Expr;
  readonly firstColumn: Expr;
  readonly lastColumn: Expr;
  readonly range: DepthRange;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** Columns of B in scratch: bytes from a tile's first column to the next tile's for each of its columns, and between depths. */
interface PackedColumns {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
  readonly columnBytes: number;
  readonly depthBytes: number;
}

const isMatrix = (source: MatrixSource | ColumnSource): source is MatrixSource => 'rowStride' in source;

/** mr rows of A over a range of depth: in place or packed. */
interface RowPanel {
  readonly buffer: BufferParam;
  readonly start: Expr;
  readonly rowBytes: number;
  readonly depthBytes: number;
}

function storePartial(k: KernelBuilder, output: BufferParam, index: Expr, sum: Expr, count: number): void {
  if (count === k.lanes) k.storeAt(output, 'f32', index, sum);
  else
    for (let lane = 0; lane < count; lane++) {
      k.storeAt(output, 'f32', add(index, lane), { kind: 'extract', type: F32, a: sum, lane });
    }
}

/**
 * Rows that lie a multiple of 4 KiB apart share one set of the first-level cache: more than it has ways are lost before they
 * are used again. On wide machines packing A costs less than that, where enough columns share it.
 */
const isWorthPacking = (lanes: number, { nc, nr }: GemmSchedule): boolean => lanes > 4 && nc >= 4 * nr;

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** What a candidate does: products, panels packed and streamed from L2, A read per column block, C per slice. */
export function gemmWork(
  sizes: GemmSizes,
  schedule: GemmSchedule,
  { lanes, l2Bytes }: Machine,
  bType: FloatType = 'f32',
): Work {
  const { batch, m, n, depth } = sizes;
  const { mr, nr, kc, nc, mc } = schedule;
  const vectors = nr / lanes;
  const [rowTiles, columnTiles] = [batch * Math.ceil(m / mr), Math.ceil(n / nr)];
  const [rowBlocks, columnBlocks, slices] = [Math.ceil(m / mc), Math.ceil(n / nc), Math.ceil(depth / kc)];
  const multiplies = batch * m * columnTiles * vectors * depth;
  const elements = 2 * batch * m * columnTiles * depth; // a repeated element costs its address, too
  const packed = ((4.5 + WIDENING[bType]) * batch * rowBlocks * columnTiles * nr * depth) / lanes;
  const tiles = rowTiles * columnTiles * slices * (10 + (2 * mr * nr) / lanes);
  const aBytes = 4 * batch * m * depth;
  return {
    multiplies,
    instructions: multiplies + elements + rowTiles * columnTiles * vectors * depth + packed + tiles,
    chains: mr * vectors,
    nearBytes: 4 * rowTiles * columnTiles * nr * depth + aBytes * columnBlocks,
    farBytes:
      aBytes * (aBytes > l2Bytes ? columnBlocks : 1) +
      batch * n * depth * FLOAT_BYTES[bType] * rowBlocks +
      8 * batch * m * n * slices,
    items: batch * rowBlocks * columnBlocks,
  };
}

/**
 * Candidates for a product, best first: register tiles that fill the registers, kc by shares of L1, nc by L2, and work
 * items enough to keep the threads equally busy.
 */
export function gemmSchedules(sizes: GemmSizes, machine: Machine, bType: FloatType = 'f32'): GemmSchedule[] {
  const { batch, m, n, depth } = sizes;
  const { lanes, vectorRegisters, l1Bytes, l2Bytes, threads } = machine;
  const found = new Map<string, GemmSchedule>();
  for (const vectors of [2, 3, 1]) {
    const mr = Math.max(1, Math.min(Math.floor((vectorRegisters - 2 - vectors) / vectors), m, 12));
    const nr = vectors * lanes;
    for (const share of [4, 2, 8]) {
      const kc = Math.min(roundUp(depth, UNROLL), roundUp(Math.floor(l1Bytes / share / (4 * nr)), 128));
      const most = Math.max(nr, Math.floor(l2Bytes / 2 / (4 * kc * nr)) * nr);
      for (const itemsPerThread of threads === 1 ? [1] : [1, 2, 4]) {
        const items = Math.max(Math.ceil(n / most), Math.ceil((itemsPerThread * threads) / batch));
        const nc = Math.max(nr, Math.min(most, roundUp(Math.ceil(n / items), nr)));
        const rowItems = Math.ceil((itemsPerThread * threads) / (batch * Math.max(1, Math.ceil(n / nc))));
        const mc = Math.max(mr, roundUp(Math.ceil(m / rowItems), mr));
        const schedule = { mr, nr, kc, nc, mc };
        found.set(Object.values(schedule).join(), schedule);
      }
    }
  }
  return rankSchedules([...found.values()], (schedule) => gemmWork(sizes, schedule, machine, bType), machine);
}
