/** Where results live: in place, in donated inputs, never over what is still read. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as b from '../ir/build.ts';
import type { Graph } from '../ir/graph.ts';
import { type HostTensor, hostTensor } from '../ir/host-tensor.ts';
import { interpret } from '../ir/interpreter/interpret.ts';
import { InterpreterTarget } from '../target/interpreter/index.ts';
import type { Donation } from './storage.ts';
import { runOn } from './testing/index.ts';

const target = new InterpreterTarget({ threads: 2 });
const counted = (shape: number[], from = 0): HostTensor =>
  hostTensor(
    'f32',
    shape,
    Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => i + from),
  );

async function runDonated(graph: Graph, tensors: HostTensor[], donate: Donation[]) {
  const { results, report } = await runOn(target, graph, tensors, { check: true, donate });
  expect(results.map((r) => r.bytes)).toEqual(interpret(graph, tensors).map((r) => r.bytes));
  return report;
}

describe('donated inputs', () => {
  const [x, y] = [b.input(0, 'x', 'f32', [4, 3]), b.input(1, 'y', 'f32', [4, 3])];
  const tensors = [counted([4, 3]), counted([4, 3], 100)];

  test('a cache is updated in place', async () => {
    const row = b.input(1, 'row', 'f32', [1, 3]);
    const at = b.input(2, 'at', 'i32', []);
    const update = b.dynamicUpdateSlice(x, b.add(row, row), [at, b.scalar('i32', 0)]);
    const graph = { inputs: [x, row, at], outputs: [update, b.reduceSum(update, [0])] };
    const report = await runDonated(
      graph,
      [tensors[0]!, counted([1, 3], 50), hostTensor('i32', [], [2])],
      [{ input: 0, output: 0 }],
    );
    expect(report.steps.map((s) => [s.kind, s.isInPlace])).toEqual([
      ['loop', true],
      ['reduce', false],
    ]);
    expect(report.arenaBytes).toBe(0);
  });

  test('swapped inputs need copies and get them', async () => {
    await runDonated({ inputs: [x, y], outputs: [y, x] }, tensors, [
      { input: 0, output: 0 },
      { input: 1, output: 1 },
    ]);
  });

  test('an input that is also given out unchanged keeps its contents', async () => {
    await runDonated({ inputs: [x, y], outputs: [b.add(x, y), x, x] }, tensors, [{ input: 0, output: 0 }]);
  });

  test('old and new contents may both be wanted', async () => {
    const next = b.mul(x, b.full('f32', [4, 3], 2));
    await runDonated(
      { inputs: [x, y], outputs: [next, b.sub(b.transpose(next, [1, 0]), b.transpose(x, [1, 0]))] },
      tensors,
      [{ input: 0, output: 0 }],
    );
  });

  test('a value in donated memory that is an output itself is not overwritten', async () => {
    const half = b.mul(x, b.full('f32', [4, 3], 0.5));
    const square = b.mul(half, half);
    const graph = { inputs: [x], outputs: [b.neg(square), half, b.reduceMax(square, [0])] };
    await runDonated(graph, tensors.slice(0, 1), [{ input: 0, output: 0 }]);
  });

  test('a transposed result cannot overwrite its operand', async () => {
    const square = b.input(0, 'square', 'f32', [5, 5]);
    const report = await runDonated(
      { inputs: [square], outputs: [b.transpose(square, [1, 0])] },
      [counted([5, 5])],
      [{ input: 0, output: 0 }],
    );
    expect(report.steps.some((s) => s.isInPlace)).toBe(false);
  });

  test('donations that do not fit are refused', async () => {
    const graph = { inputs: [x], outputs: [b.reduceSum(x, [0])] };
    await expect(runOn(target, graph, tensors, { donate: [{ input: 0, output: 0 }] })).rejects.toThrow(
      'input 0 cannot be donated to output 0',
    );
  });
});

test('elementwise results reuse the memory of operands that die', async () => {
  const x = b.input(0, 'x', 'f32', [64]);
  const sorted = b.sort(x, 0);
  const graph = { inputs: [x], outputs: [b.sort(b.neg(b.sort(b.add(sorted, sorted), 0, true)), 0)] };
  const report = await runDonated(
    graph,
    [
      hostTensor(
        'f32',
        [64],
        Array.from({ length: 64 }, (_, i) => (i % 7) / 8),
      ),
    ],
    [],
  );
  expect(report.steps.filter((s) => s.isInPlace)).toHaveLength(2);
  expect(report.arenaBytes).toBeLessThanOrEqual(2 * 256);
});

beforeAll(() => expect(target.liveBytes).toBe(0));
afterAll(() => expect(target.liveBytes).toBe(0));
