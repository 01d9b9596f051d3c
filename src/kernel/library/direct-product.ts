/**
 * Products of few tokens with packed panels, which are decoded in registers, so that each weight byte is read once at the
 * speed of memory. One vector of levels is four neighbouring elements of a row for each lane; four neighbouring
 * activations repeat over its lanes.
 */
import { type NumberFormat, panelBlockBytes, SUB_BLOCK } from '../../quant/number-format.ts';
import { add, constant, type Expr, fma, mul, splat, ternary, unary, vectorType } from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import type { Machine } from '../machine.ts';
import { quadOrder } from '../packed-block.ts';
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
    const block = k.variable(mul(panel, bytes));
    const zero = constant(vectorType('f32', this.#machine.lanes), 0);
    const sums = Array.from({ length: tokens }, () => Array.from({ length: panels }, () => k.variable(zero)));
    k.loop(start, add(start, rowBytes), unitsPerBlock * xBytes, (at) => {
      const reader = blockReader(k, this.#w, this.#sizes, { count: panels, bytes: step }, block);
      // Unrolled: places within a block then go into the loads themselves, which costs less than the loop.
      for (let unit = 0; unit < unitsPerBlock; unit++) {
        const own = add(at, unit * xBytes);
        this.#unit(sums, (t, offset) => add(own, t * rowBytes + offset), reader(unit));
      }
      k.set(block, add(block, panelBlockBytes(this.#w.format)));
    });
    return sums;
  }

  /** Adds one unit's products. `place` is the byte offset of a field of token t's block. */
  #unit(sums: readonly (readonly Variable[])[], place: (t: number, offset: number) => Expr, reader: UnitReader): void {
    const [k, { buffer, format: x }, { format: w }, sizes] = [this.#k, this.#x, this.#w, this.#sizes];
    const { lanes } = this.#machine;
    const zero = constant(vectorType('i32', lanes), 0);
    const perPanel = (scalar: Expr): Expr => repeated(k, this.#machine, scalar, sums[0]!.length);
    const spans = Array.from({ length: sizes.spans }, (_, span) => span);
    const { dtype, byteOffset } = x.codeSum!;
    const codeSum = (t: number, span: number): Expr =>
      k.load(buffer, dtype === 'i32' ? 'i32' : 'i16', place(t, byteOffset + 2 * span));
    const dots = spans.map((span) =>
      sums.map((row, t) => {
        const start = w.offset === 0 ? zero : k.let(splat(mul(codeSum(t, span), -w.offset), lanes));
        return row.map(() => k.variable(start));
      }),
    );
    for (const quad of unitQuads(w, sizes)) {
      const levels = sums[0]!.map((_, p) => k.let(reader.levels(p, quad)));
      const own = dots[Math.floor(quad / sizes.quadsPerSpan)]!;
      for (const [t, row] of own.entries()) {
        const codes = perPanel(k.load(buffer, 'i32', place(t, x.planes[0]!.byteOffset + 4 * quad)));
        for (const [p, sum] of row.entries()) k.set(sum, ternary(dotOf(w), sum, codes, levels[p]!));
      }
    }
    const steps = spans.map((span) => sums[0]!.map((_, p) => k.let(reader.step(p, span))));
    const leasts = hasLeast(w) ? spans.map((span) => sums[0]!.map((_, p) => k.let(reader.least(p, span)))) : [];
    for (const [t, row] of sums.entries()) {
      const scale = perPanel(k.load(buffer, 'f32', place(t, x.scale.byteOffset)));
      const shifts = leasts.map((_, span) => k.let(splat(unary('to_f32', codeSum(t, span)), lanes)));
      for (const [p, sum] of row.entries()) {
        const scaled = spans.map((span) => [unary('to_f32', dots[span]![t]![p]!), steps[span]![p]!] as const);
        const shifted = shifts.map((shift, span) => [shift, leasts[span]![p]!] as const);
        k.set(sum, fma(sumOfProducts([...scaled, ...shifted]), scale, sum));
      }
    }
  }
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
