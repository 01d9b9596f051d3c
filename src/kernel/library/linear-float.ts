/**
 * `linear` with float weights: x [..., K] by w [N, K], each f32, f16 or bf16. Few tokens run as dot products of
 * rows (row-dots.ts), many as a blocked product (gemm.ts); 16-bit weights widen in registers or while packing. Where both are
 * bf16 and the machine has tiles, these multiply them as they are (gemm-tile-registers.ts).
 */
import { emitTileGemm, floatResults, isTileGemm, tileGemmWork, tileSchedulesFor } from '#wide-kernels';
import { rankSchedules, type Work } from '../cost.ts';
import { type FloatType, isFloatType } from '../decode.ts';
import type { BufferParam } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { emitGemm, type GemmSchedule, gemmSchedules, gemmWork } from './gemm.ts';
import { linearSizes } from './linear-sizes.ts';
import { kernelName } from './naming.ts';
import { denseSource } from './panel-source.ts';
import { Results, writesFloats } from './results.ts';
import { emitRowDots, type RowDotSchedule, rowDotSchedules, rowDotWork } from './row-dots.ts';
import type { TileSource } from './tile-squares.ts';

/**
 * Dot products of bf16 pairs save the widening, but give fewer products a cycle than f32 on some cores (14 instead of 32
 * on Emerald Rapids): they are used where a weight meets one token, so that widening it would cost more.
 */
const hasPairs = (request: KernelRequest): boolean =>
  request.machine.hasBf16Dot && request.inputs.every((t) => t.dtype === 'bf16') && linearSizes(request).m === 1;

const isRowDots = (schedule: Schedule): schedule is RowDotSchedule => 'tokens' in schedule;

export const linearFloat: KernelTemplate = {
  op: 'linear',
  name: 'linear',
  sumsBy: ['split'],
  supports: (request) =>
    request.inputs.every((t) => isFloatType(t.dtype)) && request.output.dtype === 'f32' && writesFloats(request),
  schedules(request) {
    const { machine } = request;
    const sizes = linearSizes(request);
    const [x, w] = request.inputs.map((t) => t.dtype as FloatType) as [FloatType, FloatType];
    const blocked = gemmSchedules({ batch: 1, ...sizes }, machine, w);
    const tiled = tileSchedulesFor({ batch: 1, ...sizes }, [x, w], machine);
    const all: Schedule[] = [...rowDotSchedules(sizes.m, machine), ...blocked, ...tiled];
    const work = (schedule: Schedule): Work =>
      isTileGemm(schedule)
        ? tileGemmWork({ batch: 1, ...sizes }, 'bf16', schedule, machine)
        : isRowDots(schedule)
          ? rowDotWork(sizes, { x, w }, schedule, machine)
          : gemmWork({ batch: 1, ...sizes }, schedule as GemmSchedule, machine, w);
    return rankSchedules(all, work, machine);
  },
  build(request, schedule) {
    const { m, n, depth } = linearSizes(request);
    const k = new KernelBuilder(kernelName('linear', request, schedule), request.machine.lanes);
    const [x, w] = [k.buffer('x', 'read'), k.buffer('w', 'read')];
    const [xType, wType] = request.inputs.map((t) => t.dtype as FloatType) as [FloatType, FloatType];
    if (isRowDots(schedule)) {
      emitRowDots(
        k,
        {
          m,
          n,
          depth,
          x: { buffer: x, dtype: xType },
          w: { buffer: w, dtype: wType },
          hasPairs: hasPairs(request),
          prefetches: request.machine.prefetches,
        },
        schedule,
        new Results(k, request),
      );
      return k.finish();
    }
    if (isTileGemm(schedule)) {
      const dense = (buffer: BufferParam, rows: number): TileSource => {
        const strides = { rowStride: depth, depthStride: 1, batchStride: rows * depth };
        return { buffer, dtype: 'bf16', rows, depth, ...strides };
      };
      const problem = { batch: 1, m, n, depth, a: dense(x, m), b: dense(w, n) };
      emitTileGemm(k, problem, schedule, floatResults(new Results(k, request), request));
      return k.finish();
    }
    const [a, b] = [denseSource(k, x, xType, m, depth), denseSource(k, w, wType, n, depth)];
    emitGemm(k, { batch: 1, m, n, depth, a, b }, schedule as GemmSchedule, new Results(k, request, 'readwrite'));
    return k.finish();
  },
};
