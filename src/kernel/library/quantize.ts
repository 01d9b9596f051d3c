/**
 * `quantize` of activations to Q8_A<group>, and of cached rows to Q8_C32: per group the scale absmax / 127, int8 codes
 * and, for activations, their sum. Groups lie one after the other in both tensors, whatever the rows.
 */
import { elementCount } from '../../ir/shape.ts';
import { isNumberFormat, type NumberFormat } from '../../quant/number-format.ts';
import { isMadeAtOnce } from '../../quant/quantize.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat } from '../decode.ts';
import {
  add,
  and,
  type BufferParam,
  binary,
  div,
  type Expr,
  f32,
  max,
  mul,
  select,
  splat,
  sub,
  unary,
} from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';

const LEAST_SCALE = 2 ** -126;
/** 1.5 * 2^23: adding it rounds a float below 2^22 to an integer, half to even, which then is the low bits of the sum. */
const ROUNDER = 12_582_912;
const ROUNDER_BITS = 0x4b400000;

/** round(x * inverse) as i32; NaN gives 0. */
function codesOf(k: KernelBuilder, x: Expr, inverse: Expr): Expr {
  const scaled = k.let(mul(x, inverse));
  const rounded = sub(unary('bits_i32', add(scaled, ROUNDER)), ROUNDER_BITS);
  return k.let(select(binary('eq', scaled, scaled), rounded, 0));
}

/** Lanes of the vectors that a group is read by: four of them make one vector of codes. */
const groupLanes = ({ lanes }: KernelBuilder, { blockSize }: NumberFormat): number => Math.min(lanes, blockSize / 4);

/** One group of f32 values, read in vectors of `lanes`, to a block at `to`. */
function quantizeGroup(
  k: KernelBuilder,
  format: NumberFormat,
  lanes: number,
  load: (element: number) => Expr,
  out: BufferParam,
  to: Expr,
): void {
  const size = format.blockSize;
  // Magnitudes order like their bits, NaN above all, and integers take one instruction.
  const magnitude = (element: number): Expr => and(unary('bits_i32', load(element)), 0x7fffffff);
  const vectors = Array.from({ length: size / lanes }, (_, i) => lanes * i);
  const largest = vectors.map(magnitude).reduce((a, b) => k.let(max(a, b)));
  const scale = k.let(div(unary('bits_f32', unary('reduce_max', largest)), 127));
  const inverse = k.let(splat(select(binary('lt', scale, LEAST_SCALE), f32(0), div(f32(1), scale)), lanes));
  const count = (format.codeSum?.dtype ?? 'i32') === 'i32' ? 1 : 2;
  const sums: Expr[] = [];
  for (let i = 0; i < size; i += 4 * lanes) {
    const elements = [0, 1, 2, 3].map((j) => i + lanes * j);
    const parts = elements.map((element) => codesOf(k, load(element), inverse)) as [Expr, Expr, Expr, Expr];
    k.store(out, 'i32', add(to, format.planes[0]!.byteOffset + i), { kind: 'pack8', type: parts[0].type, parts });
    for (const [j, element] of format.codeSum ? elements.entries() : []) {
      const half = Math.floor((element * count) / size);
      sums[half] = sums[half] ? k.let(add(sums[half], parts[j]!)) : parts[j]!;
    }
  }
  k.store(out, 'f32', add(to, format.scale.byteOffset), scale);
  for (const [half, sum] of sums.entries()) {
    const { dtype, byteOffset } = format.codeSum!;
    k.store(out, dtype === 'i32' ? 'i32' : 'i16', add(to, byteOffset + 2 * half), unary('reduce_add', sum));
  }
}

export const quantizeKernel: KernelTemplate = {
  op: 'quantize',
  name: 'quantize',
  supports: ({ inputs, output, epilogue }) =>
    isFloatType(inputs[0]!.dtype) && isNumberFormat(output.dtype) && isMadeAtOnce(output.dtype) && !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('quantize', request, schedule), request.machine.lanes);
    const [x, out] = [k.buffer('x', 'read'), k.buffer('output', 'write')];
    const format = request.output.dtype as NumberFormat;
    const dtype = request.inputs[0]!.dtype as FloatType;
    const bytes = FLOAT_BYTES[dtype];
    const groups = elementCount(request.output.shape) / format.blockSize;
    k.parallelLoop(groups, 1, (group) => {
      const from = k.let(mul(group, format.blockSize * bytes));
      const lanes = groupLanes(k, format);
      const load = (element: number): Expr => loadFloat(k, dtype, x, add(from, element * bytes), lanes);
      quantizeGroup(k, format, lanes, load, out, k.let(mul(group, format.blockBytes)));
    });
    return k.finish();
  },
};
