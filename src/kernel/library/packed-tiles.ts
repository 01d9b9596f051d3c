/**
 * Products of many tokens by packed panels of 4 rows. Both operands are staged; a tile is up to 8 tokens x 4
 * rows, whose integer sums lie on diagonals: lane j of sum r is token j by row (j + r) % 4, so that one load of
 * activations and one of weights, turned by 0 to 3 lanes, make 4 x 4 products. With 8 sums, two vectors of activations
 * and one of weights a step takes 2 + 1 loads and 3 shuffles for 8 dot products, and fits 15 registers.
 *
 * Loops, outermost first: tokens whose staged form fits half of L2; a few panels; a chunk of the depth whose decoded
 * panels fit half of L1; tiles of tokens; the panels again. f32 sums wait in scratch between chunks.
 */
import { add, binary, constant, type Expr, fma, i32, min, mul, sub, ternary, vectorType } from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import { dotOf, hasLeast, type PackedOperand, type TiledProduct } from './packed-product.ts';
import { PanelStage } from './panel-stage.ts';
import { forTiles } from './tiles.ts';
import { TokenStage } from './token-stage.ts';
import { TermMaker } from './token-terms.ts';
import { transpose4 } from './transpose.ts';

const LANES = 4;
const VECTOR_BYTES = 16;
const F32X4 = vectorType('f32', LANES);

/** A tile of `fours` times four tokens; `panels` panels and `chunk` blocks of the depth staged at once, for `block` fours of tokens. */
export interface TileSizes {
  readonly fours: number;
  readonly panels: number;
  readonly chunk: number;
  readonly block: number;
}

/** Lane j of the result is lane (j + by) % 4. */
const turned = (v: Expr, by: number): Expr =>
  by % LANES === 0
    ? v
    : { kind: 'shuffle', type: v.type, a: v, b: v, pattern: [0, 1, 2, 3].map((lane) => (lane + by) % LANES) };

export class PackedTiles {
  readonly #k: KernelBuilder;
  readonly #product: TiledProduct;
  readonly #tile: TileSizes;
  readonly #terms: TermMaker;
  readonly #tokens: TokenStage;
  readonly #panels: PanelStage;
  /** f32 sums of [fours][panels][4] vectors. */
  readonly #sums: { readonly buffer: PackedOperand['buffer']; readonly byteOffset: number };

  constructor(k: KernelBuilder, product: TiledProduct, tile: TileSizes) {
    this.#k = k;
    this.#product = product;
    this.#tile = tile;
    const { x, w, sizes, machine } = product;
    this.#terms = new TermMaker(k, x.format, w.format, machine.hasFma);
    this.#tokens = new TokenStage(k, x, w.format, sizes, tile.block, this.#terms);
    this.#panels = new PanelStage(k, w, sizes, tile.panels, tile.chunk);
    this.#sums = k.threadScratch(tile.block * tile.panels * LANES * VECTOR_BYTES);
  }

  /** The whole product; threads split the panels. */
  emit(): void {
    const [k, { m, n }, { panels, block }] = [this.#k, this.#product, this.#tile];
    const panelCount = Math.ceil(n / LANES);
    k.parallelRange(panelCount, panels, (begin, end) =>
      forTiles(k, i32(0), i32(Math.ceil(m / LANES)), block, Math.ceil(m / LANES), (first, fours) => {
        this.#tokens.fill(first, i32(fours), m);
        forTiles(k, begin, end, panels, panelCount, (panel, count) => {
          this.#clear();
          this.#chunks(panel, count, fours);
          this.#finish(first, fours, panel, count);
        });
      }),
    );
  }

  #clear(): void {
    const { buffer, byteOffset } = this.#sums;
    const { block, panels } = this.#tile;
    this.#k.loop(byteOffset, byteOffset + block * panels * LANES * VECTOR_BYTES, VECTOR_BYTES, (at) =>
      this.#k.store(buffer, 'f32', at, constant(F32X4, 0)),
    );
  }

  #chunks(panel: Expr, count: number, fours: number): void {
    const [k, { sizes }, { chunk, fours: most }] = [this.#k, this.#product, this.#tile];
    const blocks = sizes.units / sizes.unitsPerBlock;
    const run = (from: Expr, size: Expr): void => {
      this.#panels.fill(panel, count, from, size);
      const units = { first: k.let(mul(from, sizes.unitsPerBlock)), count: k.let(mul(size, sizes.unitsPerBlock)) };
      forTiles(k, i32(0), i32(fours), most, fours, (four, width) =>
        k.loop(0, count, 1, (p) => this.#tileOf(four, width, p, units)),
      );
    };
    if (chunk >= blocks) run(i32(0), i32(blocks));
    else k.loop(0, blocks, chunk, (from) => run(from, k.let(min(i32(chunk), sub(i32(blocks), from)))));
  }

  /** Byte offset of the sums of four `four` by panel `panel` of the stage. */
  #sumsAt(four: Expr, panel: Expr): Expr {
    const { byteOffset } = this.#sums;
    return add(mul(add(mul(four, this.#tile.panels), panel), LANES * VECTOR_BYTES), byteOffset);
  }

  /** Adds the products of `width` fours of tokens by one staged panel, over a range of units, to their sums. */
  #tileOf(four: Expr, width: number, panel: Expr, units: { readonly first: Expr; readonly count: Expr }): void {
    const k = this.#k;
    const places = Array.from({ length: width }, (_, q) => k.let(this.#sumsAt(add(four, q), panel)));
    const at = (q: number, turn: number): Expr => add(places[q]!, VECTOR_BYTES * turn);
    const sums = places.map((_, q) =>
      [0, 1, 2, 3].map((turn) => k.variable(k.load(this.#sums.buffer, 'f32', at(q, turn), LANES))),
    );
    const tokens = k.variable(this.#tokens.at(four, units.first));
    const first = k.let(this.#panels.at(panel));
    const { unitBytes } = this.#panels;
    k.loop(first, add(first, mul(units.count, unitBytes)), unitBytes, (weights) => {
      const fours = places.map((_, q) => add(tokens, q * this.#tokens.fourBytes));
      for (let span = 0; span < this.#product.sizes.spans; span++) this.#span(sums, fours, weights, span);
      k.set(tokens, add(tokens, this.#tokens.unitBytes));
    });
    for (const [q, all] of sums.entries()) {
      for (const [turn, sum] of all.entries()) k.store(this.#sums.buffer, 'f32', at(q, turn), sum);
    }
  }

  #span(sums: readonly (readonly Variable[])[], fours: readonly Expr[], weights: Expr, span: number): void {
    const [k, { w, sizes }] = [this.#k, this.#product];
    const dot = dotOf(w.format);
    const dots = fours.map((at) => {
      const start = k.let(this.#tokens.initial(at, span));
      return sums[0]!.map(() => k.variable(start));
    });
    for (let quad = span * sizes.quadsPerSpan; quad < (span + 1) * sizes.quadsPerSpan; quad++) {
      const activations = fours.map((at) => k.let(this.#tokens.codes(at, quad)));
      const levels = k.let(this.#panels.levels(weights, quad));
      for (let turn = 0; turn < LANES; turn++) {
        const vector = k.let(turned(levels, turn));
        for (const [q, codes] of activations.entries()) {
          const sum = dots[q]![turn]!;
          k.set(sum, ternary(dot, sum, codes, vector));
        }
      }
    }
    const scales = fours.map((at) => k.let(this.#tokens.scale(at)));
    const origins = fours.map((at) => {
      const origin = this.#tokens.originScale(at);
      return origin && k.let(origin);
    });
    const shifts = hasLeast(w.format) ? fours.map((at) => k.let(this.#tokens.shift(at, span))) : [];
    const step = k.let(this.#panels.step(weights, span));
    const least = shifts.length > 0 ? k.let(this.#panels.least(weights, span)) : null;
    for (let turn = 0; turn < LANES; turn++) {
      const ownStep = k.let(turned(step, turn));
      const ownLeast = least && k.let(turned(least, turn));
      for (const [q, all] of sums.entries()) {
        const [sum, products] = [all[turn]!, dots[q]![turn]!];
        k.set(sum, fma(this.#terms.scaled(products, scales[q]!, origins[q]!), ownStep, sum));
        if (ownLeast) k.set(sum, fma(shifts[q]!, ownLeast, sum));
      }
    }
  }

  /** Turns the sums of `fours` fours of tokens by `count` panels back into rows and stores them. */
  #finish(first: Expr, fours: number, panel: Expr, count: number): void {
    const k = this.#k;
    k.loop(0, fours, 1, (four) =>
      k.loop(0, count, 1, (p) => {
        const at = k.let(this.#sumsAt(four, p));
        const sums = [0, 1, 2, 3].map((turn) =>
          k.let(k.load(this.#sums.buffer, 'f32', add(at, VECTOR_BYTES * turn), LANES)),
        );
        // Lane r of column t is token t by row (t + r) % 4.
        const columns = transpose4(k, sums as [Expr, Expr, Expr, Expr]);
        const rows = columns.map((column, t) => k.let(turned(column, LANES - t)));
        this.#store(k.let(mul(add(first, four), LANES)), k.let(add(panel, p)), rows);
      }),
    );
  }

  /** Stores rows of 4 results of tokens `token` .. token + 3, those that exist. */
  #store(token: Expr, panel: Expr, rows: readonly Expr[]): void {
    const [k, { m, n, results }] = [this.#k, this.#product];
    const store = (count: number): void =>
      rows.forEach((row, t) => {
        const put = (): void => results.storeFirst(mul(add(token, t), n), mul(panel, LANES), row, count);
        if (m % LANES === 0 || t === 0) put();
        else k.if(binary('lt', add(token, t), m), put);
      });
    if (n % LANES === 0) store(LANES);
    else
      k.if(
        binary('eq', panel, Math.floor(n / LANES)),
        () => store(n % LANES),
        () => store(LANES),
      );
  }
}
