/**
 * Products of many tokens by packed panels on machines with tiles (AMX): 16 tokens x 16 rows of weights at a time, whose
 * integer dots a tile product makes group by group, and vector instructions scale and sum.
 *
 * A tile of tokens is read where it lies: the codes of one block of activations, 16 tokens below each other. A tile of
 * weights is a staged panel as it is (panel-stage.ts): a vector of quads is one row of it. Levels are staged as signed bytes
 * without their offset, so that sums start at zero; where values have a minimum, levels stay unsigned and have no offset.
 * Dots are the exact integers of the op, and scales are applied as everywhere: no weight is rounded to bf16 for a faster
 * product, which would miss the op's bound by four orders of magnitude.
 *
 * Arithmetic, in cycles of a core that makes a product of tiles in 16 (1024 products of bytes a cycle where K is 64), 2 vector
 * operations, 2 loads and 1 store of 64 bytes. A group of 32 costs for 16 x 16 results: one product 16, though half empty;
 * 16 rows of sums stored 16; scaled 16 x (convert, times the scale of x, fused add times the step of w) / 2 = 24; loads of
 * sums, scales, x and w (16 + 16 + 16 + 8) / 2 = 28. All go on side by side, so 28: 293 products a cycle, where the best
 * vector tile has 128 x 0.8 = 102 at most (repeated-tiles.ts). Groups of 64 have 512, of 128 683, of 16 186; a minimum adds
 * a load and an operation a row, 36 instead of 28. A token tile's 16 sums stay in registers over a chunk of the depth. Two
 * groups are in flight, in tiles of their own, so that one is multiplied (52 cycles until a sum is there) while the other
 * is scaled.
 *
 * Loops are those of repeated-tiles.ts: tokens whose rows and terms fit half of L2; a few panels; a chunk of the depth whose
 * decoded panels fit half of L1; tiles of tokens; the panels again. The last tokens, fewer than 16, have tiles of their own.
 * Source: Intel 64 and IA-32 Architectures Optimization Reference Manual, 2023, chapter 20 (AMX).
 */
import type { NumberFormat } from '../../quant/number-format.ts';
import { add, type BufferParam, binary, type Expr, fma, i32, min, mul, splat, sub } from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import { TILES, type Tile } from '../tile.ts';
import { hasLeast, type TiledProduct } from './packed-product.ts';
import { PanelStage } from './panel-stage.ts';
import { StagedSums } from './staged-sums.ts';
import { forTiles } from './tiles.ts';
import { TokenRecords } from './token-records.ts';
import { TermMaker } from './token-terms.ts';

/** `tilePanels` panels and `chunk` blocks of the depth staged at once, for `block` tokens: a multiple of 16, or all. */
export interface TileRegisterSizes {
  readonly tilePanels: number;
  readonly chunk: number;
  readonly block: number;
}

/** Groups that are multiplied before they are scaled. */
const IN_FLIGHT = 2;
const VECTOR_BYTES = 4 * TILES.rows;
const TILE_BYTES = TILES.rows * TILES.rowBytes;

/** Tiles of one height: activations, and sums of the groups in flight. */
interface TokenTiles {
  readonly x: Tile;
  readonly sums: readonly Tile[];
}

/** A group in flight: its unit, counted from the one at hand, and its span there. */
interface Group {
  readonly unit: number;
  readonly span: number;
}

/** What a tile of tokens reads in the unit at hand: byte offsets of the first token's codes and terms, and of the panel. */
interface UnitPlace {
  readonly codes: Expr;
  readonly terms: Expr;
  readonly weights: Expr;
}

/** Bytes of depth that one product takes of a group. */
export const productBytes = (w: NumberFormat): number => Math.min(w.groupSize, TILES.rowBytes);

export class PackedTileRegisters {
  readonly #k: KernelBuilder;
  readonly #product: TiledProduct;
  readonly #sizes: TileRegisterSizes;
  readonly #terms: TermMaker;
  readonly #records: TokenRecords;
  readonly #panels: PanelStage;
  readonly #sums: StagedSums;
  /** Where groups' sums go from tiles, to be read by rows. */
  readonly #dots: { readonly buffer: BufferParam; readonly byteOffset: number };
  readonly #w: Tile;
  readonly #tiles = new Map<number, TokenTiles>();

  constructor(k: KernelBuilder, product: TiledProduct, sizes: TileRegisterSizes) {
    this.#k = k;
    this.#product = product;
    this.#sizes = sizes;
    const { x, w, sizes: units } = product;
    // Staged levels have no offset any more.
    const staged = { ...w.format, offset: 0 };
    this.#terms = new TermMaker(k, x.format, staged, false);
    this.#records = new TokenRecords(k, x, staged, units, sizes.block, this.#terms);
    this.#panels = new PanelStage(k, w, units, sizes.tilePanels, sizes.chunk, this.#isSigned);
    this.#sums = new StagedSums(k, product, sizes.block, sizes.tilePanels);
    this.#dots = k.threadScratch(IN_FLIGHT * TILE_BYTES);
    this.#w = k.tile('bytes', productBytes(w.format) / 4, TILES.rowBytes);
  }

  get #isSigned(): boolean {
    return this.#product.w.format.offset !== 0;
  }

  /** The whole product; threads split the panels. */
  emit(): void {
    const [k, { m, n }, { tilePanels, block }] = [this.#k, this.#product, this.#sizes];
    const panelCount = Math.ceil(n / TILES.rows);
    k.parallelRange(panelCount, tilePanels, (begin, end) =>
      forTiles(k, i32(0), i32(m), block, m, (first, tokens) => {
        this.#records.fill(first, tokens);
        forTiles(k, begin, end, tilePanels, panelCount, (panel, count) => {
          this.#sums.clear(tokens);
          this.#chunks(first, tokens, panel, count);
          this.#sums.finish(first, tokens, panel, count);
        });
      }),
    );
  }

  #chunks(first: Expr, tokens: number, panel: Expr, count: number): void {
    const [k, { sizes }, { chunk }] = [this.#k, this.#product, this.#sizes];
    const blocks = sizes.units / sizes.unitsPerBlock;
    const run = (from: Expr, size: Expr): void => {
      this.#panels.fill(panel, count, from, size);
      const units = { first: k.let(mul(from, sizes.unitsPerBlock)), count: k.let(mul(size, sizes.unitsPerBlock)) };
      forTiles(k, i32(0), i32(tokens), TILES.rows, tokens, (token, height) =>
        k.loop(0, count, 1, (p) => this.#tileOf(first, token, height, p, units)),
      );
    };
    if (chunk >= blocks) run(i32(0), i32(blocks));
    else k.loop(0, blocks, chunk, (from) => run(from, k.let(min(i32(chunk), sub(i32(blocks), from)))));
  }

  #tokenTiles(height: number): TokenTiles {
    const known = this.#tiles.get(height);
    if (known) return known;
    const x = this.#k.tile('bytes', height, productBytes(this.#product.w.format));
    const sums = Array.from({ length: IN_FLIGHT }, () => this.#k.tile('i32', height, TILES.rowBytes));
    this.#tiles.set(height, { x, sums });
    return { x, sums };
  }

  /** Adds the products of tokens token .. of the block at `first` by staged panel `panel` over a range of units to their sums. */
  #tileOf(first: Expr, token: Expr, height: number, panel: Expr, units: { first: Expr; count: Expr }): void {
    const [k, { x, sizes }, { unitBytes }] = [this.#k, this.#product, this.#panels];
    const { blockBytes } = x.format;
    const start = k.let(add(this.#sums.at(token), mul(panel, this.#sums.vectorBytes)));
    const at = (t: number): Expr => add(start, t * this.#sums.tokenBytes);
    const sums = Array.from({ length: height }, (_, t) => k.variable(this.#sums.load(at(t))));
    const codes = k.variable(mul(add(mul(add(first, token), sizes.units), units.first), blockBytes));
    const terms = k.variable(this.#records.at(token, units.first));
    const [step, from] = [Math.max(1, IN_FLIGHT / sizes.spans), k.let(this.#panels.at(panel))];
    const run = (weights: Expr, count: number): void => {
      const groups = Array.from({ length: count * sizes.spans }, (_, g) => ({
        unit: Math.floor(g / sizes.spans),
        span: g % sizes.spans,
      }));
      this.#groups(sums, { codes, terms, weights }, groups);
      k.set(codes, add(codes, count * blockBytes));
      k.set(terms, add(terms, count * this.#records.unitBytes));
    };
    const isPaired = sizes.unitsPerBlock % step === 0;
    const middle = k.let(add(from, mul(isPaired ? units.count : binary('and', units.count, -step), unitBytes)));
    k.loop(from, middle, step * unitBytes, (weights) => run(weights, step));
    if (!isPaired) k.loop(middle, add(from, mul(units.count, unitBytes)), unitBytes, (weights) => run(weights, 1));
    for (const [t, sum] of sums.entries()) this.#sums.store(at(t), sum);
  }

  /** Multiplies as many groups as there are in flight, then scales them. */
  #groups(sums: readonly Variable[], place: UnitPlace, groups: readonly Group[]): void {
    const tiles = this.#tokenTiles(sums.length);
    for (let first = 0; first < groups.length; first += IN_FLIGHT) {
      const flying = groups.slice(first, first + IN_FLIGHT);
      for (const [i, group] of flying.entries()) this.#multiply(tiles, i, place, group);
      for (const [i, group] of flying.entries()) this.#scale(sums, i, place, group);
    }
  }

  /** The integer dots of a group, to where they are read by rows. */
  #multiply({ x: xTile, sums }: TokenTiles, slot: number, { codes, weights }: UnitPlace, { unit, span }: Group): void {
    const [k, { x, w, sizes }, bytes] = [this.#k, this.#product, productBytes(this.#product.w.format)];
    const sum = sums[slot]!;
    const rowStride = sizes.units * x.format.blockBytes;
    k.tileZero(sum);
    for (let from = span * w.format.groupSize; from < (span + 1) * w.format.groupSize; from += bytes) {
      const own = add(codes, unit * x.format.blockBytes + x.format.planes[0]!.byteOffset + from);
      k.tileLoad(xTile, x.buffer, own, rowStride);
      const levels = add(weights, unit * this.#panels.unitBytes + (from / 4) * VECTOR_BYTES);
      k.tileLoad(this.#w, this.#panels.buffer, levels, VECTOR_BYTES);
      k.tileDot(this.#isSigned ? 's8s8' : 's8u8', sum, xTile, this.#w);
    }
    k.tileStore(sum, this.#dots.buffer, this.#dots.byteOffset + slot * TILE_BYTES, TILES.rowBytes);
  }

  #scale(sums: readonly Variable[], slot: number, place: UnitPlace, { unit, span }: Group): void {
    const [k, { w }, records] = [this.#k, this.#product, this.#records];
    const weights = add(place.weights, unit * this.#panels.unitBytes);
    const step = k.let(this.#panels.step(weights, span));
    const least = hasLeast(w.format) ? k.let(this.#panels.least(weights, span)) : null;
    for (const [t, sum] of sums.entries()) {
      const terms = add(place.terms, t * records.tokenBytes + unit * records.unitBytes);
      const at = this.#dots.byteOffset + slot * TILE_BYTES + t * TILES.rowBytes;
      const dots = k.load(this.#dots.buffer, 'i32', at, TILES.rows);
      k.set(sum, fma(this.#terms.scaled(dots, splat(records.scale(terms), TILES.rows), null), step, sum));
      if (least) k.set(sum, fma(splat(records.shift(terms, span), TILES.rows), least, sum));
    }
  }
}
