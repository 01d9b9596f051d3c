/** `softmax` along the last axis of f32: maximum, powers and their sum, division; rows are split among threads. */
import { elementCount } from '../../ir/shape.ts';
import { add, binary, constant, div, type Expr, f32, max, mul, splat, sub, unary, vectorType } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import { exp } from '../math.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';

export const softmaxKernel: KernelTemplate = {
  op: 'softmax',
  name: 'softmax',
  supports: ({ inputs: [x], output, attrs, epilogue }) =>
    x!.dtype === 'f32' &&
    output.dtype === 'f32' &&
    attrs.axis === output.shape.length - 1 &&
    output.shape.at(-1)! > 0 &&
    !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('softmax', request, schedule), request.machine.lanes);
    const [x, out] = [k.buffer('x', 'read'), k.buffer('output', 'readwrite')];
    const columns = request.output.shape.at(-1)!;
    k.parallelLoop(elementCount(request.output.shape.slice(0, -1)), 1, (row) => {
      const start = k.let(mul(row, columns));
      const least = Number.NEGATIVE_INFINITY;
      const load = (column: Expr, lanes: number): Expr => k.loadAt(x, 'f32', add(start, column), lanes);
      const tops = k.variable(constant(vectorType('f32', k.lanes), least));
      const top = k.variable(f32(least));
      const both = (column: Expr, lanes: number): void => {
        const target = lanes === 1 ? top : tops;
        k.set(target, max(target, load(column, lanes)));
      };
      k.vectorLoop(0, columns, both);
      const highest = k.let(max(top, unary('reduce_max', tops)));
      const sums = k.variable(constant(vectorType('f32', k.lanes), 0));
      const sum = k.variable(f32(0));
      k.vectorLoop(0, columns, (column, lanes) => {
        const power = k.let(exp(k, k.let(sub(load(column, lanes), splat(highest, lanes)))));
        const target = lanes === 1 ? sum : sums;
        k.set(target, binary('add', target, power));
        k.storeAt(out, 'f32', add(start, column), power);
      });
      const share = k.let(div(f32(1), add(sum, unary('reduce_add', sums))));
      k.vectorLoop(0, columns, (column, lanes) => {
        const at = add(start, column);
        k.storeAt(out, 'f32', at, mul(k.loadAt(out, 'f32', at, lanes), splat(share, lanes)));
      });
    });
    return k.finish();
  },
};
