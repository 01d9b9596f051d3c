/**
 * `linear` for every other pair of types: both operands are decoded to f32 panels and multiplied there (gemm.ts). It
 * runs each format in each layout; the kernels that read packed weights at speed stand before it.
 */
import type { NumberFormat } from '../../quant/number-format.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelTemplate } from '../template.ts';
import { emitGemm, type GemmSchedule, gemmSchedules } from './gemm.ts';
import { linearSizes } from './linear-sizes.ts';
import { kernelName } from './naming.ts';
import { denseSource, isReadable } from './panel-source.ts';
import { Results, writesFloats } from './results.ts';

/** Elements of the largest block: pieces of the depth are multiples of it. */
const MOST_BLOCK = 256;

export const linearAny: KernelTemplate = {
  op: 'linear',
  name: 'linear any',
  supports: (request) =>
    request.inputs.every((t) => isReadable(t.dtype)) &&
    request.machine.lanes >= 4 &&
    request.output.dtype === 'f32' &&
    writesFloats(request),
  schedules(request) {
    const sizes = linearSizes(request);
    const wholeBlocks = (kc: number): number => (kc >= sizes.depth ? kc : Math.ceil(kc / MOST_BLOCK) * MOST_BLOCK);
    return gemmSchedules({ batch: 1, ...sizes }, request.machine).map((s) => ({ ...s, kc: wholeBlocks(s.kc) }));
  },
  build(request, schedule) {
    const { m, n, depth } = linearSizes(request);
    const k = new KernelBuilder(kernelName('linear', request, schedule), request.machine.lanes);
    const [x, w] = request.inputs.map((t) => t.dtype as NumberFormat) as [NumberFormat, NumberFormat];
    const [a, b] = [
      denseSource(k, k.buffer('x', 'read'), x, m, depth),
      denseSource(k, k.buffer('w', 'read'), w, n, depth),
    ];
    emitGemm(k, { batch: 1, m, n, depth, a, b }, schedule as GemmSchedule, new Results(k, request, 'readwrite'));
    return k.finish();
  },
};
