/**
 * Attention of many rows to a cache head (prefill), as two products of tiles per block of positions with the online
 * softmax between them (Dao et al., FlashAttention, 2022). Rows are the pairs (query, head of the group) that read one
 * cache head; a work item is some of them.
 *
 * Queries are laid across once per item, scaled: panels [keyDim][two vectors of rows]. Per block of positions, keys and
 * values become f32, once for all rows of the item; then scores [position][row] = keys . queries panel by panel, in
 * `positions` x 2 vectors of registers, each element of a key repeated over the lanes; then powers, with a row's
 * maximum and sum in its own lane; then o = o * e^(old m - new m) + powers . values in `rows` x 2 vectors along the
 * output. So keys, which change with every block, are never transposed, and no lanes are added up.
 *
 * A vector of rows takes keyDim + valueDim multiply-adds a position, and 24 instructions for its power.
 */
import {
  add,
  and,
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
  splat,
  sub,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import type { Machine } from '../machine.ts';
import { exp, expNegative } from '../math.ts';
import type { KernelRequest } from '../template.ts';
import { AttentionOperands, attentionSizes, LOWEST, lanesFor, type Region, region } from './attention-shape.ts';
import type { RowReader } from './cache-rows.ts';
import { forTiles } from './tiles.ts';
import { transpose4 } from './transpose.ts';

/** Positions of a block: a multiple of those that scores take at a time. */
const BLOCK = 48;
/** Vectors of a register tile. */
const VECTORS = 2;
/** Steps of a product's loop. */
const UNROLL = 4;

/**
 * Positions of a tile of scores and rows of one of results, by the number of registers: each takes two, three hold what
 * is multiplied, and engines keep one for themselves. And the most rows of a work item: whole tiles and panels.
 */
const tilesOf = ({ vectorRegisters }: Machine): { positions: number; rows: number; mostRows: number } =>
  vectorRegisters >= 32 ? { positions: 12, rows: 8, mostRows: 96 } : { positions: 6, rows: 6, mostRows: 48 };

/** Rows of a work item: of cache head `head` those from `first` to `last`. */
interface Item {
  readonly head: Expr;
  readonly first: Expr;
  readonly last: Expr;
}

/** A block of positions of an item. */
interface Block {
  readonly first: Expr;
  readonly count: Expr;
}

class AttentionTiles {
  readonly #k: KernelBuilder;
  readonly #of: AttentionOperands;
  readonly #machine: Machine;
  readonly #itemRows: number;
  /** Rows of a panel of queries. */
  readonly #panelRows: number;
  /** f32: queries [panel][keyDim][row], keys and values [position][dim], o [row][valueDim], powers [position][row]. */
  readonly #queries: Region;
  readonly #keys: Region;
  readonly #values: Region;
  readonly #sums: Region;
  readonly #powers: Region;
  /** f32 a row: running maximum, running sum, and the factor that the last block put on what was there. */
  readonly #highest: Region;
  readonly #totals: Region;
  readonly #decays: Region;
  /** i32 a row: last and first visible position. */
  readonly #lasts: Region;
  readonly #firsts: Region;

  constructor(k: KernelBuilder, request: KernelRequest, itemRows: number) {
    this.#k = k;
    this.#machine = request.machine;
    this.#itemRows = itemRows;
    this.#panelRows = VECTORS * k.lanes;
    this.#of = new AttentionOperands(k, request);
    const { keyDim, valueDim } = this.#of.sizes;
    this.#queries = region(k, itemRows, keyDim);
    this.#keys = region(k, BLOCK, keyDim);
    this.#values = region(k, BLOCK, valueDim);
    this.#sums = region(k, itemRows, valueDim);
    this.#powers = region(k, BLOCK, itemRows);
    this.#highest = region(k, itemRows);
    this.#totals = region(k, itemRows);
    this.#decays = region(k, itemRows);
    this.#lasts = region(k, itemRows);
    this.#firsts = region(k, itemRows);
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

  #item(item: Item): void {
    const [k, { keyDim, valueDim, rows }] = [this.#k, this.#of.sizes];
    const tileRows = tilesOf(this.#machine).rows;
    this.#layQueries(item);
    k.loop(item.first, item.last, 1, (row) => this.#begin(item, row));
    const begin = this.#of.hasWindow ? k.let(max(this.#of.firstOf(item.first), 0)) : i32(0);
    const end = k.let(add(this.#of.lastOf(sub(item.last, 1)), 1));
    k.loop(begin, end, BLOCK, (first) => {
      const block = { first, count: k.let(min(sub(end, first), i32(BLOCK))) };
      this.#lay(this.#of.keys, this.#of.cacheRow(item.head, first, keyDim), keyDim, block.count, this.#keys);
      this.#lay(this.#of.values, this.#of.cacheRow(item.head, first, valueDim), valueDim, block.count, this.#values);
      forTiles(k, item.first, item.last, this.#panelRows, rows, (row, count) => {
        // Tiles of results may begin in this panel and end behind it.
        const straddling = this.#panelRows % tileRows === 0 ? 0 : tileRows - 1;
        const last = straddling === 0 ? add(row, count - 1) : min(add(row, count - 1 + straddling), sub(item.last, 1));
        this.#where(last, block, (positions) => {
          const local = k.let(sub(row, item.first));
          this.#score(local, count, positions);
          this.#power(local, count, first, positions);
        });
      });
      forTiles(k, item.first, item.last, tileRows, rows, (row, count) =>
        this.#where(add(row, count - 1), block, (positions) =>
          this.#mix(k.let(sub(row, item.first)), count, positions),
        ),
      );
    });
    k.loop(item.first, item.last, 1, (row) => this.#finish(item, row));
  }

  /** Runs `body` where rows up to `row` see positions of a block, with the number of those. */
  #where(row: Expr, { first, count }: Block, body: (positions: Expr) => void): void {
    const k = this.#k;
    const positions = k.let(min(sub(add(this.#of.lastOf(row), 1), first), count));
    k.if(binary('gt', positions, 0), () => body(positions));
  }

  /** Lays the queries of an item across, scaled. Rows past its last repeat it as far as a square reaches. */
  #layQueries({ head, first, last }: Item): void {
    const [k, { keyDim }, width] = [this.#k, this.#of.sizes, this.#panelRows];
    k.loop(first, last, 4, (row) => {
      const local = k.let(sub(row, first));
      const starts = [0, 1, 2, 3].map((i) => this.#of.rowStart(head, k.let(min(add(row, i), sub(last, 1))), keyDim));
      const panel = add(mul(divU(local, width), 4 * keyDim * width), mul(remU(local, width), 4));
      const to = k.let(add(panel, this.#queries.byteOffset));
      k.loop(0, keyDim, 4, (d) => {
        const square = starts.map((start) => mul(k.load(this.#of.q, 'f32', add(start, mul(d, 4)), 4), this.#of.scale));
        const columns = transpose4(k, square.map((query) => k.let(query)) as [Expr, Expr, Expr, Expr]);
        for (const [i, column] of columns.entries())
          k.store(this.#queries.buffer, 'f32', add(add(to, mul(d, 4 * width)), 4 * width * i), column);
      });
    });
  }

  /** Sets a row's results to nothing, and what it sees. */
  #begin({ first }: Item, row: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const local = k.let(sub(row, first));
    const lanes = lanesFor(k.lanes, valueDim);
    const sums = k.let(add(mul(local, 4 * valueDim), this.#sums.byteOffset));
    k.loop(0, 4 * valueDim, 4 * lanes, (d) =>
      k.store(this.#sums.buffer, 'f32', add(sums, d), constant(vectorType('f32', lanes), 0)),
    );
    k.store(this.#highest.buffer, 'f32', this.#at(this.#highest, local), constant(F32, LOWEST));
    k.store(this.#totals.buffer, 'f32', this.#at(this.#totals, local), f32(0));
    k.store(this.#lasts.buffer, 'i32', this.#at(this.#lasts, local), this.#of.lastOf(row));
    if (this.#of.hasWindow) k.store(this.#firsts.buffer, 'i32', this.#at(this.#firsts, local), this.#of.firstOf(row));
  }

  /** The first `count` rows of a block of the cache as f32. */
  #lay(cache: AttentionOperands['keys'], first: Expr, dim: number, count: Expr, to: Region): void {
    const k = this.#k;
    const lanes = lanesFor(k.lanes, dim);
    const step = this.#of.cache.step(dim, lanes);
    k.loop(0, count, 1, (t) => {
      const row = k.let(add(first, mul(t, this.#of.cache.rowBytes(dim))));
      const target = k.let(add(mul(t, 4 * dim), to.byteOffset));
      k.loop(0, dim, step, (d) => {
        const read: RowReader = this.#of.cache.read(k, cache, this.#of.cache.place(row, d), step, lanes);
        for (let u = 0; u < step; u += lanes) k.store(to.buffer, 'f32', add(target, add(mul(d, 4), 4 * u)), read(u));
      });
    });
  }

  /** Scores of a panel's rows: keys . queries. Positions behind the last get any. */
  #score(local: Expr, rows: number, count: Expr): void {
    const [k, { keyDim }, { positions }] = [this.#k, this.#of.sizes, tilesOf(this.#machine)];
    const vectors = Math.ceil(rows / k.lanes);
    const panel = k.let(add(mul(local, 4 * keyDim), this.#queries.byteOffset));
    k.loop(0, count, positions, (t) => {
      const zero = (): Variable => k.variable(constant(vectorType('f32', k.lanes), 0));
      const sums = Array.from({ length: positions }, () => Array.from({ length: vectors }, zero));
      const queries = k.variable(panel);
      const first = k.let(add(mul(t, 4 * keyDim), this.#keys.byteOffset));
      k.loop(first, add(first, 4 * keyDim), 4 * UNROLL, (keys) => {
        for (let u = 0; u < UNROLL; u++) {
          const columns = this.#load(this.#queries, add(queries, 4 * this.#panelRows * u), k.lanes, vectors);
          this.#multiply(sums, columns, this.#keys, add(keys, 4 * u), 4 * keyDim);
        }
        k.set(queries, add(queries, 4 * this.#panelRows * UNROLL));
      });
      const to = k.let(this.#powerAt(local, t));
      for (const [p, scores] of sums.entries()) this.#store(this.#powers, add(to, 4 * this.#itemRows * p), scores);
    });
  }

  /** Powers in the place of a panel's scores; moves the rows' maximums and totals on. */
  #power(local: Expr, rows: number, block: Expr, count: Expr): void {
    const k = this.#k;
    const { lanes } = k;
    const vectors = Math.ceil(rows / lanes);
    const ofRows = (region: Region): Expr[] => this.#load(region, k.let(this.#at(region, local)), lanes, vectors);
    const [lasts, before] = [this.#limits(this.#lasts, local, vectors), ofRows(this.#highest)];
    const firsts = this.#of.hasWindow ? this.#limits(this.#firsts, local, vectors) : null;
    const highest = before.map((m) => k.variable(m));
    k.loop(0, count, 1, (t) => {
      const at = k.let(this.#powerAt(local, t));
      const position = k.let(splat(add(block, t), lanes));
      const scores = this.#load(this.#powers, at, lanes, vectors).map((raw, v) =>
        this.#of.seen(raw, position, lasts[v]!, firsts ? firsts[v]! : null),
      );
      for (const [v, score] of scores.entries()) k.set(highest[v]!, max(highest[v]!, score));
      this.#store(this.#powers, at, scores);
    });
    const decays = before.map((m, v) => k.let(exp(k, k.let(sub(m, highest[v]!)))));
    const totals = ofRows(this.#totals).map((total, v) => k.variable(mul(total, decays[v]!)));
    k.loop(0, count, 1, (t) => {
      const at = k.let(this.#powerAt(local, t));
      const powers = this.#load(this.#powers, at, lanes, vectors).map((score, v) =>
        k.let(expNegative(k, k.let(sub(score, highest[v]!)))),
      );
      for (const [v, power] of powers.entries()) k.set(totals[v]!, add(totals[v]!, power));
      this.#store(this.#powers, at, powers);
    });
    this.#store(this.#highest, this.#at(this.#highest, local), highest);
    this.#store(this.#totals, this.#at(this.#totals, local), totals);
    this.#store(this.#decays, this.#at(this.#decays, local), decays);
  }

  /** o = o * decay + powers . values of a few rows. */
  #mix(local: Expr, rows: number, count: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const lanes = lanesFor(k.lanes, valueDim);
    const sumsAt = k.let(add(mul(local, 4 * valueDim), this.#sums.byteOffset));
    const decaysAt = k.let(this.#at(this.#decays, local));
    const powersAt = k.let(this.#powerAt(local, i32(0)));
    const whole = k.let(and(count, -UNROLL));
    forTiles(k, i32(0), i32(valueDim), VECTORS * lanes, valueDim, (column, size) => {
      const at = k.let(add(sumsAt, mul(column, 4)));
      const vectors = size / lanes;
      const sums = Array.from({ length: rows }, (_, r) => {
        const decay = k.let(splat(k.load(this.#decays.buffer, 'f32', add(decaysAt, 4 * r)), lanes));
        const old = this.#load(this.#sums, add(at, 4 * valueDim * r), lanes, vectors);
        return old.map((sum) => k.variable(mul(sum, decay)));
      });
      const values = k.variable(add(mul(column, 4), this.#values.byteOffset));
      const powers = k.variable(powersAt);
      const steps = (n: number): void => {
        for (let u = 0; u < n; u++) {
          const columns = this.#load(this.#values, add(values, 4 * valueDim * u), lanes, vectors);
          this.#multiply(sums, columns, this.#powers, add(powers, 4 * this.#itemRows * u), 4);
        }
        k.set(values, add(values, 4 * valueDim * n));
        k.set(powers, add(powers, 4 * this.#itemRows * n));
      };
      k.loop(0, whole, UNROLL, () => steps(UNROLL));
      k.loop(whole, count, 1, () => steps(1));
      for (const [r, all] of sums.entries()) this.#store(this.#sums, add(at, 4 * valueDim * r), all);
    });
  }

  /** Stores a row's result: o over the sum of powers. */
  #finish({ head, first }: Item, row: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const local = k.let(sub(row, first));
    const lanes = lanesFor(k.lanes, valueDim);
    const total = k.load(this.#totals.buffer, 'f32', this.#at(this.#totals, local));
    const share = k.let(splat(div(f32(1), total), lanes));
    const from = k.let(add(mul(local, 4 * valueDim), this.#sums.byteOffset));
    const to = this.#of.rowStart(head, row, valueDim);
    k.loop(0, 4 * valueDim, 4 * lanes, (d) =>
      k.store(this.#of.output, 'f32', add(to, d), mul(k.load(this.#sums.buffer, 'f32', add(from, d), lanes), share)),
    );
  }

  /** Byte offset of row `local` in a region of one number a row. */
  #at({ byteOffset }: Region, local: Expr): Expr {
    return add(mul(local, 4), byteOffset);
  }

  /** Byte offset of the score, or power, of row `local` at a position of the block. */
  #powerAt(local: Expr, position: Expr): Expr {
    return add(add(mul(position, 4 * this.#itemRows), mul(local, 4)), this.#powers.byteOffset);
  }

  #limits(region: Region, local: Expr, vectors: number): Expr[] {
    const k = this.#k;
    const { lanes } = k;
    const at = k.let(this.#at(region, local));
    return Array.from({ length: vectors }, (_, v) =>
      k.let(k.load(region.buffer, 'i32', add(at, 4 * lanes * v), lanes)),
    );
  }

  /** Vectors of f32 that lie one after the other. */
  #load({ buffer }: Region, at: Expr, lanes: number, count: number): Expr[] {
    const k = this.#k;
    return Array.from({ length: count }, (_, v) => k.let(k.load(buffer, 'f32', add(at, 4 * lanes * v), lanes)));
  }

  #store({ buffer }: Region, at: Expr, vectors: readonly Expr[]): void {
    for (const [v, vector] of vectors.entries())
      this.#k.store(buffer, 'f32', add(at, 4 * vector.type.lanes * v), vector);
  }

  /** sums[i] += columns * the element `apart` * i bytes on from `at`. */
  #multiply(
    sums: readonly (readonly Variable[])[],
    columns: readonly Expr[],
    { buffer }: Region,
    at: Expr,
    apart: number,
  ): void {
    const k = this.#k;
    const isFree = this.#machine.repeatsFromMemory && columns.length === 1;
    for (const [i, all] of sums.entries()) {
      const element = splat(k.load(buffer, 'f32', add(at, apart * i)), columns[0]!.type.lanes);
      const repeated = isFree ? element : k.let(element);
      for (const [v, sum] of all.entries()) k.set(sum, fma(repeated, columns[v]!, sum));
    }
  }
}

/** Rows of one work item: many share what is laid out per block, as long as there are items for all threads. */
export function itemRowsFor({ inputs, machine }: KernelRequest): number {
  const { rows, nKvHeads } = attentionSizes(inputs);
  const { rows: tileRows, mostRows } = tilesOf(machine);
  const unit = Array.from({ length: tileRows }, (_, i) => VECTORS * machine.lanes * (i + 1)).find(
    (n) => n % tileRows === 0,
  )!;
  const share = Math.ceil((rows * nKvHeads) / (2 * machine.threads) / unit) * unit;
  return Math.min(mostRows, Math.max(unit, share));
}

/** Emits attention by tiles. */
export const emitAttentionTiles = (k: KernelBuilder, request: KernelRequest, itemRows: number): void =>
  new AttentionTiles(k, request, itemRows).build();
