/**
 * `attention` over a key/value cache in one pass with constant extra memory: per tile of 4 query rows a running maximum
 * m, a running sum l and an output o, the monoid (m, l, o) of the online softmax (Milakov & Gimelshein, Online
 * normalizer calculation for softmax, 2018; Dao et al., FlashAttention, 2022).
 *
 * Rows are the pairs (query, head of the group) that read one cache head; each lane of m, l and the scores is one row.
 * Per block of 32 positions: scores = q . k with rows x POSITIONS accumulators along the head; then one vector of
 * powers per position; then o = o * e^(old m - new m) + powers . v with rows x CHUNK accumulators along the output.
 * Cache rows beyond the last visible position are never multiplied into o. Threads split cache heads and row tiles.
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
  fma,
  i32,
  max,
  min,
  mul,
  remU,
  select,
  splat,
  sub,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import { exp, expNegative, tanh } from '../math.ts';
import type { KernelRequest } from '../template.ts';
import { type AttentionOperands, attentionOperands, attentionTemplates, LOWEST } from './attention-shape.ts';
import { forTiles } from './tiles.ts';
import { transpose4 } from './transpose.ts';

const ROWS = 4;
const BLOCK = 32;
const F32X4 = vectorType('f32', ROWS);

/** A tile of query rows: of one cache head (`head`), or, where that is null, of one cache head each. */
interface Tile {
  readonly head: Expr | null;
  readonly firstRow: Expr;
  readonly rows: number;
}

/** Lane r of a vector in all lanes. */
const repeatLane = (vector: Expr, lane: number): Expr => ({
  kind: 'shuffle',
  type: vector.type,
  a: vector,
  b: vector,
  pattern: Array.from({ length: ROWS }, () => lane),
});

class Attention {
  readonly #k: KernelBuilder;
  readonly #of: AttentionOperands;
  readonly #attrs: KernelRequest['attrs'];
  /** Scores, later powers, [BLOCK][row]; o [row][valueDim]; last and first visible positions [row] i32. */
  readonly #scores: { buffer: BufferParam; byteOffset: number };
  readonly #sums: { buffer: BufferParam; byteOffset: number };
  readonly #limits: { buffer: BufferParam; byteOffset: number };

  constructor(k: KernelBuilder, request: KernelRequest) {
    this.#k = k;
    this.#of = attentionOperands(k, request);
    this.#attrs = request.attrs;
    this.#scores = k.threadScratch(4 * BLOCK * ROWS);
    this.#sums = k.threadScratch(4 * ROWS * this.#of.sizes.valueDim);
    this.#limits = k.threadScratch(4 * 2 * ROWS);
  }

  build(): void {
    const [k, { nKvHeads, nHeads, seqLen, group }] = [this.#k, this.#of.sizes];
    // Heads that share no keys fill a tile by fours where there are too few queries to fill it.
    const isSeparate = group === 1 && seqLen < ROWS;
    const rows = seqLen * (isSeparate ? nHeads : group);
    const tiles = Math.ceil(rows / ROWS);
    k.parallelLoop((isSeparate ? 1 : nKvHeads) * tiles, 1, (unit) => {
      const head = isSeparate ? null : k.let(divU(unit, tiles));
      const firstRow = k.let(mul(remU(unit, tiles), ROWS));
      forTiles(k, firstRow, k.let(min(add(firstRow, ROWS), i32(rows))), ROWS, rows, (row, count) =>
        this.#tile({ head, firstRow: row, rows: count }),
      );
    });
  }

  #tile(tile: Tile): void {
    const [k, { context, group, nHeads, valueDim }] = [this.#k, this.#of.sizes];
    const own = (row: Expr): Expr => add(this.#of.start, divU(row, tile.head ? group : nHeads));
    const { lasts, firsts, lastOfTile, firstOfTile } = this.#visible(tile, own);
    const state = { m: k.variable(constant(F32X4, LOWEST)), l: k.variable(constant(F32X4, 0)) };
    for (let r = 0; r < tile.rows; r++) {
      k.loop(0, valueDim, ROWS, (d) => k.store(this.#sums.buffer, 'f32', this.#sumAt(r, d), constant(F32X4, 0)));
    }
    const end = k.let(min(add(lastOfTile, 1), i32(context)));
    k.loop(and(firstOfTile, -BLOCK), end, BLOCK, (block) => {
      const count = k.let(min(sub(end, block), i32(BLOCK)));
      this.#scoreBlock(tile, block, count);
      const decay = this.#powerBlock(block, count, state, lasts, firsts);
      this.#mixBlock(tile, block, count, decay);
    });
    this.#finish(tile, state.l);
  }

  /** Last and first visible position of each row, and of the tile. Rows that a tile lacks repeat its last one. */
  #visible(
    tile: Tile,
    own: (row: Expr) => Expr,
  ): { lasts: Expr; firsts: Expr | null; lastOfTile: Expr; firstOfTile: Expr } {
    const [k, { seqLen }] = [this.#k, this.#of.sizes];
    const { buffer, byteOffset } = this.#limits;
    const window = this.#attrs.window as number | null;
    const end = k.let(add(this.#of.start, seqLen - 1));
    const lastOf = (row: Expr): Expr => (this.#attrs.causal ? own(row) : end);
    for (let r = 0; r < ROWS; r++) {
      const row = add(tile.firstRow, Math.min(r, tile.rows - 1));
      k.store(buffer, 'i32', byteOffset + 4 * r, lastOf(row));
      if (window !== null) k.store(buffer, 'i32', byteOffset + 16 + 4 * r, sub(own(row), window - 1));
    }
    const firstOfTile = window === null ? i32(0) : k.let(max(sub(own(tile.firstRow), window - 1), 0));
    return {
      lasts: k.let(k.load(buffer, 'i32', byteOffset, ROWS)),
      firsts: window === null ? null : k.let(k.load(buffer, 'i32', byteOffset + 16, ROWS)),
      lastOfTile: k.let(lastOf(add(tile.firstRow, tile.rows - 1))),
      firstOfTile,
    };
  }

  #sumAt(row: number, element: Expr): Expr {
    return add(mul(element, 4), this.#sums.byteOffset + 4 * row * this.#of.sizes.valueDim);
  }

  /** Byte offset of query (or output) row `row` of the tile, `dim` elements per head. */
  #rowStart(tile: Tile, row: number, dim: number): Expr {
    const { nHeads, group } = this.#of.sizes;
    const number = add(tile.firstRow, row);
    if (tile.head === null) return this.#k.let(mul(number, 4 * dim));
    const head = add(mul(tile.head, group), remU(number, group));
    return this.#k.let(mul(add(mul(divU(number, group), nHeads), head), 4 * dim));
  }

  /** Byte offsets of position 0 of the cache heads that the tile's rows read: one for all, or one each. */
  #cacheHeads(tile: Tile, dim: number): Expr[] {
    const { context, nHeads } = this.#of.sizes;
    const heads = tile.head
      ? [tile.head]
      : Array.from({ length: tile.rows }, (_, r) => remU(add(tile.firstRow, r), nHeads));
    return heads.map((head) => this.#k.let(mul(head, context * this.#of.cache.rowBytes(dim))));
  }

  /** Byte offset of a position in a cache head; positions past the cache mean its last, whose score is masked. */
  #cacheRow(head: Expr, position: Expr, dim: number): Expr {
    const { context } = this.#of.sizes;
    const safe = context % BLOCK === 0 ? position : min(position, i32(context - 1));
    return this.#k.let(add(head, mul(safe, this.#of.cache.rowBytes(dim))));
  }

  /** Raw scores of a block: q . k of every row, in groups of positions that fit the registers. */
  #scoreBlock(tile: Tile, block: Expr, count: Expr): void {
    const [k, { keyDim }] = [this.#k, this.#of.sizes];
    const positions = tile.rows > 2 ? 2 : 4;
    const queries = Array.from({ length: tile.rows }, (_, r) => this.#rowStart(tile, r, keyDim));
    const heads = this.#cacheHeads(tile, keyDim);
    k.loop(0, count, positions, (t) => {
      const keys = Array.from({ length: positions }, (_, p) =>
        heads.map((head) => this.#cacheRow(head, add(add(block, t), p), keyDim)),
      );
      const dots = Array.from({ length: positions }, () => queries.map(() => k.variable(constant(F32X4, 0))));
      const step = this.#of.cache.step(keyDim);
      k.loop(0, keyDim, step, (d) => {
        const readers = keys.map((all) =>
          all.map((row) => this.#of.cache.read(k, this.#of.keys, this.#of.cache.place(row, d), step)),
        );
        for (let u = 0; u < step; u += 4) {
          const vectors = readers.map((all) => all.map((read) => k.let(read(u))));
          queries.forEach((at, r) => {
            const query = k.let(k.load(this.#of.q, 'f32', add(add(at, mul(d, 4)), 4 * u), ROWS));
            for (const [p, own] of vectors.entries())
              k.set(dots[p]![r]!, fma(query, own[r % own.length]!, dots[p]![r]!));
          });
        }
      });
      dots.forEach((rows, p) => {
        const quad = Array.from({ length: ROWS }, (_, r) => rows[r] ?? constant(F32X4, 0)) as [Expr, Expr, Expr, Expr];
        const [a, b, c, d] = transpose4(k, quad);
        k.store(
          this.#scores.buffer,
          'f32',
          add(mul(add(t, p), 4 * ROWS), this.#scores.byteOffset),
          add(add(a, b), add(c, d)),
        );
      });
    });
  }

  /** Masks and scales the scores, moves m and l on, and leaves powers in their place. Returns e^(old m - new m). */
  #powerBlock(block: Expr, count: Expr, state: { m: Variable; l: Variable }, lasts: Expr, firsts: Expr | null): Expr {
    const k = this.#k;
    const softCap = this.#attrs.softCap as number | null;
    const scale = this.#attrs.scale as number;
    const at = (t: Expr): Expr => add(mul(t, 4 * ROWS), this.#scores.byteOffset);
    const highest = k.variable(state.m);
    k.loop(0, count, 1, (t) => {
      const position = k.let(splat(add(block, t), ROWS));
      const scaled = mul(k.load(this.#scores.buffer, 'f32', at(t), ROWS), scale);
      const capped = softCap === null ? scaled : mul(tanh(k, k.let(div(scaled, softCap))), softCap);
      const isKnown = binary('le', position, lasts);
      const isSeen = firsts ? binary('and', isKnown, binary('ge', position, firsts)) : isKnown;
      const score = k.let(select(isSeen, capped, constant(F32X4, Number.NEGATIVE_INFINITY)));
      k.set(highest, max(highest, score));
      k.store(this.#scores.buffer, 'f32', at(t), score);
    });
    const decay = k.let(exp(k, k.let(sub(state.m, highest))));
    k.set(state.m, highest);
    k.set(state.l, mul(state.l, decay));
    k.loop(0, count, 1, (t) => {
      const power = k.let(expNegative(k, k.let(sub(k.load(this.#scores.buffer, 'f32', at(t), ROWS), highest))));
      k.set(state.l, add(state.l, power));
      k.store(this.#scores.buffer, 'f32', at(t), power);
    });
    return decay;
  }

  /** o = o * decay + powers . values of the block. */
  #mixBlock(tile: Tile, block: Expr, count: Expr, decay: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const rowBytes = this.#of.cache.rowBytes(valueDim);
    const decays = Array.from({ length: tile.rows }, (_, r) => k.let(repeatLane(decay, r)));
    const first = this.#cacheHeads(tile, valueDim).map((head) => this.#cacheRow(head, block, valueDim));
    const chunk = ROWS * (tile.rows > 2 ? 2 : 4);
    forTiles(k, i32(0), i32(valueDim), chunk, valueDim, (d, size) => {
      const vectors = size / ROWS;
      const sums = decays.map((factor, r) =>
        Array.from({ length: vectors }, (_, v) =>
          k.variable(mul(k.load(this.#sums.buffer, 'f32', this.#sumAt(r, add(d, ROWS * v)), ROWS), factor)),
        ),
      );
      const places = first.map((row) => this.#of.cache.place(row, d));
      const values = places.map(({ at }) => k.variable(at));
      k.loop(0, count, 1, (t) => {
        const powers = k.let(k.load(this.#scores.buffer, 'f32', add(mul(t, 4 * ROWS), this.#scores.byteOffset), ROWS));
        const rows = values.map((at, i) => {
          const read = this.#of.cache.read(k, this.#of.values, { at, within: places[i]!.within }, size);
          return Array.from({ length: vectors }, (_, v) => k.let(read(ROWS * v)));
        });
        sums.forEach((all, r) => {
          const power = k.let(repeatLane(powers, r));
          for (const [v, sum] of all.entries()) k.set(sum, fma(power, rows[r % rows.length]![v]!, sum));
        });
        for (const value of values) k.set(value, add(value, rowBytes));
      });
      for (const [r, all] of sums.entries()) {
        for (const [v, sum] of all.entries()) k.store(this.#sums.buffer, 'f32', this.#sumAt(r, add(d, ROWS * v)), sum);
      }
    });
  }

  #finish(tile: Tile, l: Expr): void {
    const [k, { valueDim }] = [this.#k, this.#of.sizes];
    const shares = k.let(div(constant(F32X4, 1), l));
    for (let r = 0; r < tile.rows; r++) {
      const to = this.#rowStart(tile, r, valueDim);
      const share = k.let(repeatLane(shares, r));
      k.loop(0, valueDim, ROWS, (d) => {
        const sum = k.load(this.#sums.buffer, 'f32', this.#sumAt(r, d), ROWS);
        k.store(this.#of.output, 'f32', add(to, mul(d, 4)), mul(sum, share));
      });
    }
  }
}

export const [attentionKernel, packedAttentionKernel] = attentionTemplates({
  name: '',
  leastRows: 1,
  schedules: () => [{}],
  emit: (k, request) => new Attention(k, request).build(),
});
