/**
 * Products of many tokens by packed panels on machines of 8 or 16 lanes. A chunk of a few panels is decoded to bytes once
 * (panel-stage.ts); a tile of T tokens x P panels then takes, for each quad of the depth, P vectors of levels and T times
 * four neighbouring activations, repeated over the lanes from where they lie: T * P dot products, whose lanes are rows.
 *
 * Registers: T * P integer sums of a group of weights and T * P f32 sums, P vectors of levels, and some to spare, hence
 * 6 x 2, 4 x 3 or 13 x 1 of 32 and 2 x 2 or 5 x 1 of 16. At 32 elements a group a sum costs 8 dot products and
 * 2 multiply-adds, sum += (dot * scale of x) * step of w, which is 80 % of the peak of dot products; a minimum makes it 73 %,
 * groups of 16 67 %. T + P loads per T * P dot products stay below the two a cycle that machines have, but where a quarter
 * of them delays arithmetic, 80 % become 72 % at 4 x 3, 70 % at 6 x 2 and 66 % at 13 x 1.
 *
 * Loops, outermost first: tokens whose rows and terms (token-records.ts) fit half of L2; P panels; a chunk of the depth whose
 * decoded panels fit half of L1; tiles of tokens. f32 sums wait in scratch between chunks.
 * After Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008: panels are its B, rows of x its A.
 */
import { add, type Expr, fma, i32, min, mul, sub, ternary } from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import type { Machine } from '../machine.ts';
import { dotOf, hasLeast, repeated, type TiledProduct } from './packed-product.ts';
import { PanelStage } from './panel-stage.ts';
import { StagedSums } from './staged-sums.ts';
import { forTiles } from './tiles.ts';
import { TokenRecords } from './token-records.ts';
import { TermMaker } from './token-terms.ts';

/** A tile of `tileTokens` x `panels`; `chunk` blocks of the depth staged at once, for `block` tokens. */
export interface RepeatedSizes {
  readonly tileTokens: number;
  readonly panels: number;
  readonly chunk: number;
  readonly block: number;
}

/** Registers of a tile: its sums twice, a vector for each panel, and some for activations, scales and constants. */
export const tileRegisters = (tokens: number, panels: number): number => 2 * tokens * panels + panels + 5;

/** A range of units of the depth. */
interface Units {
  readonly first: Expr;
  readonly count: Expr;
}

/** What a tile reads in the unit at hand: byte offsets of the first token's codes and terms, and of the first panel. */
interface UnitPlace {
  readonly codes: Expr;
  readonly terms: Expr;
  readonly weights: Expr;
}

export class RepeatedTiles {
  readonly #k: KernelBuilder;
  readonly #product: TiledProduct;
  readonly #tile: RepeatedSizes;
  readonly #machine: Machine;
  readonly #terms: TermMaker;
  readonly #records: TokenRecords;
  readonly #panels: PanelStage;
  readonly #sums: StagedSums;

  constructor(k: KernelBuilder, product: TiledProduct, tile: RepeatedSizes) {
    this.#k = k;
    this.#product = product;
    this.#tile = tile;
    const { x, w, sizes, machine } = product;
    this.#machine = machine;
    this.#terms = new TermMaker(k, x.format, w.format, machine.hasFma);
    this.#records = new TokenRecords(k, x, w.format, sizes, tile.block, this.#terms);
    this.#panels = new PanelStage(k, w, sizes, tile.panels, tile.chunk);
    this.#sums = new StagedSums(k, product, tile.block, tile.panels);
  }

  /** The whole product; threads split the panels. */
  emit(): void {
    const [k, { m, n }, { panels, block }] = [this.#k, this.#product, this.#tile];
    const panelCount = Math.ceil(n / this.#machine.lanes);
    k.parallelRange(panelCount, panels, (begin, end) =>
      forTiles(k, i32(0), i32(m), block, m, (first, tokens) => {
        this.#records.fill(first, tokens);
        forTiles(k, begin, end, panels, panelCount, (panel, count) => {
          this.#sums.clear(tokens);
          this.#chunks(first, tokens, panel, count);
          this.#sums.finish(first, tokens, panel, count);
        });
      }),
    );
  }

  #chunks(first: Expr, tokens: number, panel: Expr, count: number): void {
    const [k, { sizes }, { chunk, tileTokens }] = [this.#k, this.#product, this.#tile];
    const blocks = sizes.units / sizes.unitsPerBlock;
    const run = (from: Expr, size: Expr): void => {
      this.#panels.fill(panel, count, from, size);
      const units = { first: k.let(mul(from, sizes.unitsPerBlock)), count: k.let(mul(size, sizes.unitsPerBlock)) };
      forTiles(k, i32(0), i32(tokens), tileTokens, tokens, (token, height) =>
        this.#tileOf(first, token, height, count, units),
      );
    };
    if (chunk >= blocks) run(i32(0), i32(blocks));
    else k.loop(0, blocks, chunk, (from) => run(from, k.let(min(i32(chunk), sub(i32(blocks), from)))));
  }

  /** Adds the products of tokens token .. of the block at `first` by the first `panels` staged panels to their sums. */
  #tileOf(first: Expr, token: Expr, tokens: number, panels: number, units: Units): void {
    const [k, { x, sizes }] = [this.#k, this.#product];
    const { blockBytes } = x.format;
    const start = k.let(this.#sums.at(token));
    const at = (t: number, p: number): Expr => add(start, t * this.#sums.tokenBytes + p * this.#sums.vectorBytes);
    const sums = Array.from({ length: tokens }, (_, t) =>
      Array.from({ length: panels }, (_, p) => k.variable(this.#sums.load(at(t, p)))),
    );
    const codes = k.variable(mul(add(mul(add(first, token), sizes.units), units.first), blockBytes));
    const terms = k.variable(this.#records.at(token, units.first));
    const { unitBytes } = this.#panels;
    const from = this.#panels.at(i32(0));
    k.loop(from, add(from, mul(units.count, unitBytes)), unitBytes, (weights) => {
      for (let span = 0; span < sizes.spans; span++) this.#span(sums, { codes, terms, weights }, span);
      k.set(codes, add(codes, blockBytes));
      k.set(terms, add(terms, this.#records.unitBytes));
    });
    for (const [t, row] of sums.entries()) {
      for (const [p, sum] of row.entries()) this.#sums.store(at(t, p), sum);
    }
  }

  #span(sums: readonly (readonly Variable[])[], place: UnitPlace, span: number): void {
    const [k, { x, w, sizes }, records] = [this.#k, this.#product, this.#records];
    const [dot, panels] = [dotOf(w.format), sums[0]!.length];
    const perPanel = (scalar: Expr): Expr => repeated(k, this.#machine, scalar, panels);
    const tokens = sums.map((row, t) => ({
      row,
      codes: add(place.codes, t * sizes.units * x.format.blockBytes + x.format.planes[0]!.byteOffset),
      terms: add(place.terms, t * records.tokenBytes),
    }));
    const weights = sums[0]!.map((_, p) => add(place.weights, p * this.#panels.panelBytes));
    const dots = tokens.map(({ row, terms }) => {
      const start = perPanel(records.initial(terms, span));
      return row.map(() => k.variable(start));
    });
    for (let quad = span * sizes.quadsPerSpan; quad < (span + 1) * sizes.quadsPerSpan; quad++) {
      const levels = weights.map((at) => k.let(this.#panels.levels(at, quad)));
      for (const [t, { codes }] of tokens.entries()) {
        const activations = perPanel(k.load(x.buffer, 'i32', add(codes, 4 * quad)));
        for (const [p, sum] of dots[t]!.entries()) k.set(sum, ternary(dot, sum, activations, levels[p]!));
      }
    }
    const steps = weights.map((at) => k.let(this.#panels.step(at, span)));
    for (const [t, { row, terms }] of tokens.entries()) {
      const scale = perPanel(records.scale(terms));
      const originScale = records.originScale(terms);
      const origin = originScale && perPanel(originScale);
      for (const [p, sum] of row.entries())
        k.set(sum, fma(this.#terms.scaled(dots[t]![p]!, scale, origin), steps[p]!, sum));
    }
    if (!hasLeast(w.format)) return;
    const leasts = weights.map((at) => k.let(this.#panels.least(at, span)));
    for (const { row, terms } of tokens) {
      const shift = perPanel(records.shift(terms, span));
      for (const [p, sum] of row.entries()) k.set(sum, fma(shift, leasts[p]!, sum));
    }
  }
}
