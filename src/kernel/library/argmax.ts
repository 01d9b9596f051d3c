/** `argmax` along the last axis of f32: the first maximum, a NaN counting as it; rows are split among threads. */
import { elementCount } from '../../ir/shape.ts';
import { add, binary, constant, type Expr, f32, i32, mul, select, splat, vectorType } from '../expression.ts';
import { KernelBuilder, type Variable } from '../language.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';

/** a comes before b in the order of maxima: greater, or the first NaN. */
function isGreater(a: Expr, b: Expr): Expr {
  const firstNaN = binary('and', binary('ne', a, a), binary('eq', b, b));
  return binary('or', binary('gt', a, b), firstNaN);
}

/** Keeps the better of the best so far and (value, index). */
function keepBest(k: KernelBuilder, best: Variable, place: Variable, value: Expr, index: Expr): void {
  const wins = k.let(isGreater(value, best));
  k.set(best, select(wins, value, best));
  k.set(place, select(wins, index, place));
}

/** Index of the row's maximum. Each lane keeps its own best and the vector it came from; then the lanes compete. */
function rowArgmax(k: KernelBuilder, load: (column: Expr, lanes: number) => Expr, columns: number): Expr {
  const { lanes } = k;
  const whole = columns - (columns % lanes);
  const bests = k.variable(constant(vectorType('f32', lanes), Number.NEGATIVE_INFINITY));
  const places = k.variable(constant(vectorType('i32', lanes), 0));
  k.loop(0, whole, lanes, (column) => keepBest(k, bests, places, k.let(load(column, lanes)), splat(column, lanes)));
  const best = k.variable(f32(Number.NEGATIVE_INFINITY));
  const place = k.variable(i32(0));
  for (let lane = 0; lane < lanes && whole > 0; lane++) {
    const value = k.let({ kind: 'extract', type: best.type, a: bests, lane });
    const index = k.let(add({ kind: 'extract', type: place.type, a: places, lane }, lane));
    // Equal values (or two NaN) of different lanes: the lower index is the first.
    const isTie = binary('eq', isTrue(isGreater(value, best)), isTrue(isGreater(best, value)));
    const isEarlier = lane === 0 ? isTie : binary('and', isTie, binary('lt', index, place));
    const wins = k.let(binary('or', isGreater(value, best), isEarlier));
    k.set(place, select(wins, index, place));
    k.set(best, select(wins, value, best));
  }
  k.loop(whole, columns, 1, (column) => keepBest(k, best, place, k.let(load(column, 1)), column));
  return place;
}

const isTrue = (mask: Expr): Expr => select(mask, 1, 0);

export const argmaxKernel: KernelTemplate = {
  op: 'argmax',
  name: 'argmax',
  supports: ({ inputs: [x], attrs, epilogue }) => x!.dtype === 'f32' && attrs.axis === x!.shape.length - 1 && !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('argmax', request, schedule), request.machine.lanes);
    const [x, out] = [k.buffer('x', 'read'), k.buffer('output', 'write')];
    const columns = request.inputs[0]!.shape.at(-1)!;
    k.parallelLoop(elementCount(request.output.shape), 1, (row) => {
      const start = k.let(mul(row, columns));
      k.storeAt(
        out,
        'i32',
        row,
        rowArgmax(k, (column, lanes) => k.loadAt(x, 'f32', add(start, column), lanes), columns),
      );
    });
    return k.finish();
  },
};
