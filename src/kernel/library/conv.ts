/**
 * `conv` of floats in 1-D and 2-D with any strides, padding, dilations and groups, in the layouts of the op: x [batch,
 * channels, ...space], w [outputs, channels of a group, ...window].
 *
 * Implicit GEMM (Chetlur et al., cuDNN, 2014; Georganas et al., Anatomy of High-Performance Deep Learning Convolutions,
 * 2018): for each image and group C[output, place] = sum over (channel, tap) of W * patch, through the blocked product of
 * gemm.ts. Weights are its left operand as they lie. The patches (conv-patches.ts) are packed per work item and slice of
 * the depth, whole channels; windows of one tap that moves by one are a plain matrix.
 *
 * Arithmetic, at 16 lanes and two multiply-adds a cycle: a packed vector is a load and a store. With its share of the
 * staging that took 7 cycles where L2 holds the block that is written, and is some 3 by count where L1 does (few panels, by
 * as much depth as fits). It serves `outputs` multiply-adds of half a cycle: at 64 outputs 18 % or 9 % of the time, at 512 3 %
 * or 1 %. Each small block reads all weights again, so they are for weights that L2 holds. Below some 16 outputs a group
 * packing would be the larger part, and the sums run over the staged input itself (conv-direct.ts).
 *
 * Lanes are neighbouring places of an image: 56 x 56 and 28 x 28 fill them, 14 x 14 fills 94 % of 16 lanes, 7 x 7 77 %.
 *
 * Measured on one core of a Xeon with AVX-512 (187 GFLOP/s at most), which others kept busy too, so minima of each run, in
 * GFLOP/s: 3x3 64 to 64 at 56 x 56 137 to 143, 256 to 256 at 14 x 14 150 to 171, 512 to 512 at 7 x 7 129 to 149; 1x1 256 to 64
 * at 56 x 56 140 to 146; 7x7 stride 2 3 to 64 at 224 x 224 160 to 167; 1-D 80 to 512 over 3000 168; depthwise 3x3 at
 * 56 x 56 53, which is 24 GB/s of its planes.
 */
import { estimateCycles, type Work } from '../cost.ts';
import { FLOAT_BYTES } from '../decode.ts';
import { add, type BufferParam, divU, type Expr, mul, remU } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { Machine } from '../machine.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { type DirectSchedule, directLanes, emitDirectConv } from './conv-direct.ts';
import { Patches, patchPitch, stageSizes, windowSizes } from './conv-patches.ts';
import { type ConvAxis, type ConvShape, convShape, isConv, tapPlace } from './conv-shape.ts';
import { isByRow, stageFloats } from './conv-stage.ts';
import { emitGemm, type GemmProblem, type GemmSchedule } from './gemm.ts';
import { kernelName } from './naming.ts';
import type { ColumnSource, MatrixSource } from './panel-source.ts';
import { Results } from './results.ts';

const isOneToOne = ({ size, places, taps, stride, low, spread }: ConvAxis): boolean =>
  taps === 1 && stride === 1 && low === 0 && spread === 1 && size === places;

/** Whether patches are the input itself: a matrix of channels by places. */
const isPlain = ({ y, across }: ConvShape): boolean => isOneToOne(y) && isOneToOne(across);

/** Rows of outputs that are batch entries of the product of their own. */
const rowEntries = (shape: ConvShape): number => (!isPlain(shape) && isByRow(shape) ? shape.y.places : 1);

function problemOf(shape: ConvShape, w: BufferParam, b: MatrixSource | ColumnSource): GemmProblem {
  const { images, groups, outputs, channels, taps, places } = shape;
  const rows = rowEntries(shape);
  const depth = channels * taps;
  const image = (batch: Expr): Expr => divU(batch, rows);
  const a: MatrixSource = {
    ...{ buffer: w, dtype: shape.w, rows: outputs, depth, rowStride: depth, depthStride: 1, batchStride: 0 },
    batchOffset: (batch) => mul(remU(image(batch), groups), outputs * depth),
  };
  const rowStart = (batch: Expr, row: Expr): Expr =>
    add(mul(add(mul(image(batch), outputs), row), places), mul(remU(batch, rows), places / rows));
  const sizes = { batch: images * groups * rows, m: outputs, n: places / rows, depth };
  const channel = (batch: Expr, row: Expr): Expr => add(mul(remU(image(batch), groups), outputs), row);
  return { ...sizes, a, b, rowStart, rowStride: places, channel };
}

const plainSource = ({ x, channels, plane }: ConvShape, buffer: BufferParam): MatrixSource => ({
  ...{ buffer, dtype: x, rows: plane, depth: channels, rowStride: 1, depthStride: plane },
  batchStride: channels * plane,
});

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** Register tiles of the product, outputs x vectors of places: as many sums as registers allow, or a height that divides the outputs. */
function registerTiles(shape: ConvShape, { lanes, vectorRegisters }: Machine): { mr: number; nr: number }[] {
  return [2, 3, 1, 4].flatMap((vectors) => {
    const most = Math.max(1, Math.min(Math.floor((vectorRegisters - 2 - vectors) / vectors), shape.outputs, 12));
    const equal = Math.ceil(shape.outputs / Math.ceil(shape.outputs / most));
    const dividing = Array.from({ length: most }, (_, i) => most - i).find((mr) => shape.outputs % mr === 0)!;
    return [...new Set([most, equal, dividing])].map((mr) => ({ mr, nr: vectors * lanes }));
  });
}

/** Columns of a block of patches in scratch. */
const blockWidth = (shape: ConvShape, nc: number, lanes: number): number =>
  isPlain(shape) ? nc : patchPitch(nc, lanes);

/** Depths of slices: equal ones of whole channels, at most `most` deep where a channel is not deeper. */
function sliceDepth(shape: ConvShape, most: number): number {
  const { channels, taps } = shape;
  const unit = isPlain(shape) ? Math.min(4, channels) : taps;
  const slices = Math.ceil((channels * taps) / Math.max(unit, most));
  return roundUp(Math.ceil((channels * taps) / slices), unit);
}

/** Register tiles with blocks of patches whose panels are a share of L1 and that fit half of L2, or that fit L1 as wholes. */
function productSchedules(shape: ConvShape, machine: Machine): GemmSchedule[] {
  const { lanes, l1Bytes, l2Bytes, threads } = machine;
  const { outputs, images, groups } = shape;
  const rows = rowEntries(shape);
  const [n, entries] = [shape.places / rows, images * groups * rows];
  const found = new Map<string, GemmSchedule>();
  const offer = (mr: number, nr: number, kc: number, columns: number): void => {
    for (const itemsPerThread of threads === 1 ? [1] : [1, 2, 4]) {
      const blocks = Math.max(Math.ceil(n / columns), Math.ceil((itemsPerThread * threads) / entries));
      const nc = Math.max(nr, roundUp(Math.ceil(n / blocks), nr));
      const items = Math.ceil(n / nc) * entries;
      const mc = roundUp(Math.ceil(outputs / Math.ceil((itemsPerThread * threads) / items)), mr);
      const schedule = { mr, nr, kc, nc, mc };
      found.set(Object.values(schedule).join(), schedule);
    }
  };
  for (const { mr, nr } of registerTiles(shape, machine)) {
    for (const share of [1, 2]) {
      const kc = sliceDepth(shape, Math.floor(l1Bytes / share / (4 * nr)));
      const most = Math.max(nr, Math.floor(l2Bytes / 2 / (4 * kc * nr)) * nr);
      for (const part of [1, 2, 4]) offer(mr, nr, kc, Math.max(nr, roundUp(Math.floor(most / part), nr)));
    }
    for (const panels of [1, 2])
      offer(mr, nr, sliceDepth(shape, Math.floor(l1Bytes / 4 / blockWidth(shape, panels * nr, lanes))), panels * nr);
  }
  return [...found.values()];
}

/** What a product does: multiply-adds, packing, staging; patches and weights that pass through the caches. */
function productWork(shape: ConvShape, { mr, nr, kc, nc, mc }: GemmSchedule, machine: Machine): Work {
  const { lanes, l1Bytes, l2Bytes } = machine;
  const { images, groups, channels, outputs: m, taps, across } = shape;
  const rows = rowEntries(shape);
  const [n, batch, depth] = [shape.places / rows, images * groups * rows, channels * taps];
  const [rowBlocks, columnBlocks, slices] = [Math.ceil(m / mc), Math.ceil(n / nc), Math.ceil(depth / kc)];
  const [rowTiles, vectors] = [Math.ceil(m / mr), Math.ceil(n / lanes)];
  const tiles = batch * rowTiles * Math.ceil(n / nr);
  const multiplies = batch * m * vectors * depth;
  const sizes = isByRow(shape) ? windowSizes(shape, nc, kc) : stageSizes(shape, nc, kc);
  // Vectors that are copied; runs end with their row.
  const runs = isPlain(shape) ? vectors : (n / across.places) * Math.ceil(across.places / lanes);
  const copied = batch * rowBlocks * runs * depth;
  const perElement = across.stride === 1 && across.spread === 1 && shape.x === 'f32' ? 4 / lanes : 3;
  const staged = isPlain(shape) ? 0 : batch * rowBlocks * columnBlocks * channels * stageFloats(shape, sizes).channel;
  const weightBytes = groups * m * depth * FLOAT_BYTES[shape.w];
  const reads = (batch / groups) * columnBlocks;
  // A load counts for more than an instruction: two a cycle there are, and the caches' own traffic takes of them.
  const loads = 2.5 * tiles * depth * (mr + nr / lanes);
  const sums = tiles * slices * (90 + (3 * mr * nr) / lanes); // a loop's end is guessed wrong
  // A block that L1 holds is written and read there.
  const blockBytes = 4 * kc * blockWidth(shape, nc, lanes) <= l1Bytes ? 0 : 4 * tiles * nr * depth + 8 * copied * lanes;
  return {
    multiplies,
    instructions: multiplies + loads + 6 * copied + perElement * staged + sums,
    chains: (Math.ceil(m / rowTiles) * nr) / lanes,
    nearBytes: blockBytes + weightBytes * reads + 4 * sums * lanes,
    farBytes:
      weightBytes * (weightBytes > l2Bytes ? reads : 1) +
      4 * images * groups * channels * shape.plane +
      4 * images * groups * m * shape.places,
    items: batch * rowBlocks * columnBlocks,
  };
}

/** Outputs a group up to which sums straight from the staged input are a candidate. */
const FEW_OUTPUTS = 32;
/** Products that one channel's code of a direct tile may have. */
const MOST_CODE = 400;

function directSchedules(
  shape: ConvShape,
  { lanes, vectorRegisters, l1Bytes, l2Bytes, threads }: Machine,
): DirectSchedule[] {
  const { outputs, channels, y, across, taps, images, groups } = shape;
  if (outputs > FEW_OUTPUTS) return [];
  const byRow = isByRow(shape);
  const width = directLanes(lanes, across.places);
  const row = stageFloats(shape, { channels, rows: 1, columns: across.places }).row;
  const found = new Map<string, DirectSchedule>();
  for (const bytes of [l1Bytes / 2, l2Bytes / 4]) {
    const floats = Math.floor(bytes / 4 / channels);
    const fitting = byRow
      ? roundUp(Math.max(1, floats - across.reach * across.phases), 8 * lanes)
      : Math.floor(floats / row) - y.reach;
    const whole = byRow ? across.places : y.places;
    const pieces = Math.ceil((2 * threads) / (images * groups * (byRow ? y.places : 1)));
    const span = Math.max(1, Math.min(fitting, whole, Math.max(byRow ? 8 * lanes : 4, Math.ceil(whole / pieces))));
    for (const [tileRows, vectors] of [
      [4, 2],
      [4, 1],
      [2, 2],
      [2, 4],
      [1, 4],
      [1, 8],
      [1, 1],
    ] as const)
      for (const tileOutputs of [1, 2, 4]) {
        const schedule = {
          outputs: Math.min(tileOutputs, outputs),
          rows: byRow ? 1 : Math.min(tileRows, y.places),
          vectors: Math.min(vectors, Math.ceil((byRow ? span : across.places) / width)),
          span: byRow ? span : roundUp(span, Math.min(tileRows, y.places)),
        };
        const sums = schedule.outputs * schedule.rows * schedule.vectors;
        const fits = sums + 4 <= vectorRegisters && (taps * sums <= MOST_CODE || sums === 1);
        if (fits) found.set(Object.values(schedule).join(), schedule);
      }
  }
  return [...found.values()];
}

/** What sums straight from the staged input do: vectors of it and repeated weights are loaded for a tile at a time. */
function directWork(shape: ConvShape, schedule: DirectSchedule, { lanes }: Machine): Work {
  const { images, groups, channels, outputs, y, across, taps, plane, places } = shape;
  const byRow = isByRow(shape);
  const columns = byRow ? Math.min(schedule.span, across.places) : across.places;
  const itemRows = byRow ? 1 : Math.min(schedule.span, y.places);
  const vectorsPerRow = Math.ceil(across.places / columns) * Math.ceil(columns / directLanes(lanes, columns));
  const multiplies = images * groups * outputs * channels * taps * y.places * vectorsPerRow;
  const { rows, vectors, outputs: tileOutputs } = schedule;
  const read = new Set<string>();
  for (let row = 0; row < rows; row++)
    for (let tap = 0; tap < y.taps; tap++) read.add(`${tapPlace(y, tap).phase} ${row + tapPlace(y, tap).shift}`);
  const loads = (multiplies / tileOutputs) * (read.size / (rows * y.taps));
  const items = images * groups * Math.ceil(y.places / itemRows) * Math.ceil(across.places / columns);
  const staged = items * channels * stageFloats(shape, { channels, rows: itemRows, columns }).channel;
  const perElement = across.stride === 1 && across.spread === 1 ? 5 / lanes : 3;
  const tiles = multiplies / (channels * taps * tileOutputs * rows * vectors);
  return {
    multiplies,
    instructions: multiplies * (1 + 2 / (rows * vectors)) + 2 * loads + perElement * staged + 12 * tiles,
    chains: tileOutputs * rows * vectors,
    nearBytes: 4 * lanes * loads,
    farBytes: 4 * images * groups * (channels * plane + outputs * places),
    items,
  };
}

const isDirect = (schedule: Schedule): schedule is DirectSchedule => 'span' in schedule;

/** Bytes of scratch that a thread may have. */
const MOST_SCRATCH = 64 << 20;

function scratchBytes(shape: ConvShape, schedule: Schedule, { lanes }: Machine): number {
  if (isDirect(schedule)) {
    const isRow = isByRow(shape);
    const rows = isRow ? 1 : schedule.span;
    const columns = isRow ? schedule.span : shape.across.places;
    return 4 * shape.channels * stageFloats(shape, { channels: shape.channels, rows, columns }).channel;
  }
  const { nc, kc } = schedule as GemmSchedule;
  if (isPlain(shape)) return 4 * kc * blockWidth(shape, nc, lanes);
  const sizes = isByRow(shape) ? windowSizes(shape, nc, kc) : stageSizes(shape, nc, kc);
  return 4 * (kc * patchPitch(nc, lanes) + sizes.channels * stageFloats(shape, sizes).channel);
}

function convSchedules(request: KernelRequest): readonly Schedule[] {
  const { machine } = request;
  const shape = convShape(request);
  const all = [...productSchedules(shape, machine), ...directSchedules(shape, machine)];
  const work = (schedule: Schedule): Work =>
    isDirect(schedule) ? directWork(shape, schedule, machine) : productWork(shape, schedule as GemmSchedule, machine);
  return all
    .filter((schedule) => scratchBytes(shape, schedule, machine) <= MOST_SCRATCH)
    .map((schedule) => ({ schedule, cycles: estimateCycles(work(schedule), machine) }))
    .sort((a, b) => a.cycles - b.cycles)
    .slice(0, 64)
    .map(({ schedule }) => schedule);
}

export const convKernel: KernelTemplate = {
  op: 'conv',
  name: 'conv',
  supports: (request) => isConv(request) && convSchedules(request).length > 0,
  schedules: convSchedules,
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('conv', request, schedule), request.machine.lanes);
    const shape = convShape(request);
    const [x, w] = [k.buffer('x', 'read'), k.buffer('w', 'read')];
    if (isDirect(schedule)) emitDirectConv(k, shape, x, w, schedule, new Results(k, request));
    else {
      const blocks = schedule as GemmSchedule;
      const b = isPlain(shape) ? plainSource(shape, x) : new Patches(k, shape, x, blocks);
      emitGemm(k, problemOf(shape, w, b), blocks, new Results(k, request, 'readwrite'));
    }
    return k.finish();
  },
};
