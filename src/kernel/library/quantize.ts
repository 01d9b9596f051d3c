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
  type BufferParam,
  binary,
  constant,
  div,
  type Expr,
  f32,
  max,
  mul,
  select,
  unary,
  vectorType,
} from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';

const LEAST_SCALE = 2 ** -126;

/** One group of f32 values, read at `at`, to a block at `to`. */
function quantizeGroup(
  k: KernelBuilder,
  format: NumberFormat,
  load: (element: number) => Expr,
  out: BufferParam,
  to: Expr,
): void {
  const size = format.blockSize;
  const largest = k.variable(unary('abs', load(0)));
  for (let i = 4; i < size; i += 4) k.set(largest, max(largest, unary('abs', load(i))));
  const scale = k.let(div(unary('reduce_max', largest), 127));
  const inverse = k.let(select(binary('lt', scale, LEAST_SCALE), f32(0), div(f32(1), scale)));
  const sum = k.variable(constant(vectorType('i32', 4), 0));
  for (let i = 0; i < size; i += 16) {
    const parts = [0, 4, 8, 12].map((j) => k.let(unary('to_i32', unary('nearest', mul(load(i + j), inverse)))));
    const total = parts.reduce((a, b) => add(a, b));
    k.set(sum, add(sum, total));
    const packed: Expr = { kind: 'pack8', type: vectorType('i32', 4), parts: parts as [Expr, Expr, Expr, Expr] };
    k.store(out, 'i32', add(to, format.planes[0]!.byteOffset + i), packed);
  }
  k.store(out, 'f32', add(to, format.scale.byteOffset), scale);
  if (format.codeSum) k.store(out, 'i32', add(to, format.codeSum.byteOffset), unary('reduce_add', sum));
}

export const quantizeKernel: KernelTemplate = {
  op: 'quantize',
  name: 'quantize',
  supports: ({ inputs, output, machine, epilogue }) =>
    isFloatType(inputs[0]!.dtype) &&
    isNumberFormat(output.dtype) &&
    isMadeAtOnce(output.dtype) &&
    output.dtype.codeSum?.dtype !== 'i16x2' &&
    machine.lanes === 4 &&
    !epilogue,
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
      const load = (element: number): Expr => loadFloat(k, dtype, x, add(from, element * bytes), 4);
      quantizeGroup(k, format, load, out, k.let(mul(group, format.blockBytes)));
    });
    return k.finish();
  },
};
