/**
 * `linear` of quantised activations by weights in panels of 4 rows: integer dot products within each group, scaled once
 * per group. y[n] = sum over groups of a * (step[n] * (sum of x * level[n] - offset * sum of x) + least[n] * sum of x)
 * (MixPE: dequantise after the group, not before).
 *
 * Few tokens decode the levels in registers, so that each weight byte is read once at the speed of memory: one vector of
 * levels is four neighbouring elements of 4 rows, four neighbouring activations repeat over its lanes. Many tokens
 * decode panels once for all of them (packed-tiles.ts).
 */
import { isNumberFormat, type NumberFormat, panelBlockBytes, SUB_BLOCK, sumSize } from '../../quant/number-format.ts';
import { rankSchedules, type Work } from '../cost.ts';
import { add, binary, constant, type Expr, fma, i32, mul, splat, ternary, unary, vectorType } from '../expression.ts';
import { KernelBuilder, type Variable } from '../language.ts';
import { quadOrder } from '../packed-block.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { linearSizes } from './linear-float.ts';
import { kernelName } from './naming.ts';
import {
  blockReader,
  forUnits,
  hasLeast,
  LANES,
  type PackedOperand,
  panelBytes,
  type UnitReader,
  type UnitSizes,
  unitSizes,
} from './packed-product.ts';
import { dotOf, PackedTiles, type TileSizes } from './packed-tiles.ts';
import { stagedUnitBytes, tokenLayout } from './panel-stage.ts';
import { Results, writesFloats } from './results.ts';
import { forTiles } from './tiles.ts';

const F32X4 = vectorType('f32', LANES);
const I32X4 = vectorType('i32', LANES);

/** Tiles of tokens x panels read in place. */
interface DirectSchedule extends Schedule {
  readonly tokens: number;
  readonly panels: number;
}

type PackedSchedule = DirectSchedule | (TileSizes & Schedule);

const isDirect = (schedule: Schedule): schedule is DirectSchedule => 'tokens' in schedule;

const formatsOf = ({ inputs: [x, w] }: KernelRequest): [NumberFormat, NumberFormat] => [
  x!.dtype as NumberFormat,
  w!.dtype as NumberFormat,
];

/** Products of few tokens with panels where they lie. */
class DirectProduct {
  readonly #k: KernelBuilder;
  readonly #x: PackedOperand;
  readonly #w: PackedOperand;
  readonly #sizes: UnitSizes;
  readonly #depth: number;

  constructor(k: KernelBuilder, x: PackedOperand, w: PackedOperand, depth: number) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.#depth = depth;
    this.#sizes = unitSizes(x.format, w.format, depth);
  }

  /** Sums [tokens][panels] of tokens token .. by panels panel .. over the whole depth. */
  tile(token: Expr, tokens: number, panel: Expr, panels: number): Variable[][] {
    const [k, { unitsPerBlock, units }, xBytes] = [this.#k, this.#sizes, this.#x.format.blockBytes];
    const rowBytes = units * xBytes;
    const bytes = panelBytes(this.#w.format, this.#depth);
    const start = k.let(mul(token, rowBytes));
    const block = k.variable(mul(panel, bytes));
    const sums = Array.from({ length: tokens }, () =>
      Array.from({ length: panels }, () => k.variable(constant(F32X4, 0))),
    );
    k.loop(start, add(start, rowBytes), unitsPerBlock * xBytes, (at) => {
      const reader = blockReader(k, this.#w, this.#sizes, { count: panels, bytes }, block);
      forUnits(k, this.#sizes, (unit) => {
        const own = k.let(add(at, mul(unit, xBytes)));
        this.#unit(sums, (t, offset) => add(own, t * rowBytes + offset), reader(unit));
      });
      k.set(block, add(block, panelBlockBytes(this.#w.format)));
    });
    return sums;
  }

  /** Adds one unit's products. `place` is the byte offset of a field of token t's block. */
  #unit(sums: readonly (readonly Variable[])[], place: (t: number, offset: number) => Expr, reader: UnitReader): void {
    const [k, { buffer, format: x }, { format: w }, sizes] = [this.#k, this.#x, this.#w, this.#sizes];
    const spans = Array.from({ length: sizes.spans }, (_, span) => span);
    const { dtype, byteOffset } = x.codeSum!;
    const codeSum = (t: number, span: number): Expr =>
      k.load(buffer, dtype === 'i32' ? 'i32' : 'i16', place(t, byteOffset + 2 * span));
    const dots = spans.map((span) =>
      sums.map((row, t) => {
        const start = w.offset === 0 ? constant(I32X4, 0) : k.let(splat(mul(codeSum(t, span), -w.offset), LANES));
        return row.map(() => k.variable(start));
      }),
    );
    for (const quad of unitQuads(w, sizes)) {
      const levels = sums[0]!.map((_, p) => k.let(reader.levels(p, quad)));
      const own = dots[Math.floor(quad / sizes.quadsPerSpan)]!;
      for (const [t, row] of own.entries()) {
        const codes = k.let(splat(k.load(buffer, 'i32', place(t, x.planes[0]!.byteOffset + 4 * quad)), LANES));
        for (const [p, sum] of row.entries()) k.set(sum, ternary(dotOf(w), sum, codes, levels[p]!));
      }
    }
    const steps = spans.map((span) => sums[0]!.map((_, p) => k.let(reader.step(p, span))));
    const leasts = hasLeast(w) ? spans.map((span) => sums[0]!.map((_, p) => k.let(reader.least(p, span)))) : [];
    for (const [t, row] of sums.entries()) {
      const scale = k.let(splat(k.load(buffer, 'f32', place(t, x.scale.byteOffset)), LANES));
      const shifts = leasts.map((_, span) => k.let(splat(unary('to_f32', codeSum(t, span)), LANES)));
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

/** Whole product, read in place; threads split the panels. */
function emitDirect(k: KernelBuilder, request: KernelRequest, { tokens, panels }: DirectSchedule): void {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const [xBuffer, wBuffer] = [k.buffer('x', 'read'), k.buffer('w', 'read')];
  const product = new DirectProduct(k, { buffer: xBuffer, format: x }, { buffer: wBuffer, format: w }, depth);
  const results = new Results(k, request);
  const panelCount = Math.ceil(n / LANES);
  k.parallelRange(panelCount, panels, (begin, end) =>
    forTiles(k, begin, end, panels, panelCount, (panel, panelsHere) =>
      forTiles(k, i32(0), i32(m), tokens, m, (token, tokensHere) => {
        const sums = product.tile(token, tokensHere, panel, panelsHere);
        const store = (last: number): void =>
          sums.forEach((row, t) => {
            const rowStart = k.let(mul(add(token, t), n));
            row.forEach((sum, p) =>
              results.storeFirst(rowStart, mul(add(panel, p), LANES), sum, p === row.length - 1 ? last : LANES),
            );
          });
        if (n % LANES === 0) store(LANES);
        else
          k.if(
            binary('eq', add(panel, panelsHere), panelCount),
            () => store(n % LANES),
            () => store(LANES),
          );
      }),
    ),
  );
}

function emitTiled(k: KernelBuilder, request: KernelRequest, tile: TileSizes): void {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const operands = { x: { buffer: k.buffer('x', 'read'), format: x }, w: { buffer: k.buffer('w', 'read'), format: w } };
  const [sizes, results] = [unitSizes(x, w, depth), new Results(k, request)];
  const { hasFma } = request.machine;
  new PackedTiles(k, { ...operands, m, n, sizes, results, hasFma }, tile).emit();
}

/** What a candidate does per unit: decodes levels, repeats activations, multiplies, and applies scales. */
function packedWork(request: KernelRequest, schedule: PackedSchedule): Work {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const { units, quads, spans } = unitSizes(x, w, depth);
  const panelCount = Math.ceil(n / LANES);
  const least = hasLeast(w) ? 1 : 0;
  const decode = quads * w.planes.reduce((sum, { bits }) => sum + bits / 8 + 2, 0) + spans * 5 + 10;
  const [xBytes, wBytes] = [m * units * x.blockBytes, panelCount * panelBytes(w, depth)];
  const { l1Bytes, l2Bytes, threads } = request.machine;
  const far = wBytes > l2Bytes;
  if (isDirect(schedule)) {
    const { tokens, panels } = schedule;
    const [rounds, panelTiles] = [Math.ceil(m / tokens), Math.ceil(panelCount / panels)];
    const multiplies = m * panelCount * units * quads;
    const perUnit = panelCount * (rounds * decode + m * spans * (3 + least)) + m * panelTiles * (2 * quads + 6);
    return {
      multiplies,
      instructions: multiplies + units * perUnit,
      chains: 8, // sums start afresh with every unit
      nearBytes: (2 * xBytes < l1Bytes ? xBytes : xBytes * panelTiles) + (far ? 0 : wBytes * rounds),
      farBytes: far ? wBytes : 0,
      items: panelTiles,
    };
  }
  const fours = Math.ceil(m / LANES);
  const [tiles, blocks] = [Math.ceil(fours / schedule.fours), Math.ceil(fours / schedule.block)];
  const multiplies = fours * LANES * panelCount * units * quads;
  const perTile = quads * 4 + spans * (6 + 3 * least);
  const perFour = quads + spans * (4 * (3 + least) + 6);
  const staging = blocks * panelCount * (decode + quads) + threads * 2 * fours * (5 * quads + 24);
  const staged = m * units * tokenLayout(w, unitSizes(x, w, depth)).bytes;
  return {
    multiplies,
    instructions: multiplies + units * (panelCount * (tiles * perTile + fours * perFour) + staging),
    chains: 8,
    nearBytes: (staged / LANES) * Math.ceil(panelCount / schedule.panels) + (far ? 0 : wBytes * blocks),
    farBytes: far ? wBytes * blocks : 0,
    items: Math.ceil(panelCount / schedule.panels),
  };
}

/** Tiles that the registers hold; staged ones take as many tokens at once as half of L2 holds of activations. */
function packedSchedules(request: KernelRequest): PackedSchedule[] {
  const { m, depth } = linearSizes(request);
  const { machine } = request;
  const [x, w] = formatsOf(request);
  const sizes = unitSizes(x, w, depth);
  const candidates: PackedSchedule[] = [];
  for (const tokens of [1, 2, 3, 4]) {
    for (const panels of [1, 2, 4]) {
      const registers = (sizes.spans + 1) * tokens * panels + panels + 1;
      if (tokens > Math.max(1, m) || registers >= machine.vectorRegisters) continue;
      candidates.push({ tokens, panels });
    }
  }
  const tokenBytes = Math.max(1, sizes.units * tokenLayout(w, sizes).bytes);
  const block = Math.max(2, Math.min(Math.ceil(m / LANES), Math.floor(machine.l2Bytes / 2 / tokenBytes / 2) * 2));
  const blockBytes = sizes.unitsPerBlock * stagedUnitBytes(w, sizes);
  for (const fours of [1, 2]) {
    for (const panels of [2, 4, 8]) {
      if (m <= LANES * (fours - 1) || m < 2) continue;
      const chunk = Math.max(1, Math.floor(machine.l1Bytes / 2 / panels / blockBytes));
      candidates.push({ fours, panels, chunk: Math.min(chunk, Math.max(1, sizes.units / sizes.unitsPerBlock)), block });
    }
  }
  return rankSchedules(candidates, (schedule) => packedWork(request, schedule), machine);
}

/** Whether integer products exist for activations by panels: both in units of the same spans. */
export function canMultiply(x: KernelRequest['inputs'][number], w: KernelRequest['inputs'][number]): boolean {
  if (!isNumberFormat(x.dtype) || !isNumberFormat(w.dtype)) return false;
  const [a, b] = [x.dtype, w.dtype];
  return (
    a.codeSum !== null &&
    a.panelRows === 1 &&
    b.codeSum === null &&
    b.panelRows === LANES &&
    sumSize(a) === b.groupSize &&
    b.blockSize % a.blockSize === 0
  );
}

export const linearPacked: KernelTemplate = {
  op: 'linear',
  name: 'linear packed',
  supports: (request) =>
    canMultiply(request.inputs[0]!, request.inputs[1]!) &&
    request.machine.lanes === LANES &&
    request.output.dtype === 'f32' &&
    writesFloats(request),
  schedules: packedSchedules,
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('linear', request, schedule), LANES);
    if (isDirect(schedule)) emitDirect(k, request, schedule);
    else emitTiled(k, request, schedule as TileSizes & Schedule);
    return k.finish();
  },
};
