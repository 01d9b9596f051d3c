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
import type { NumberFormat } from '../../quant/number-format.ts';
import { add, binary, type Expr, i32, mul } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate } from '../template.ts';
import { DirectProduct } from './direct-product.ts';
import { linearSizes } from './linear-float.ts';
import { kernelName } from './naming.ts';
import { canMultiply, type TiledProduct, unitSizes } from './packed-product.ts';
import {
  type DirectSchedule,
  inTileRegisters,
  isDiagonal,
  isDirect,
  packedSchedules,
  type RepeatedSchedule,
} from './packed-schedules.ts';
import { PackedTileRegisters } from './packed-tile-registers.ts';
import { PackedTiles } from './packed-tiles.ts';
import { RepeatedTiles } from './repeated-tiles.ts';
import { Results, writesFloats } from './results.ts';
import { forStreams, forTiles } from './tiles.ts';

const formatsOf = ({ inputs: [x, w] }: KernelRequest): [NumberFormat, NumberFormat] => [
  x!.dtype as NumberFormat,
  w!.dtype as NumberFormat,
];

/** Whole product, read in place; threads split the panels. */
function emitDirect(k: KernelBuilder, request: KernelRequest, { tokens, panels }: DirectSchedule): void {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const [xBuffer, wBuffer] = [k.buffer('x', 'read'), k.buffer('w', 'read')];
  const { machine } = request;
  const { lanes } = machine;
  const product = new DirectProduct(k, { buffer: xBuffer, format: x }, { buffer: wBuffer, format: w }, depth, machine);
  const results = new Results(k, request);
  const panelCount = Math.ceil(n / lanes);
  const store = (rowStart: Expr, panel: Expr, sum: Expr): void => {
    const put = (count: number): void => results.storeFirst(rowStart, mul(panel, lanes), sum, count);
    if (n % lanes === 0) put(lanes);
    else
      k.if(
        binary('eq', panel, panelCount - 1),
        () => put(n % lanes),
        () => put(lanes),
      );
  };
  k.parallelRange(panelCount, panels, (begin, end) =>
    forStreams(k, begin, end, panels, (panel, count, apart) =>
      forTiles(k, i32(0), i32(m), tokens, m, (token, tokensHere) => {
        const sums = product.tile(token, tokensHere, panel, count, apart);
        for (const [t, row] of sums.entries()) {
          const rowStart = k.let(mul(add(token, t), n));
          for (const [p, sum] of row.entries()) store(rowStart, k.let(add(panel, mul(apart, p))), sum);
        }
      }),
    ),
  );
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
