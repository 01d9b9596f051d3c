/** Passes keep every bit of every result, whatever their order; and they do what they are for. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as b from '../../ir/build.ts';
import { BitloomError } from '../../ir/error.ts';
import { expandComposites } from '../../ir/expand.ts';
import { type Graph, topologicalOrder, type Value, withOperands } from '../../ir/graph.ts';
import { interpret } from '../../ir/interpreter/interpret.ts';
import { ops } from '../../ir/ops.ts';
import { printGraph } from '../../ir/printer.ts';
import { randomProgram } from '../testing/index.ts';
import { eliminateCommonSubexpressions, foldConstants, movePackedAsBytes, simplify } from './index.ts';
import { type Pass, runPasses } from './pass.ts';

const EXACT_PASSES = [simplify, foldConstants, eliminateCommonSubexpressions, movePackedAsBytes];
const context = { isSupported: () => false };
const run = (passes: readonly Pass[], output: Value, inputs: readonly Value[]): Value =>
  runPasses({ inputs, outputs: [output] }, passes, context, true).graph.outputs[0]!;

test('any order of exact passes leaves every bit of the results', () => {
  const order = fc.array(fc.constantFrom(...EXACT_PASSES), { minLength: 1, maxLength: 6 });
  const numbers = fc.array(fc.nat(0xffff), { minLength: 20, maxLength: 120 });
  fc.assert(
    fc.property(numbers, fc.integer({ min: 1, max: 12 }), order, (list, opCount, passes) => {
      const { graph, tensors } = randomProgram(list, opCount);
      const expanded: Graph = expandComposites(graph);
      const { graph: after } = runPasses(expanded, passes, context, true);
      const [want, got] = [interpret(expanded, tensors), interpret(after, tensors)];
      got.forEach((tensor, i) =>
        expect(tensor.bytes, `${passes.map((p) => p.name)}\n${printGraph(expanded)}`).toEqual(want[i]!.bytes),
      );
    }),
    { seed: 11, numRuns: 80 },
  );
});

describe('simplify', () => {
  const x = b.input(0, 'x', 'f32', [4, 6]);
  const i = b.input(1, 'i', 'i32', [4, 6]);
  const simple = (value: Value): Value => run([simplify], value, [x, i]);
  const number = (like: Value, n: number): Value => b.full(like.type.dtype as 'f32', like.type.shape, n);

  test('drops neutral elements, and keeps what only seems to be one', () => {
    expect(simple(b.mul(x, number(x, 1)))).toBe(x);
    expect(simple(b.sub(x, number(x, 0)))).toBe(x);
    expect(simple(b.add(x, number(x, -0)))).toBe(x);
    expect(simple(b.add(x, number(x, 0))).op.name).toBe('add');
    expect(simple(b.sub(x, number(x, -0))).op.name).toBe('sub');
    expect(simple(b.mul(x, number(x, 0))).op.name).toBe('mul');
    expect(simple(b.add(number(i, 0), i))).toBe(i);
  });

  test('integers have absorbing elements and cancel', () => {
    expect(simple(b.mul(i, number(i, 0))).op.name).toBe('broadcast');
    expect(simple(b.sub(i, i)).op.name).toBe('broadcast');
    expect(simple(b.sub(x, x)).op.name).toBe('sub');
    const sum = simple(b.add(b.add(i, number(i, 2)), number(i, 3)));
    expect(sum.inputs[0]).toBe(i);
  });

  test('views compose and cancel', () => {
    expect(simple(b.transpose(b.transpose(x, [1, 0]), [1, 0]))).toBe(x);
    expect(simple(b.reshape(b.reshape(x, [24]), [4, 6]))).toBe(x);
    expect(simple(b.reverse(b.reverse(x, [1]), [1]))).toBe(x);
    const slice = simple(b.slice(b.slice(x, [0, 1], [4, 6], [1, 2]), [1, 1], [3, 3]));
    expect(slice.inputs[0]).toBe(x);
    expect(slice.attrs).toMatchObject({ starts: [1, 3], strides: [1, 2] });
  });

  test('casts through wider types vanish, lossy ones stay', () => {
    const h = b.input(0, 'h', 'f16', [3]);
    expect(run([simplify], b.cast(b.cast(h, 'f32'), 'f16'), [h])).toBe(h);
    expect(simple(b.cast(b.cast(x, 'f16'), 'f32')).inputs[0]!.op.name).toBe('cast');
  });
});

test('equal expressions become one, commuted ones too', () => {
  const x = b.input(0, 'x', 'f32', [3]);
  const y = b.input(1, 'y', 'f32', [3]);
  const out = run([eliminateCommonSubexpressions], b.mul(b.add(x, y), b.add(y, x)), [x, y]);
  expect(out.inputs[0]).toBe(out.inputs[1]);
});

test('constants fold, also when repeated over a shape', () => {
  const x = b.input(0, 'x', 'f32', [5]);
  const folded = run([foldConstants], b.mul(x, b.exp(b.full('f32', [5], 0))), [x]);
  expect(topologicalOrder([folded]).map((v) => v.op.name)).toEqual(['input', 'constant', 'broadcast', 'mul']);
});

test('a pass that breaks a graph is named, with the failing part', () => {
  const x = b.input(0, 'x', 'f32', [3]);
  const breaking: Pass = {
    name: 'breaking',
    start: () => (v) =>
      v.op.name === 'exp' ? withOperands({ ...v, op: ops.neg, type: x.type }, [b.reshape(x, [3, 1])]) : v,
  };
  const attempt = (): unknown => run([breaking], b.exp(x), [x]);
  expect(attempt).toThrow(BitloomError);
  expect(attempt).toThrow(/pass breaking: [\s\S]*neg/);
});
