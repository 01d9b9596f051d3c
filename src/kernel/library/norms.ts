/**
 * `rms_norm` and `layer_norm` over the last axis: one pass for the moments, one to scale; rows are split among threads.
 * layer_norm takes the variance of centred values in a pass of its own, as its op does, so that large means cost nothing.
 */
import { weightOffset } from '../../ir/layer-composites.ts';
import { elementCount } from '../../ir/shape.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat } from '../decode.ts';
import {
  add,
  type BufferParam,
  constant,
  div,
  type Expr,
  f32,
  fma,
  mul,
  splat,
  sub,
  unary,
  vectorType,
} from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { kernelName } from './naming.ts';
import { Results, writesFloats } from './results.ts';

const CHAINS = 4;

/** Sum of `term(column, lanes)` over `columns` columns, in several independent vector sums. */
export function sumColumns(
  k: KernelBuilder,
  columns: number,
  term: (column: Expr, lanes: number, sum: Expr) => Expr,
): Expr {
  const step = CHAINS * k.lanes;
  const [unrolled, whole] = [columns - (columns % step), columns - (columns % k.lanes)];
  const sums = Array.from({ length: CHAINS }, () => k.variable(constant(vectorType('f32', k.lanes), 0)));
  k.loop(0, unrolled, step, (column) => {
    for (const [c, sum] of sums.entries()) k.set(sum, term(add(column, c * k.lanes), k.lanes, sum));
  });
  if (whole > unrolled) k.loop(unrolled, whole, k.lanes, (column) => k.set(sums[0]!, term(column, k.lanes, sums[0]!)));
  const total = k.variable(
    unary(
      'reduce_add',
      sums.reduce<Expr>((a, b) => (a === b ? a : add(a, b)), sums[0]!),
    ),
  );
  if (columns > whole) k.loop(whole, columns, 1, (column) => k.set(total, term(column, 1, total)));
  return total;
}

/** Emits the rows of a norm: `body` gets the loaders of x and of the vectors. */
function buildRows(
  request: KernelRequest,
  schedule: Schedule,
  name: string,
  row: (
    k: KernelBuilder,
    columns: number,
    x: Loader,
    vectors: readonly Loader[],
    store: (column: Expr, value: Expr) => void,
  ) => void,
): ReturnType<KernelBuilder['finish']> {
  const k = new KernelBuilder(kernelName(name, request, schedule), request.machine.lanes);
  const buffers = request.inputs.map((_, i) => k.buffer(`x${i}`, 'read'));
  const results = new Results(k, request);
  const columns = request.output.shape.at(-1)!;
  const loader = (i: number, start: Expr | null): Loader =>
    floatLoader(k, buffers[i]!, request.inputs[i]!.dtype as FloatType, start);
  k.parallelLoop(elementCount(request.output.shape.slice(0, -1)), 1, (index) => {
    const start = k.let(mul(index, columns));
    const vectors = buffers.slice(1).map((_, i) => loader(i + 1, null));
    row(k, columns, loader(0, start), vectors, (column, value) => results.store(start, column, value));
  });
  return k.finish();
}

type Loader = (column: Expr, lanes: number) => Expr;

function floatLoader(k: KernelBuilder, buffer: BufferParam, dtype: FloatType, start: Expr | null): Loader {
  return (column, lanes) =>
    loadFloat(k, dtype, buffer, mul(start ? add(start, column) : column, FLOAT_BYTES[dtype]), lanes);
}

const supportsFloats = (request: KernelRequest): boolean =>
  request.inputs.every((t) => isFloatType(t.dtype)) && writesFloats(request) && request.output.shape.at(-1)! > 0;

export const rmsNorm: KernelTemplate = {
  op: 'rms_norm',
  name: 'rms_norm',
  supports: supportsFloats,
  schedules: () => [{}],
  build: (request, schedule) =>
    buildRows(request, schedule, 'rms_norm', (k, columns, x, [weight], store) => {
      const squares = sumColumns(k, columns, (column, lanes, sum) => {
        const value = k.let(x(column, lanes));
        return fma(value, value, sum);
      });
      const mean = fma(squares, f32(1 / columns), request.attrs.eps as number);
      const scale = k.let(div(f32(1), unary('sqrt', mean)));
      const offset = weightOffset(request.attrs);
      k.vectorLoop(0, columns, (column, lanes) => {
        const gain = weight!(column, lanes);
        store(column, mul(mul(x(column, lanes), splat(scale, lanes)), offset === 0 ? gain : add(gain, offset)));
      });
    }),
};

export const layerNorm: KernelTemplate = {
  op: 'layer_norm',
  name: 'layer_norm',
  supports: supportsFloats,
  schedules: () => [{}],
  build: (request, schedule) =>
    buildRows(request, schedule, 'layer_norm', (k, columns, x, [weight, bias], store) => {
      const mean = k.let(
        mul(
          sumColumns(k, columns, (column, lanes, sum) => add(sum, x(column, lanes))),
          1 / columns,
        ),
      );
      const centred = (column: Expr, lanes: number): Expr => k.let(sub(x(column, lanes), splat(mean, lanes)));
      const squares = sumColumns(k, columns, (column, lanes, sum) => {
        const value = centred(column, lanes);
        return fma(value, value, sum);
      });
      const scale = k.let(div(f32(1), unary('sqrt', fma(squares, f32(1 / columns), request.attrs.eps as number))));
      k.vectorLoop(0, columns, (column, lanes) => {
        const scaled = mul(centred(column, lanes), splat(scale, lanes));
        store(column, fma(scaled, weight!(column, lanes), bias!(column, lanes)));
      });
    }),
};
