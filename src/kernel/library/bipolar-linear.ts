/**
 * `linear` of bipolar activations by bipolar weights of one bit: a product of bits is 1 - 2 (x XOR w), so 32 products of a row
 * are an exclusive or and a count of bits in its lane. Activations of more bits are planes of one: a sum is that of its
 * planes' sums, each twice the next. Scales come after a group of 128: with words of one plane
 * y[n] = sum over groups of -2 * (scale of x * scale of w[n]) * (bits set - 64).
 *
 * A vector of weights serves all tokens of a tile, a word of activations repeats over the lanes: 3 instructions for as many
 * times 32 products as there are lanes, where counting takes one, 11 where it takes a table (AVX2).
 * Source: bipolar-INT arbitrary-precision GEMM (atlas, engine 3).
 */
import { B1, BIPOLAR_ACTIVATIONS } from '../../quant/bipolar-formats.ts';
import { isNumberFormat, type NumberFormat, panelBlockBytes } from '../../quant/number-format.ts';
import { rankSchedules, type Work } from '../cost.ts';
import { add, binary, constant, type Expr, fma, mul, shl, sub, unary, vectorType } from '../expression.ts';
import { KernelBuilder, type Variable } from '../language.ts';
import type { Machine } from '../machine.ts';
import { loadField } from '../packed-block.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { linearSizes } from './linear-sizes.ts';
import { kernelName } from './naming.ts';
import { type PackedOperand, panelBytes, repeated } from './packed-product.ts';
import { writesFloats } from './results.ts';
import { emitStreamed, type StreamedProduct, type StreamedSizes } from './streamed-product.ts';

/** Elements of a word. */
const WORD_BITS = 32;

class BipolarProduct implements StreamedProduct {
  readonly #k: KernelBuilder;
  readonly #x: PackedOperand;
  readonly #w: PackedOperand;
  readonly #depth: number;
  readonly #machine: Machine;

  constructor(k: KernelBuilder, x: PackedOperand, w: PackedOperand, depth: number, machine: Machine) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.#depth = depth;
    this.#machine = machine;
  }

  tile(token: Expr, tokens: number, panel: Expr, panels: number, apart: Expr): Expr[][] {
    const [k, { format: x }, { format: w }] = [this.#k, this.#x, this.#w];
    const rowBytes = (this.#depth / x.blockSize) * x.blockBytes;
    const step = k.let(mul(apart, panelBytes(w, this.#depth)));
    const start = k.let(mul(token, rowBytes));
    const block = k.variable(mul(panel, panelBytes(w, this.#depth)));
    const zero = constant(vectorType('f32', this.#machine.lanes), 0);
    const sums = Array.from({ length: tokens }, () => Array.from({ length: panels }, () => k.variable(zero)));
    const bases = Array.from({ length: panels }, (_, p) => add(block, mul(step, p)));
    k.loop(start, add(start, rowBytes), x.blockBytes, (at) => {
      this.#group(
        sums,
        sums.map((_, t) => add(at, t * rowBytes)),
        bases,
      );
      k.set(block, add(block, panelBlockBytes(w)));
    });
    return sums.map((row) => row.map((sum) => k.let(mul(sum, -2))));
  }

  /** Adds one group's products, halved and negated. */
  #group(sums: readonly (readonly Variable[])[], rows: readonly Expr[], bases: readonly Expr[]): void {
    const [k, { buffer, format: x }, w] = [this.#k, this.#x, this.#w];
    const { lanes } = this.#machine;
    const half = x.blockSize / 2;
    const perPanel = (scalar: Expr): Expr => repeated(k, this.#machine, scalar, bases.length);
    const counts = sums.map((row) => row.map(() => k.variable(constant(vectorType('i32', lanes), -half))));
    // From the highest plane on: each counts twice as much as the next.
    for (const [i, plane] of [...x.planes].reverse().entries()) {
      if (i > 0) for (const count of counts.flat()) k.set(count, sub(shl(count, 1), half));
      for (let word = 0; word < x.blockSize / WORD_BITS; word++) {
        const place = 4 * word + w.format.planes[0]!.byteOffset;
        const weights = bases.map((base) =>
          k.let(k.load(w.buffer, 'i32', add(base, place * w.format.panelRows), lanes)),
        );
        for (const [t, row] of counts.entries()) {
          const bits = perPanel(k.load(buffer, 'i32', add(rows[t]!, plane.byteOffset + 4 * word)));
          for (const [p, count] of row.entries())
            k.set(count, add(count, unary('popcount', binary('xor', weights[p]!, bits))));
        }
      }
    }
    const scales = bases.map((base) => k.let(loadField(k, w.format, w.format.scale, w.buffer, base, 0, lanes)));
    for (const [t, row] of sums.entries()) {
      const scale = perPanel(k.load(buffer, 'f32', add(rows[t]!, x.scale.byteOffset)));
      for (const [p, sum] of row.entries())
        k.set(sum, fma(mul(unary('to_f32', counts[t]![p]!), scales[p]!), scale, sum));
    }
  }
}

/** Registers of a tile: counts and sums, a vector for each panel, and some for activations and scales. */
const tileRegisters = ({ tokens, panels }: StreamedSizes): number => 2 * tokens * panels + panels + 4;

/** Instructions of a word: exclusive or, count, sum; and those of a group's scaling. */
const [WORD, GROUP] = [3, 3] as const;

/** The part of the loads that delays arithmetic where there are two units for each. */
const EXPOSED_LOADS = 0.25;

function work(request: KernelRequest, { tokens, panels }: StreamedSizes): Work {
  const { m, n, depth } = linearSizes(request);
  const { machine } = request;
  const [x, w] = request.inputs.map((t) => t.dtype) as [NumberFormat, NumberFormat];
  const panelCount = Math.ceil(n / machine.lanes);
  const [groups, words] = [depth / w.blockSize, (depth * x.bits) / WORD_BITS];
  const [rounds, panelTiles] = [Math.ceil(m / tokens), Math.ceil(panelCount / panels)];
  const [wBytes, xBytes] = [panelCount * panelBytes(w, depth), m * groups * x.blockBytes];
  const arithmetic = m * panelCount * (words * WORD + groups * GROUP);
  const repeats = m * panelTiles * (words + groups);
  const loads = rounds * panelCount * words + repeats;
  const isFar = wBytes > machine.l2Bytes;
  return {
    multiplies: arithmetic + EXPOSED_LOADS * loads,
    instructions: arithmetic + loads - (machine.repeatsFromMemory && panels === 1 ? repeats : 0),
    chains: tokens * panels * WORD,
    nearBytes: xBytes * panelTiles + (isFar ? 0 : wBytes),
    farBytes: isFar ? wBytes : 0,
    items: panelTiles,
  };
}

export const bipolarLinear: KernelTemplate = {
  op: 'linear',
  name: 'linear bipolar',
  supports: (request) => {
    const [x, w] = request.inputs.map((t) => t.dtype) as [NumberFormat, NumberFormat];
    return (
      isNumberFormat(w) &&
      BIPOLAR_ACTIVATIONS.includes(x) &&
      w.baseName === B1.name &&
      w.panelRows === request.machine.lanes &&
      request.output.dtype === 'f32' &&
      writesFloats(request)
    );
  },
  schedules(request) {
    const { m } = linearSizes(request);
    const candidates: (StreamedSizes & Schedule)[] = [1, 2, 3, 4, 6, 8, 12]
      .filter((tokens) => tokens <= Math.max(1, m))
      .flatMap((tokens) => [1, 2, 4].map((panels) => ({ tokens, panels })))
      .filter((sizes) => tileRegisters(sizes) <= Math.max(request.machine.vectorRegisters, 16));
    return rankSchedules(candidates, (schedule) => work(request, schedule), request.machine);
  },
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('linear', request, schedule), request.machine.lanes);
    const [x, w] = request.inputs.map((t) => t.dtype) as [NumberFormat, NumberFormat];
    const operands = [
      { buffer: k.buffer('x', 'read'), format: x },
      { buffer: k.buffer('w', 'read'), format: w },
    ] as const;
    const product = new BipolarProduct(k, ...operands, linearSizes(request).depth, request.machine);
    emitStreamed(k, request, product, schedule as StreamedSizes & Schedule);
    return k.finish();
  },
};
