/**
 * Attention of few rows to a cache head (decoding), which reads keys and values once, in the order of memory, under
 * the online softmax (Milakov & Gimelshein, Online normalizer calculation for softmax, 2018; Dao et al.,
 * FlashAttention, 2022).
 *
 * Rows are the pairs (query, head of the group) that read one cache head, up to as many as there are lanes. A vector
 * of scores holds `positions` x `apart` of them (at 16 lanes 16 x 1, 8 x 2 … 1 x 16), rows next to each other: as many
 * dot products with lanes along the head, added up at once by a tree of shuffles, two and an addition a score. So no
 * lane of a power is wasted, and powers lie in scratch as [position][row].
 *
 * Per block of positions, with m, l and o the maximums, sums and results so far: scores and their maximums; o and l
 * times e^(old m - new m); powers; o += powers . values, in rows x some vectors of registers along the output. Cache
 * rows beyond the last visible position are never multiplied into o. Threads split cache heads and tiles of rows.
 *
 * A position takes 2 multiply-adds a row and vector of the head, and 2 loads that widen a vector for all rows. With
 * heads of 64 in f16 at 16 lanes, 256 bytes a position, that and what is around it make some 26 instructions for one
 * row and 150 for eight.
 */
import {
  add,
  and,
  constant,
  div,
  divU,
  type Expr,
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
import { exp, expNegative } from '../math.ts';
import type { KernelRequest } from '../template.ts';
import { AttentionOperands, LOWEST, lanesFor, type Region, region } from './attention-shape.ts';
import { forTiles } from './tiles.ts';
import { acrossLanes, laneSums } from './transpose.ts';

/** Least positions of a block, and least vectors of its scores: what is done once a block is shared by that many. */
const BLOCK = 32;
const BLOCK_VECTORS = 8;
/** Dot products at a time, at least, where each takes a query's load of its own: as many as hide the latency of one. */
const LEAST_CHAINS = 8;

/** Rows of a cache head. */
interface Tile {
  readonly head: Expr;
  readonly firstRow: Expr;
  readonly rows: number;
  /** Rows next to each other in a vector, a power of two, and its positions. */
  readonly apart: number;
  readonly positions: number;
  /** Positions of a block. */
  readonly block: number;
}

/** Last and first visible position by lane: those of its row, less the lane's distance from the vector's position. */
interface Limits {
  readonly lasts: Expr;
  readonly firsts: Expr | null;
}

class AttentionRows {
  readonly #k: KernelBuilder;
  readonly #of: AttentionOperands;
  readonly #request: KernelRequest;
  /** Lanes of vectors along the keys, and of scores; lanes of vectors along the values. */
  readonly #lanes: number;
  readonly #valueLanes: number;
  /** Powers [position][row]; o [row][valueDim]; what is made lane by lane: factors f32, limits i32 twice. */
  readonly #powers: Region;
  readonly #sums: Region;
  readonly #factors: Region;
  readonly #limits: Region;

  constructor(k: KernelBuilder, request: KernelRequest) {
    this.#k = k;
    this.#request = request;
    this.#of = new AttentionOperands(k, request);
    const { keyDim, valueDim } = this.#of.sizes;
    this.#lanes = lanesFor(k.lanes, keyDim);
    this.#valueLanes = lanesFor(k.lanes, valueDim);
    this.#powers = region(k, BLOCK, this.#lanes);
    this.#sums = region(k, this.#lanes, valueDim);
    this.#factors = region(k, this.#lanes);
    this.#limits = region(k, 2, this.#lanes);
  }

  build(): void {
    const [k, { nKvHeads, rows }, most] = [this.#k, this.#of.sizes, this.#lanes];
    const tiles = Math.ceil(rows / most);
    k.parallelLoop(nKvHeads * tiles, 1, (unit) => {
      const head = k.let(divU(unit, tiles));
      const first = k.let(mul(remU(unit, tiles), most));
      forTiles(k, first, k.let(min(add(first, most), i32(rows))), most, rows, (firstRow, count) => {
        const apart = 2 ** Math.ceil(Math.log2(count));
        const positions = most / apart;
        const block = Math.max(BLOCK, BLOCK_VECTORS * positions);
        this.#tile({ head, firstRow, rows: count, apart, positions, block });
      });
    });
  }

  #vector(value: number): Expr {
    return constant(vectorType('f32', this.#lanes), value);
  }

  #tile(tile: Tile): void {
    const [k, { valueDim }, { firstRow, rows, apart, block }] = [this.#k, this.#of.sizes, tile];
    const limits = this.#limitsOf(tile);
    const m = k.variable(this.#vector(LOWEST));
    const l = k.variable(this.#vector(0));
    const zero = constant(vectorType('f32', this.#valueLanes), 0);
    k.loop(0, 4 * rows * valueDim, 4 * this.#valueLanes, (at) =>
      k.store(this.#sums.buffer, 'f32', add(at, this.#sums.byteOffset), zero),
    );
    const begin = this.#of.hasWindow ? k.let(and(max(this.#of.firstOf(firstRow), 0), -block)) : i32(0);
    const end = k.let(add(this.#of.lastOf(add(firstRow, rows - 1)), 1));
    k.loop(begin, end, block, (first) => {
      const count = k.let(min(sub(end, first), i32(block)));
      const highest = this.#score(tile, first, count, limits, m);
      const decay = k.let(exp(k, k.let(sub(m, highest))));
      k.store(this.#factors.buffer, 'f32', this.#factors.byteOffset, decay);
      k.set(m, highest);
      k.set(l, mul(l, decay));
      this.#power(tile, count, m, l);
      this.#mix(tile, first, count);
    });
    this.#finish(tile, acrossLanes(k, l, apart, add));
  }

  #limitsOf({ firstRow, rows, apart }: Tile): Limits {
    const [k, lanes, { buffer, byteOffset }] = [this.#k, this.#lanes, this.#limits];
    const laid = (at: number, limitOf: (row: Expr) => Expr): Expr => {
      for (let r = 0; r < apart; r++) {
        const limit = k.let(limitOf(add(firstRow, Math.min(r, rows - 1))));
        for (let lane = r; lane < lanes; lane += apart)
          k.store(buffer, 'i32', byteOffset + 4 * (at + lane), sub(limit, Math.floor(lane / apart)));
      }
      return k.let(k.load(buffer, 'i32', byteOffset + 4 * at, lanes));
    };
    return {
      lasts: laid(0, (row) => this.#of.lastOf(row)),
      firsts: this.#of.hasWindow ? laid(lanes, (row) => this.#of.firstOf(row)) : null,
    };
  }

  /** Leaves a block's masked scores in the place of its powers. Returns the rows' new maximums, in all their lanes. */
  #score(tile: Tile, block: Expr, count: Expr, { lasts, firsts }: Limits, m: Expr): Expr {
    const [k, lanes, { apart, positions }] = [this.#k, this.#lanes, tile];
    const vectors = positions === 1 ? Math.max(1, LEAST_CHAINS / lanes) : 1;
    const highest = k.variable(m);
    const starts = Array.from({ length: tile.rows }, (_, r) =>
      this.#of.rowStart(tile.head, add(tile.firstRow, r), this.#of.sizes.keyDim),
    );
    k.loop(0, count, positions * vectors, (t) => {
      const first = k.let(add(block, t));
      const dots = this.#dots(tile, starts, first, positions * vectors);
      for (let v = 0; v < vectors; v++) {
        const own = dots.slice(v * positions, (v + 1) * positions);
        // Lanes of rows that the tile lacks repeat its last.
        const sums = own.flatMap((rows) => Array.from({ length: apart }, (_, r) => rows[r] ?? rows.at(-1)!));
        const score = mul(laneSums(k, sums), this.#of.scale);
        const seen = this.#of.seen(score, splat(add(first, v * positions), lanes), lasts, firsts);
        k.set(highest, max(highest, seen));
        k.store(this.#powers.buffer, 'f32', this.#powerAt(tile, add(t, v * positions)), seen);
      }
    });
    return acrossLanes(k, highest, apart, max);
  }

  #powerAt({ apart }: Tile, position: Expr): Expr {
    return add(mul(position, 4 * apart), this.#powers.byteOffset);
  }

  /** q . k of `count` positions from `first` on, [position][row], with lanes still to be added. */
  #dots(tile: Tile, starts: readonly Expr[], first: Expr, count: number): Variable[][] {
    const [k, lanes, { context, keyDim }] = [this.#k, this.#lanes, this.#of.sizes];
    const { cache, keys, q } = this.#of;
    const base = this.#of.cacheRow(tile.head, first, keyDim);
    // Vectors begin at multiples of their positions. Positions past the cache mean its last, whose score is masked.
    const rows = Array.from({ length: count }, (_, p) =>
      context % count === 0
        ? add(base, p * cache.rowBytes(keyDim))
        : this.#of.cacheRow(tile.head, min(add(first, p), i32(context - 1)), keyDim),
    );
    const dots = rows.map(() => starts.map(() => k.variable(this.#vector(0))));
    const step = cache.step(keyDim, lanes);
    k.loop(0, keyDim, step, (d) => {
      const readers = rows.map((row) => cache.read(k, keys, cache.place(row, d), step, lanes));
      const queryAt = (r: number, u: number): Expr => k.load(q, 'f32', add(add(starts[r]!, mul(d, 4)), 4 * u), lanes);
      for (let u = 0; u < step; u += 2 * lanes) {
        const parts = [u, u + lanes].filter((part) => part < step);
        // The fewer stay in registers, the others come one after the other.
        const areQueriesFewer = starts.length <= count;
        const few = areQueriesFewer
          ? starts.map((_, r) => parts.map((part) => k.let(queryAt(r, part))))
          : readers.map((read) => parts.map((part) => k.let(read(part))));
        const many = areQueriesFewer ? readers : starts.map((_, r) => (part: number) => queryAt(r, part));
        for (const [j, other] of many.entries()) {
          const vectors = parts.map((part) => (few.length === 1 && k.lanes > 4 ? other(part) : k.let(other(part))));
          for (const [i, one] of few.entries()) {
            const [p, r] = areQueriesFewer ? [j, i] : [i, j];
            for (const [u, vector] of vectors.entries()) k.set(dots[p]![r]!, fma(one[u]!, vector, dots[p]![r]!));
          }
        }
      }
    });
    return dots;
  }

  /** Powers in the place of a block's scores; their sum joins l, in the lanes where they stand. */
  #power(tile: Tile, count: Expr, m: Expr, l: Variable): void {
    const k = this.#k;
    k.loop(0, count, tile.positions, (t) => {
      const at = k.let(this.#powerAt(tile, t));
      const power = k.let(expNegative(k, k.let(sub(k.load(this.#powers.buffer, 'f32', at, this.#lanes), m))));
      k.set(l, add(l, power));
      k.store(this.#powers.buffer, 'f32', at, power);
    });
  }

  /** A row's factor, in all lanes of a vector of values. */
  #factor(row: number): Expr {
    const factor = this.#k.load(this.#factors.buffer, 'f32', this.#factors.byteOffset + 4 * row);
    return this.#k.let(splat(factor, this.#valueLanes));
  }

  #sumAt(row: number, element: Expr): Expr {
    return add(mul(element, 4), this.#sums.byteOffset + 4 * row * this.#of.sizes.valueDim);
  }

  /** o = o * e^(old m - new m) + powers . values of the block. */
  #mix(tile: Tile, block: Expr, count: Expr): void {
    const [k, lanes, { valueDim }, { cache }] = [this.#k, this.#valueLanes, this.#of.sizes, this.#of];
    const { vectorRegisters, repeatsFromMemory } = this.#request.machine;
    const columns = lanes * Math.max(1, vectorRegisters / 2 / tile.apart);
    const factors = Array.from({ length: tile.rows }, (_, r) => this.#factor(r));
    const first = this.#of.cacheRow(tile.head, block, valueDim);
    const end = k.let(this.#powerAt(tile, count));
    forTiles(k, i32(0), i32(valueDim), Math.min(columns, valueDim), valueDim, (d, size) => {
      const places = Array.from({ length: size / lanes }, (_, v) => lanes * v);
      const sumAt = (r: number, place: number): Expr => this.#sumAt(r, add(d, place));
      const sums = factors.map((factor, r) =>
        places.map((at) => k.variable(mul(k.load(this.#sums.buffer, 'f32', sumAt(r, at), lanes), factor))),
      );
      const place = cache.place(first, d);
      const row = k.variable(place.at);
      k.loop(this.#powers.byteOffset, end, 4 * tile.apart, (at) => {
        const read = cache.read(k, this.#of.values, { at: row, within: place.within }, size, lanes);
        const values = places.map((from) => k.let(read(from)));
        for (const [r, all] of sums.entries()) {
          const power = splat(k.load(this.#powers.buffer, 'f32', add(at, 4 * r)), lanes);
          const repeated = repeatsFromMemory && all.length === 1 ? power : k.let(power);
          for (const [v, sum] of all.entries()) k.set(sum, fma(repeated, values[v]!, sum));
        }
        k.set(row, add(row, cache.rowBytes(valueDim)));
      });
      for (const [r, all] of sums.entries())
        for (const [v, sum] of all.entries()) k.store(this.#sums.buffer, 'f32', sumAt(r, places[v]!), sum);
    });
  }

  #finish(tile: Tile, l: Expr): void {
    const [k, lanes, { valueDim }] = [this.#k, this.#valueLanes, this.#of.sizes];
    k.store(this.#factors.buffer, 'f32', this.#factors.byteOffset, div(this.#vector(1), l));
    for (let r = 0; r < tile.rows; r++) {
      const to = this.#of.rowStart(tile.head, add(tile.firstRow, r), valueDim);
      const share = this.#factor(r);
      k.loop(0, valueDim, lanes, (d) => {
        const sum = k.load(this.#sums.buffer, 'f32', this.#sumAt(r, d), lanes);
        k.store(this.#of.output, 'f32', add(to, mul(d, 4)), mul(sum, share));
      });
    }
  }
}

/** Emits attention by rows. */
export const emitAttentionRows = (k: KernelBuilder, request: KernelRequest): void =>
  new AttentionRows(k, request).build();
