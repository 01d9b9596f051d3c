/**
 * Products of few tokens with packed panels, which are decoded in registers, so that each weight byte is read once at the
 * speed of memory. One vector of levels is four neighbouring elements of a row for each lane; four neighbouring
 * activations repeat over its lanes.
 */
import {
  type GroupField,
  levelBits,
  type NumberFormat,
  type ParameterField,
  panelBlockBytes,
  SUB_BLOCK,
} from '../../quant/number-format.ts';
import { add, constant, type Expr, fma, mul, splat, ternary, unary, vectorType } from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import type { Machine } from '../machine.ts';
import { loadField, quadOrder } from '../packed-block.ts';
import {
  blockReader,
  dotOf,
  hasLeast,
  type PackedOperand,
  panelBytes,
  repeated,
  type UnitReader,
  type UnitSizes,
  unitSizes,
} from './packed-product.ts';
import { prefetchStream } from './prefetch.ts';

/** Products of few tokens with panels where they lie. */
export class DirectProduct {
  readonly #k: KernelBuilder;
  readonly #x: PackedOperand;
  readonly #w: PackedOperand;
  readonly #sizes: UnitSizes;
  readonly #depth: number;
  readonly #machine: Machine;

  constructor(k: KernelBuilder, x: PackedOperand, w: PackedOperand, depth: number, machine: Machine) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.#depth = depth;
    this.#machine = machine;
    this.#sizes = unitSizes(x.format, w.format, depth);
  }

  /** Sums [tokens][panels] of tokens token .. by `panels` panels, `apart` from each other, over the whole depth. */
  tile(token: Expr, tokens: number, panel: Expr, panels: number, apart: Expr): Variable[][] {
    const [k, { unitsPerBlock, units }, xBytes] = [this.#k, this.#sizes, this.#x.format.blockBytes];
    const rowBytes = units * xBytes;
    const bytes = panelBytes(this.#w.format, this.#depth);
    const step = k.let(mul(apart, bytes));
    const start = k.let(mul(token, rowBytes));
    const weights = k.variable(mul(panel, bytes));
    const zero = constant(vectorType('f32', this.#machine.lanes), 0);
    const sums = Array.from({ length: tokens }, () => Array.from({ length: panels }, () => k.variable(zero)));
    k.loop(start, add(start, rowBytes), unitsPerBlock * xBytes, (at) => {
      const reader = blockReader(k, this.#w, this.#sizes, { count: panels, bytes: step }, weights);
      const block = this.#blockSums(tokens, panels);
      // Unrolled: places within a block then go into the loads themselves, which costs less than the loop.
      for (let unit = 0; unit < unitsPerBlock; unit++) {
        const own = add(at, unit * xBytes);
        this.#unit(block ?? { scaled: sums }, (t, offset) => add(own, t * rowBytes + offset), reader(unit));
        this.#prefetch(panels, (p) => add(weights, mul(step, p)), unit);
      }
      if (block) this.#closeBlock(sums, block, (p) => add(weights, mul(step, p)));
      k.set(weights, add(weights, panelBlockBytes(this.#w.format)));
    });
    return sums;
  }

  /** Asks for what each stream of panels reads in a while, a unit's worth at a time: all weights of a model fit no cache. */
  #prefetch(panels: number, at: (panel: number) => Expr, unit: number): void {
    if (!this.#machine.prefetches) return;
    const bytes = panelBlockBytes(this.#w.format) / this.#sizes.unitsPerBlock;
    for (let p = 0; p < panels; p++)
      prefetchStream(this.#k, this.#w.buffer, add(at(p), Math.floor(unit * bytes)), bytes);
  }

  /** Sums of a block whose groups have small integers of their own. */
  #blockSums(tokens: number, panels: number): UnitSums | undefined {
    const { subScale, subMin } = this.#w.format;
    if (subScale === null) return undefined;
    const zero = constant(vectorType('f32', this.#machine.lanes), 0);
    const sums = (): Variable[][] =>
      Array.from({ length: tokens }, () => Array.from({ length: panels }, () => this.#k.variable(zero)));
    return subMin === null ? { scaled: sums() } : { scaled: sums(), shifted: sums() };
  }

  /** Adds a block's sums, times its scale and less its minimum, to the sums of the whole depth. */
  #closeBlock(sums: readonly (readonly Variable[])[], block: UnitSums, at: (panel: number) => Expr): void {
    const [k, { buffer, format }] = [this.#k, this.#w];
    const field = (which: ParameterField, p: number): Expr =>
      k.let(loadField(k, format, which, buffer, at(p), 0, format.panelRows));
    for (const p of sums[0]!.keys()) {
      const [scale, min] = [field(format.scale, p), block.shifted && k.let(unary('neg', field(format.min!, p)))];
      for (const [t, row] of sums.entries()) {
        const sum = row[p]!;
        k.set(sum, fma(block.scaled[t]![p]!, scale, sum));
        if (min) k.set(sum, fma(block.shifted![t]![p]!, min, sum));
      }
    }
  }

  /** Adds one unit's products. `place` is the byte offset of a field of token t's block. */
  #unit(sums: UnitSums, place: (t: number, offset: number) => Expr, reader: UnitReader): void {
    const [k, { buffer, format: x }, { format: w }, sizes] = [this.#k, this.#x, this.#w, this.#sizes];
    const { lanes } = this.#machine;
    const zero = constant(vectorType('i32', lanes), 0);
    const { scaled } = sums;
    const panels = scaled[0]!.length;
    const perPanel = (scalar: Expr): Expr => repeated(k, this.#machine, scalar, panels);
    const spans = Array.from({ length: sizes.spans }, (_, span) => span);
    const { dtype, byteOffset } = x.codeSum!;
    const codeSum = (t: number, span: number): Expr =>
      k.load(buffer, dtype === 'i32' ? 'i32' : 'i16', place(t, byteOffset + 2 * span));
    const dots = spans.map((span) =>
      scaled.map((row, t) => {
        const start = w.offset === 0 ? zero : k.let(splat(mul(codeSum(t, span), -w.offset), lanes));
        return row.map(() => k.variable(start));
      }),
    );
    for (const quad of unitQuads(w, sizes)) {
      const levels = scaled[0]!.map((_, p) => k.let(reader.levels(p, quad)));
      const own = dots[Math.floor(quad / sizes.quadsPerSpan)]!;
      for (const [t, row] of own.entries()) {
        const codes = perPanel(k.load(buffer, 'i32', place(t, x.planes[0]!.byteOffset + 4 * quad)));
        for (const [p, sum] of row.entries()) k.set(sum, ternary(dotOf(w), sum, codes, levels[p]!));
      }
    }
    const isWhole = sumsWholeNumbers(w);
    // What all tokens share is computed before; for one token where it is used, so that it needs no register before.
    const of = (make: (p: number, span: number) => Expr): ((p: number, span: number) => Expr) => {
      if (scaled.length === 1) return make;
      const all = scaled[0]!.map((_, p) => spans.map((span) => k.let(make(p, span))));
      return (p, span) => all[p]![span]!;
    };
    const group = (field: GroupField) =>
      of((p, span) => (isWhole ? reader.integers(field, p, span) : unary('to_f32', reader.integers(field, p, span))));
    const step = w.subScale ? group(w.subScale) : of(reader.step);
    const least = w.subMin ? group(w.subMin) : hasLeast(w) ? of(reader.least) : undefined;
    const sumOf = (pairs: readonly (readonly [Expr, Expr])[]): Expr =>
      isWhole
        ? unary(
            'to_f32',
            pairs.reduce((sum, [a, b]) => ternary('dot16', sum, a, b), zero),
          )
        : sumOfProducts(pairs);
    const asNumber = (sum: Expr): Expr => (isWhole ? sum : unary('to_f32', sum));
    for (const [t, row] of scaled.entries()) {
      const scale = perPanel(k.load(buffer, 'f32', place(t, x.scale.byteOffset)));
      const shifts = least ? spans.map((span) => k.let(splat(asNumber(codeSum(t, span)), lanes))) : [];
      for (const [p, sum] of row.entries()) {
        const products = spans.map((span) => [asNumber(dots[span]![t]![p]!), step(p, span)] as const);
        const below = shifts.map((shift, span) => [shift, least!(p, span)] as const);
        const shifted = sums.shifted?.[t]?.[p];
        k.set(sum, fma(sumOf(shifted ? products : [...products, ...below]), scale, sum));
        if (shifted) k.set(shifted, fma(sumOf(below), scale, shifted));
      }
    }
  }
}

/** Sums [tokens][panels] that a unit's products are added to: all in one, or what a block's minimum is for by itself. */
interface UnitSums {
  readonly scaled: readonly (readonly Variable[])[];
  readonly shifted?: readonly (readonly Variable[])[];
}

/** Least magnitude that words of 16 bits do not hold. */
const TOO_LARGE = 2 ** 15;

/** Whether a group's products with its integers, none of which is below zero, are whole numbers of words: dot products again. */
function sumsWholeNumbers(w: NumberFormat): boolean {
  const isNatural = (field: GroupField | null): boolean => field === null || field.range[0] >= 0;
  const most = w.groupSize * 128 * (2 ** levelBits(w) - 1);
  return w.subScale !== null && isNatural(w.subScale) && isNatural(w.subMin) && most < TOO_LARGE;
}

function sumOfProducts(pairs: readonly (readonly [Expr, Expr])[]): Expr {
  const [[a, b], ...rest] = pairs as [readonly [Expr, Expr], ...(readonly [Expr, Expr])[]];
  return rest.reduce((sum, [x, y]) => fma(x, y, sum), mul(a, b));
}

/** A unit's quads, those of one stored word after each other. */
const unitQuads = (w: NumberFormat, { quads }: UnitSizes): number[] =>
  Array.from({ length: (4 * quads) / SUB_BLOCK }, (_, s) =>
    quadOrder(w).map((quad) => (s * SUB_BLOCK) / 4 + quad),
  ).flat();
