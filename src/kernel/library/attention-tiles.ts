/**
 * `attention` of six and more rows to a cache head (prefill, or many heads to a group), as two products of tiles per block
 * of positions with the online softmax between them (Dao et al., FlashAttention, 2022). A work item is up to 48 rows,
 * pairs (query, head of the group), that read one cache head. Per block of 32 positions it lays the keys across, [position / 8][keyDim][8] f32, and the values as f32, once
 * for all rows; then 6 rows at a time: scores = q . keys in 6 x 8 registers, powers of 32 positions row by row, and
 * o = o * e^(old m - new m) + powers . values in 6 x 8 registers. Queries are scaled as they are copied together.
 *
 * Measured against attention by rows (attention.ts), f16 cache: 1.8 to 2 times its speed with 128 queries, 1.3 times with
 * 8 rows to a cache head, the same with 4.
 */
import {
  add,
  and,
  type BufferParam,
  binary,
  constant,
  div,
  divU,
  type Expr,
  F32,
  f32,
  fma,
  i32,
  max,
  min,
  mul,
  remU,
  select,
  splat,
  sub,
  unary,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import { exp, expNegative, tanh } from '../math.ts';
import type { KernelRequest } from '../template.ts';
import {
  type AttentionOperands,
  attentionOperands,
  attentionSizes,
  attentionTemplates,
  LOWEST,
} from './attention-shape.ts';
import { forTiles } from './tiles.ts';
import { transpose4 } from './transpose.ts';

const LANES = 4;
const F32X4 = vectorType('f32', LANES);
/** Rows and columns of a register tile, most rows of a work item, positions of a block. */
const MR = 6;
const NR = 8;
const MOST_ROWS = 8 * MR;
const BLOCK = 32;

interface Region {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
}

/** Rows of a work item: pairs (query, head of the group) from `first` to `last` of cache head `head`. */
interface Item {
  readonly head: Expr;
  readonly first: Expr;
  readonly last: Expr;
}

class AttentionTiles {
  readonly #k: KernelBuilder;
  readonly #of: AttentionOperands;
  readonly #attrs: KernelRequest['attrs'];
  /** Rows of a work item. */
  readonly #itemRows: number;
  /** f32: queries [row][keyDim], keys across, values [position][valueDim], o [row][valueDim], a tile's powers [MR][BLOCK]. */
  readonly #queries: Region;
  readonly #across: Region;
  readonly #plain: Region;
  readonly #sums: Region;
  readonly #powers: Region;
  /** f32 a row: running maximum, running sum, and the factor that the last block put on what was there. */
  readonly #highest: Region;
  readonly #totals: Region;
  readonly #decays: Region;
  /** Where the lanes of a vector stand: 0, 1, 2, 3. */
  readonly #lanes: Expr;

  constructor(k: KernelBuilder, request: KernelRequest, itemRows: number) {
    this.#k = k;
    this.#itemRows = itemRows;
    this.#of = attentionOperands(k, request);
    this.#attrs = request.attrs;
    const { keyDim, valueDim } = this.#of.sizes;
    const region = (...sizes: number[]): Region => k.threadScratch(sizes.reduce((a, b) => a * b, 4));
    this.#queries = region(itemRows, keyDim);
    this.#across = region(BLOCK, keyDim);
    this.#plain = region(BLOCK, valueDim);
    this.#sums = region(itemRows, valueDim);
    this.#powers = region(MR, BLOCK);
    this.#highest = region(itemRows);
    this.#totals = region(itemRows);
    this.#decays = region(itemRows);
    const lanes = region(LANES);
    for (let i = 0; i < LANES; i++) k.store(lanes.buffer, 'i32', lanes.byteOffset + 4 * i, i32(i));
    this.#lanes = k.let(k.load(lanes.buffer, 'i32', lanes.byteOffset, LANES));
  }

  build(): void {
    const [k, { nKvHeads, rows }] = [this.#k, this.#of.sizes];
    const items = Math.ceil(rows / this.#itemRows);
    k.parallelLoop(nKvHeads * items, 1, (unit) => {
      const first = k.let(mul(remU(unit, items), this.#itemRows));
      const last = k.let(min(add(first, this.#itemRows), i32(rows)));
      this.#item({ head: k.let(divU(unit, items)), first, last });
    });
  }

  /** First and last position that a row sees. */
  #lastOf(row: Expr): Expr {
    const { seqLen, group } = this.#of.sizes;
    return this.#attrs.causal ? add(this.#of.start, divU(row, group)) : add(this.#of.start, seqLen - 1);
  }

  #firstOf(row: Expr): Expr {
    const window = this.#attrs.window as number;
    return add(add(this.#of.start, divU(row, this.#of.sizes.group)), 1 - window);
  }

  #item(item: Item): void {
    const [k, { context, keyDim, valueDim }] = [this.#k, this.#of.sizes];
    this.#begin(item);
    const begin = this.#attrs.window === null ? i32(0) : k.let(and(max(this.#firstOf(item.first), 0), -BLOCK));
    const end = k.let(min(add(this.#lastOf(sub(item.last, 1)), 1), i32(context)));
    k.loop(begin, end, BLOCK, (block) => {
      const count = k.let(min(sub(end, block), i32(BLOCK)));
      this.#layKeys(this.#cacheRow(item.head, block, keyDim), block);
      this.#layValues(this.#cacheRow(item.head, block, valueDim), count);
      this.#rowTiles(item, (row, rows) => {
        const isSeen = binary('le', block, this.#lastOf(add(row, rows - 1)));
        k.if(isSeen, () => this.#tile(sub(row, item.first), rows, row, block, count));
      });
    });
    this.#rowTiles(item, (row, rows) => {
      for (let r = 0; r < rows; r++) this.#finish(item, add(row, r));
    });
  }

  #rowTiles({ first, last }: Item, body: (row: Expr, rows: number) => void): void {
    forTiles(this.#k, first, last, MR, this.#of.sizes.rows, body);
  }

  /** Byte offset of the query, or result, of a row. */
  #rowStart({ head }: Item, row: Expr, dim: number): Expr {
    const { group, nHeads } = this.#of.sizes;
    const number = add(mul(divU(row, group), nHeads), add(mul(head, group), remU(row, group)));
    return this.#k.let(mul(number, 4 * dim));
  }

  #cacheRow(head: Expr, position: Expr, dim: number): Expr {
    return this.#k.let(mul(add(mul(head, this.#of.sizes.context), position), this.#of.cache.rowBytes(dim)));
  }

  /** Copies the queries together, scaled; sets sums to nothing. */
  #begin(item: Item): void {
    const [k, { keyDim, valueDim }] = [this.#k, this.#of.sizes];
    const scale = this.#attrs.scale as number;
    k.loop(item.first, item.last, 1, (row) => {
      const from = this.#rowStart(item, row, keyDim);
      const local = k.let(sub(row, item.first));
      const to = k.let(add(mul(local, 4 * keyDim), this.#queries.byteOffset));
      k.loop(0, 4 * keyDim, 4 * LANES, (d) =>
        k.store(this.#queries.buffer, 'f32', add(to, d), mul(k.load(this.#of.q, 'f32', add(from, d), LANES), scale)),
      );
      const sums = k.let(add(mul(local, 4 * valueDim), this.#sums.byteOffset));
      k.loop(0, 4 * valueDim, 4 * LANES, (d) => k.store(this.#sums.buffer, 'f32', add(sums, d), constant(F32X4, 0)));
      const at = k.let(mul(local, 4));
      k.store(this.#highest.buffer, 'f32', add(at, this.#highest.byteOffset), constant(F32, LOWEST));
      k.store(this.#totals.buffer, 'f32', add(at, this.#totals.byteOffset), f32(0));
    });
  }

  /** Keys of a block with positions along the lanes. Positions past the cache mean its last; their scores are masked. */
  #layKeys(first: Expr, block: Expr): void {
    const [k, { keyDim, context }] = [this.#k, this.#of.sizes];
    const rowBytes = this.#of.cache.rowBytes(keyDim);
    const step = this.#of.cache.step(keyDim);
    const limit = k.let(sub(context - 1, block));
    k.loop(0, BLOCK, LANES, (t) => {
      const rows = Array.from({ length: LANES }, (_, p) => {
        const position = context % BLOCK === 0 ? add(t, p) : min(add(t, p), limit);
        return k.let(add(first, mul(position, rowBytes)));
      });
      const panel = add(mul(divU(t, NR), 4 * NR * keyDim), mul(remU(t, NR), 4));
      const to = k.let(add(panel, this.#across.byteOffset));
      k.loop(0, keyDim, step, (d) => {
        const readers = rows.map((row) => this.#of.cache.read(k, this.#of.keys, this.#of.cache.place(row, d), step));
        const target = k.let(add(to, mul(d, 4 * NR)));
        for (let u = 0; u < step; u += LANES) {
          const quad = readers.map((read) => k.let(read(u))) as [Expr, Expr, Expr, Expr];
          for (const [i, column] of transpose4(k, quad).entries())
            k.store(this.#across.buffer, 'f32', add(target, 4 * NR * (u + i)), column);
        }
      });
    });
  }

  /** Values of a block as f32. */
  #layValues(first: Expr, count: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const step = this.#of.cache.step(valueDim);
    k.loop(0, count, 1, (t) => {
      const row = k.let(add(first, mul(t, this.#of.cache.rowBytes(valueDim))));
      const to = k.let(add(mul(t, 4 * valueDim), this.#plain.byteOffset));
      k.loop(0, valueDim, step, (d) => {
        const read = this.#of.cache.read(k, this.#of.values, this.#of.cache.place(row, d), step);
        for (let u = 0; u < step; u += LANES)
          k.store(this.#plain.buffer, 'f32', add(to, add(mul(d, 4), 4 * u)), read(u));
      });
    });
  }

  /** A block's part in the results of a few rows; `local` is the number of the first in its item. */
  #tile(local: Expr, rows: number, row: Expr, block: Expr, count: Expr): void {
    const k = this.#k;
    const first = k.let(local);
    this.#score(first, rows);
    k.loop(0, rows, 1, (r) => this.#power(k.let(add(first, r)), r, add(row, r), block));
    this.#mix(first, rows, count);
  }

  /** Scores of a tile: queries . keys. */
  #score(first: Expr, rows: number): void {
    const [k, { keyDim }] = [this.#k, this.#of.sizes];
    const queries = k.let(add(mul(first, 4 * keyDim), this.#queries.byteOffset));
    k.loop(0, BLOCK / NR, 1, (panel) => {
      const sums = this.#zeros(rows);
      const keys = k.variable(add(mul(panel, 4 * NR * keyDim), this.#across.byteOffset));
      k.loop(0, 4 * keyDim, 4 * LANES, (d) => {
        const query = k.let(add(queries, d));
        for (let u = 0; u < LANES; u++) {
          const columns = [0, 1].map((v) =>
            k.let(k.load(this.#across.buffer, 'f32', add(keys, 4 * (NR * u + LANES * v)), LANES)),
          );
          this.#multiply(sums, columns, this.#queries.buffer, add(query, 4 * u), 4 * keyDim);
        }
        k.set(keys, add(keys, 4 * NR * LANES));
      });
      const to = k.let(add(mul(panel, 4 * NR), this.#powers.byteOffset));
      for (const [r, all] of sums.entries())
        for (const [v, sum] of all.entries())
          k.store(this.#powers.buffer, 'f32', add(to, 4 * (BLOCK * r + LANES * v)), sum);
    });
  }

  #zeros(rows: number): Variable[][] {
    const zero = (): Variable => this.#k.variable(constant(F32X4, 0));
    return Array.from({ length: rows }, () => Array.from({ length: NR / LANES }, zero));
  }

  /** sums[r] += columns * the element `rowBytes` * r on from `at`. */
  #multiply(
    sums: readonly (readonly Variable[])[],
    columns: readonly Expr[],
    buffer: BufferParam,
    at: Expr,
    rowBytes: number,
  ): void {
    const k = this.#k;
    for (const [r, all] of sums.entries()) {
      const element = k.let(splat(k.load(buffer, 'f32', add(at, rowBytes * r)), LANES));
      for (const [v, sum] of all.entries()) k.set(sum, fma(element, columns[v]!, sum));
    }
  }

  /** Masks the scores of row `r` of a tile, moves its maximum and total on, and leaves powers in their place. */
  #power(local: Expr, r: Expr, row: Expr, block: Expr): void {
    const k = this.#k;
    const [softCap, window] = [this.#attrs.softCap as number | null, this.#attrs.window];
    const at = k.let(add(mul(r, 4 * BLOCK), this.#powers.byteOffset));
    const last = k.let(splat(this.#lastOf(row), LANES));
    const first = window === null ? null : k.let(splat(this.#firstOf(row), LANES));
    const lane = k.let(add(splat(block, LANES), this.#lanes));
    const scores = Array.from({ length: BLOCK / LANES }, (_, v) => {
      const raw = k.load(this.#powers.buffer, 'f32', add(at, 4 * LANES * v), LANES);
      const score = softCap === null ? raw : mul(tanh(k, k.let(div(raw, softCap))), softCap);
      const position = k.let(add(lane, LANES * v));
      const isKnown = binary('le', position, last);
      const isSeen = first ? binary('and', isKnown, binary('ge', position, first)) : isKnown;
      return k.let(select(isSeen, score, constant(F32X4, Number.NEGATIVE_INFINITY)));
    });
    const place = k.let(mul(local, 4));
    const before = k.let(k.load(this.#highest.buffer, 'f32', add(place, this.#highest.byteOffset)));
    const peak = scores.reduce((a, b) => max(a, b));
    const highest = k.let(max(before, unary('reduce_max', peak)));
    const decay = k.let(exp(k, k.let(sub(before, highest))));
    const sum = k.variable(constant(F32X4, 0));
    const origin = k.let(splat(highest, LANES));
    for (const [v, score] of scores.entries()) {
      const power = k.let(expNegative(k, k.let(sub(score, origin))));
      k.set(sum, add(sum, power));
      k.store(this.#powers.buffer, 'f32', add(at, 4 * LANES * v), power);
    }
    const total = k.load(this.#totals.buffer, 'f32', add(place, this.#totals.byteOffset));
    k.store(
      this.#totals.buffer,
      'f32',
      add(place, this.#totals.byteOffset),
      fma(total, decay, unary('reduce_add', sum)),
    );
    k.store(this.#highest.buffer, 'f32', add(place, this.#highest.byteOffset), highest);
    k.store(this.#decays.buffer, 'f32', add(place, this.#decays.byteOffset), decay);
  }

  /** o = o * decay + powers . values of a tile. */
  #mix(first: Expr, rows: number, count: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const decays = k.let(add(mul(first, 4), this.#decays.byteOffset));
    const sumsAt = k.let(add(mul(first, 4 * valueDim), this.#sums.byteOffset));
    const whole = k.let(and(count, -LANES));
    forTiles(k, i32(0), i32(valueDim), NR, valueDim, (column, size) => {
      const at = k.let(add(sumsAt, mul(column, 4)));
      const vectors = Array.from({ length: size / LANES }, (_, v) => v);
      const sums = Array.from({ length: rows }, (_, r) => {
        const decay = k.let(splat(k.load(this.#decays.buffer, 'f32', add(decays, 4 * r)), LANES));
        return vectors.map((v) =>
          k.variable(mul(k.load(this.#sums.buffer, 'f32', add(at, 4 * (valueDim * r + LANES * v)), LANES), decay)),
        );
      });
      const values = k.variable(add(mul(column, 4), this.#plain.byteOffset));
      const powers = k.variable(i32(this.#powers.byteOffset));
      const steps = (n: number): void => {
        for (let u = 0; u < n; u++) {
          const columns = vectors.map((v) =>
            k.let(k.load(this.#plain.buffer, 'f32', add(values, 4 * (valueDim * u + LANES * v)), LANES)),
          );
          this.#multiply(sums, columns, this.#powers.buffer, add(powers, 4 * u), 4 * BLOCK);
        }
        k.set(values, add(values, 4 * valueDim * n));
        k.set(powers, add(powers, 4 * n));
      };
      k.loop(0, whole, LANES, () => steps(LANES));
      k.loop(whole, count, 1, () => steps(1));
      for (const [r, all] of sums.entries())
        for (const [v, sum] of all.entries())
          k.store(this.#sums.buffer, 'f32', add(at, 4 * (valueDim * r + LANES * v)), sum);
    });
  }

  /** Stores a row's result: o over the sum of powers. */
  #finish(item: Item, row: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const local = k.let(sub(row, item.first));
    const total = k.load(this.#totals.buffer, 'f32', add(mul(local, 4), this.#totals.byteOffset));
    const share = k.let(splat(div(f32(1), total), LANES));
    const from = k.let(add(mul(local, 4 * valueDim), this.#sums.byteOffset));
    const to = this.#rowStart(item, row, valueDim);
    k.loop(0, 4 * valueDim, 4 * LANES, (d) =>
      k.store(this.#of.output, 'f32', add(to, d), mul(k.load(this.#sums.buffer, 'f32', add(from, d), LANES), share)),
    );
  }
}

/** Rows of one work item: many share the keys laid across, as long as there are items for all threads. */
function itemRows({ inputs, machine }: KernelRequest): number {
  const { rows, nKvHeads } = attentionSizes(inputs);
  const share = Math.ceil((rows * nKvHeads) / (2 * machine.threads) / MR) * MR;
  return Math.min(MOST_ROWS, Math.max(MR, share));
}

export const [attentionTilesKernel, packedAttentionTilesKernel] = attentionTemplates({
  name: 'tiles',
  leastRows: MR,
  schedules: (request) => [{ rows: itemRows(request) }],
  emit: (k, request, { rows }) => new AttentionTiles(k, request, rows!).build(),
});
