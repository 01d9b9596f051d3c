/** Whole programs through the compiler, on the interpreter target, against the reference interpreter. */
import { describe, expect, test } from 'vitest';
import * as b from '../ir/build.ts';
import type { Value } from '../ir/graph.ts';
import { elementsOf, type HostTensor, hostTensor } from '../ir/host-tensor.ts';
import { interpret } from '../ir/interpreter/interpret.ts';
import { InterpreterTarget } from '../target/interpreter/index.ts';
import type { CompileOptions } from './options.ts';
import { runOn } from './testing/index.ts';

async function check(outputs: Value[], inputs: Value[], tensors: HostTensor[], options: CompileOptions = {}) {
  const graph = { inputs, outputs };
  const expected = interpret(graph, tensors);
  const { report, results } = await runOn(new InterpreterTarget({ threads: 2 }), graph, tensors, {
    check: true,
    ...options,
  });
  results.forEach((r, i) => {
    const [got, want] = [Array.from(elementsOf(r)), Array.from(elementsOf(expected[i]!))];
    got.forEach((x, j) => {
      const w = want[j]!;
      const ok =
        Object.is(x, w) || Math.abs(x - w) <= 1e-5 * Math.max(1, Math.abs(w)) || (Number.isNaN(x) && Number.isNaN(w));
      expect(ok, `output ${i} element ${j}: ${x}, not ${w}`).toBe(true);
    });
  });
  return report;
}

const ramp = (shape: number[]): HostTensor =>
  hostTensor(
    'f32',
    shape,
    Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => Math.sin(i * 1.7) * 3),
  );

describe('compiled programs', () => {
  test('elementwise chains become one kernel', async () => {
    const x = b.input(0, 'x', 'f32', [5, 7]);
    const y = b.input(1, 'y', 'f32', [7]);
    const report = await check(
      [b.mul(b.add(x, b.broadcastTo(y, [5, 7])), b.exp(x))],
      [x, y],
      [ramp([5, 7]), ramp([7])],
    );
    expect(report.steps.map((s) => s.kind)).toEqual(['loop']);
  });

  test('views fold into index maps', async () => {
    const x = b.input(0, 'x', 'f32', [4, 6, 8]);
    const t = b.reshape(b.transpose(x, [1, 0, 2]), [6, 32]);
    const report = await check(
      [b.add(b.reverse(b.sliceAxis(t, 0, 1, 5), [1]), b.full('f32', [4, 32], 1))],
      [x],
      [ramp([4, 6, 8])],
    );
    expect(report.steps).toHaveLength(1);
  });

  test('softmax by parts', async () => {
    const x = b.input(0, 'x', 'f32', [3, 37]);
    const m = b.broadcast(b.reduceMax(x, [1]), [3, 37], [0]);
    const e = b.exp(b.sub(x, m));
    await check([b.div(e, b.broadcast(b.reduceSum(e, [1]), [3, 37], [0]))], [x], [ramp([3, 37])]);
  });

  test('reductions over any axes', async () => {
    for (const axes of [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]) {
      const x = b.input(0, 'x', 'f32', [5, 9, 6]);
      await check([b.reduceSum(b.mul(x, x), axes), b.reduceMin(x, axes)], [x], [ramp([5, 9, 6])]);
    }
  });

  test('concat, pad, gather, updates', async () => {
    const x = b.input(0, 'x', 'f32', [4, 5]);
    const i = b.input(1, 'i', 'i32', [3]);
    const s = b.input(2, 's', 'i32', []);
    const update = b.dynamicUpdateSlice(x, b.gather(x, i, 0), [s, b.scalar('i32', 0)]);
    const outputs = [
      b.concat([x, b.neg(x)], 1),
      b.pad(x, b.scalar('f32', 9), [1, 0], [2, 3]),
      b.pad(x, b.scalar('f32', 9), [1, 0], [2, 3], [1, 2]),
      update,
      b.scatter(x, i, b.gather(x, i, 0), 0, 'add'),
      b.dynamicSlice(x, [s, s], [2, 2]),
    ];
    await check(outputs, [x, i, s], [ramp([4, 5]), hostTensor('i32', [3], [2, -1, 7]), hostTensor('i32', [], [3])]);
  });

  test('orderings and running reductions', async () => {
    const x = b.input(0, 'x', 'f32', [4, 9, 3]);
    await check(
      [b.sort(x, 1), b.argsort(x, 2, true), b.cumsum(x, 1, true), b.argmax(x, 1), b.argmin(x, 0)],
      [x],
      [ramp([4, 9, 3])],
    );
  });

  test('contractions without templates', async () => {
    const x = b.input(0, 'x', 'f32', [2, 5, 6]);
    const w = b.input(1, 'w', 'f32', [2, 7, 6]);
    const product = b.dotGeneral(x, w, { lhsContract: [2], rhsContract: [2], lhsBatch: [0], rhsBatch: [0] });
    const image = b.input(2, 'image', 'f32', [2, 4, 7, 6]);
    const filter = b.input(3, 'filter', 'f32', [6, 2, 3, 2]);
    const options = {
      groups: 2,
      strides: [2, 1],
      padLow: [1, 2],
      padHigh: [0, 1],
      rhsDilation: [1, 2],
      lhsDilation: [2, 1],
    };
    const tensors = [ramp([2, 5, 6]), ramp([2, 7, 6]), ramp([2, 4, 7, 6]), ramp([6, 2, 3, 2])];
    const report = await check([product, b.conv(image, filter, options)], [x, w, image, filter], tensors);
    expect(report.steps.filter((s) => s.kind === 'reduce')).toHaveLength(2);
  });
});
