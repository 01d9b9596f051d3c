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
  constant,
  div,
  type Expr,
  f32,
  max,
  mul,
  select,
  splat,
  sub,
  unary,
  vectorType,
} from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';

const LEAST_SCALE = 2 ** -126;
/** Elements that one vector of codes holds. */
const CODES = 16;
const I32X4 = vectorType('i32', 4);

/** 1.5 * 2^23: adding it rounds a float below 2^22 to an integer, half to even, which then is the low bits of the sum. */
const ROUNDER = 12_582_912;
const ROUNDER_BITS = 0x4b400000;

/** round(x * inverse) as i32; NaN gives 0. */
function codesOf(k: KernelBuilder, x: Expr, inverse: Expr): Expr {
  const scaled = k.let(mul(x, inverse));
  const rounded = sub(unary('bits_i32', add(scaled, ROUNDER)), ROUNDER_BITS);
  return k.let(select(binary('eq', scaled, scaled), rounded, constant(I32X4, 0)));
}

/** One group of f32 values, read at `at`, to a block at `to`. */
function quantizeGroup(
  k: KernelBuilder,
  format: NumberFormat,
  load: (element: number) => Expr,
  out: BufferParam,
  to: Expr,
): void {
  const size = format.blockSize;
  // Magnitudes order like their bits, NaN above all, and integers take one instruction.
  const magnitude = (element: number): Expr => and(unary('bits_i32', load(element)), 0x7fffffff);
  const largest = Array.from({ length: size / 4 }, (_, i) => magnitude(4 * i)).reduce((a, b) => k.let(max(a, b)));
  const scale = k.let(div(unary('bits_f32', unary('reduce_max', largest)), 127));
  const inverse = k.let(splat(select(binary('lt', scale, LEAST_SCALE), f32(0), div(f32(1), scale)), 4));
  const sums: Expr[] = [];
  for (let i = 0; i < size; i += CODES) {
    const parts = [0, 4, 8, 12].map((j) => codesOf(k, load(i + j), inverse)) as [Expr, Expr, Expr, Expr];
    sums.push(k.let(parts.reduce((a, b) => add(a, b))));
    k.store(out, 'i32', add(to, format.planes[0]!.byteOffset + i), { kind: 'pack8', type: I32X4, parts });
  }
  k.store(out, 'f32', add(to, format.scale.byteOffset), scale);
  if (format.codeSum === null) return;
  const { dtype, byteOffset } = format.codeSum;
  const count = dtype === 'i32' ? 1 : 2;
  for (let half = 0; half < count; half++) {
    const own = sums.slice((half * sums.length) / count, ((half + 1) * sums.length) / count);
    const sum = unary(
      'reduce_add',
      own.reduce((a, b) => add(a, b)),
    );
    k.store(out, dtype === 'i32' ? 'i32' : 'i16', add(to, byteOffset + 2 * half), sum);
  }
}

export const quantizeKernel: KernelTemplate = {
  op: 'quantize',
  name: 'quantize',
  supports: ({ inputs, output, machine, epilogue }) =>
    isFloatType(inputs[0]!.dtype) &&
    isNumberFormat(output.dtype) &&
    isMadeAtOnce(output.dtype) &&
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
