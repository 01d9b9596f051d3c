/**
 * `linear` of quantised activations by weights in panels of as many rows as vectors have lanes: integer dot products within
 * each group, scaled once per group. y[n] = sum over groups of
 * a * (step[n] * (sum of x * level[n] - offset * sum of x) + least[n] * sum of x) (MixPE: dequantise after the group).
 *
 * Few tokens decode the levels in registers, so that each weight byte is read once at the speed of memory: one vector of
 * levels is four neighbouring elements of a row in each lane, four neighbouring activations repeat over its lanes. Many
 * tokens decode panels once for all of them, and multiply on diagonals (packed-tiles.ts) where vectors are short and to
 * repeat an operand takes an instruction, with repeated activations (repeated-tiles.ts) elsewhere, and in tile registers where
 * the machine has them (packed-tile-registers.ts).
 */
import { inTileRegisters, PackedTileRegisters, RepeatedTiles } from '#wide-kernels';
import type { NumberFormat } from '../../quant/number-format.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate } from '../template.ts';
import { DirectProduct } from './direct-product.ts';
import { linearSizes } from './linear-sizes.ts';
import { kernelName } from './naming.ts';
import { canMultiply, type TiledProduct, unitSizes } from './packed-product.ts';
import {
  type DirectSchedule,
  isDiagonal,
  isDirect,
  packedSchedules,
  type RepeatedSchedule,
} from './packed-schedules.ts';
import { PackedTiles } from './packed-tiles.ts';
import { Results, writesFloats } from './results.ts';
import { emitStreamed } from './streamed-product.ts';

const formatsOf = ({ inputs: [x, w] }: KernelRequest): [NumberFormat, NumberFormat] => [
  x!.dtype as NumberFormat,
  w!.dtype as NumberFormat,
];

/** Whole product, read in place. */
function emitDirect(k: KernelBuilder, request: KernelRequest, schedule: DirectSchedule): void {
  const [x, w] = formatsOf(request);
  const operands = [
    { buffer: k.buffer('x', 'read'), format: x },
    { buffer: k.buffer('w', 'read'), format: w },
  ] as const;
  const product = new DirectProduct(k, ...operands, linearSizes(request).depth, request.machine);
  emitStreamed(k, request, product, schedule);
}

/** The operands of a product whose panels are decoded once for many tokens. */
function tiledProduct(k: KernelBuilder, request: KernelRequest): TiledProduct {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const operands = { x: { buffer: k.buffer('x', 'read'), format: x }, w: { buffer: k.buffer('w', 'read'), format: w } };
  const [sizes, results] = [unitSizes(x, w, depth), new Results(k, request)];
  return { ...operands, m, n, sizes, results, machine: request.machine };
}

export const linearPacked: KernelTemplate = {
  op: 'linear',
  name: 'linear packed',
  supports: (request) =>
    canMultiply(request.inputs[0]!.dtype, request.inputs[1]!.dtype, request.machine) &&
    request.output.dtype === 'f32' &&
    writesFloats(request),
  schedules: packedSchedules,
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('linear', request, schedule), request.machine.lanes);
    if (isDirect(schedule)) emitDirect(k, request, schedule);
    else if (inTileRegisters(schedule)) new PackedTileRegisters(k, tiledProduct(k, request), schedule).emit();
    else if (isDiagonal(schedule)) new PackedTiles(k, tiledProduct(k, request), schedule).emit();
    else new RepeatedTiles(k, tiledProduct(k, request), schedule as RepeatedSchedule).emit();
    return k.finish();
  },
};
