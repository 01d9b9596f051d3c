import { describe, expect, test } from 'vitest';
import * as b from './build.ts';
import { silu } from './composites.ts';
import { BitloomError } from './error.ts';
import type { Graph, Value } from './graph.ts';
import { ops } from './ops.ts';
import { printGraph } from './printer.ts';
import { verifyGraph } from './verifier.ts';

function sound(): { x: Value; sum: Value; product: Value; graph: Graph } {
  const x = b.input(0, 'x', 'f32', [2, 3]);
  const sum = b.add(x, x);
  const product = b.mul(silu(sum), b.full('f32', [2, 3], 0.5));
  return { x, sum, product, graph: { inputs: [x], outputs: [product] } };
}

/** Breaks what TypeScript protects, as a faulty pass could. */
const tamper = (value: Value, changes: Partial<{ -readonly [K in keyof Value]: Value[K] }>) =>
  Object.assign(value, changes);

function problemOf(graph: Graph): string {
  try {
    verifyGraph(graph);
  } catch (error) {
    expect(error).toBeInstanceOf(BitloomError);
    expect((error as BitloomError).code).toBe('INVALID_GRAPH');
    return (error as BitloomError).message;
  }
  return 'none';
}

test('a sound graph passes', () => {
  expect(problemOf(sound().graph)).toBe('none');
});

describe('planted faults are found', () => {
  test('a wrong shape or element type, with the smallest sub-graph', () => {
    const { sum, graph } = sound();
    tamper(sum, { type: { dtype: 'f32', shape: [3, 2] } });
    const problem = problemOf(graph);
    expect(problem).toContain('add gives f32[2, 3], not f32[3, 2]');
    expect(problem).toContain('%1 = add(%0, %0) : f32[3, 2]');
    expect(problem).not.toContain('silu');
    tamper(sum, { type: { dtype: 'i32', shape: [2, 3] } });
    expect(problemOf(graph)).toContain('not i32[2, 3]');
  });

  test('operands that an op rejects', () => {
    const { sum, x, graph } = sound();
    tamper(sum, { inputs: [x] });
    expect(problemOf(graph)).toContain('add takes 2 operands, not 1');
  });

  test('a cycle, printed as its own values only', () => {
    const { sum, product, graph } = sound();
    tamper(sum, { inputs: [product, product] });
    const problem = problemOf(graph);
    expect(problem).toContain('depends on itself');
    expect(problem.match(/ = /g)).toHaveLength(3);
  });

  test('a value that is its own operand', () => {
    const { sum, graph } = sound();
    tamper(sum, { inputs: [sum, sum] });
    expect(problemOf(graph)).toContain('depends on itself');
  });

  test('two values with one id', () => {
    const { sum, product, graph } = sound();
    tamper(product, { id: sum.id });
    expect(problemOf(graph)).toContain(`two values have id ${sum.id}`);
  });

  test('inputs undeclared, out of order, or not inputs', () => {
    const { x, sum, product } = sound();
    expect(problemOf({ inputs: [], outputs: [product] })).toContain('used but not declared');
    expect(problemOf({ inputs: [sum], outputs: [product] })).toContain('input 0 is made by add');
    const other = b.input(0, 'y', 'f32', []);
    expect(problemOf({ inputs: [x, other], outputs: [product] })).toContain('input 1 says it is input 0');
  });

  test('attributes that do not fit and constants of a wrong size', () => {
    const { x } = sound();
    const turned = tamper(b.transpose(x, [1, 0]), { attrs: { perm: [0, 0] } });
    expect(problemOf({ inputs: [x], outputs: [turned] })).toContain('perm');
    const constant = tamper(b.scalar('f32', 1), { type: { dtype: 'f32', shape: [2] } });
    expect(problemOf({ inputs: [], outputs: [constant] })).toContain('constant gives f32[]');
  });
});

describe('type rules name what does not fit', () => {
  const x = b.input(0, 'x', 'f32', [2, 3]);
  const i = b.input(1, 'i', 'i32', [2]);
  const faults: [string, () => unknown, string, RegExp][] = [
    ['shapes', () => b.add(x, b.transpose(x, [1, 0])), 'SHAPE_MISMATCH', /add\(f32\[2, 3\], f32\[3, 2\]\).*broadcast/],
    ['types', () => b.add(i, b.cast(i, 'u32')), 'DTYPE_MISMATCH', /i32 and u32/],
    ['class', () => b.exp(i), 'DTYPE_MISMATCH', /exp needs float elements, not i32; cast/],
    ['broadcast', () => b.broadcastTo(x, [2, 4]), 'SHAPE_MISMATCH', /\[2, 4\]/],
    ['reshape', () => b.reshape(x, [4]), 'SHAPE_MISMATCH', /\[4\]/],
    ['reshape -1', () => b.reshape(x, [4, -1]), 'INVALID_ARGUMENT', /shape/],
    ['slice', () => b.sliceAxis(x, 1, 2, 4), 'SHAPE_MISMATCH', /2:4:1 on axis 1/],
    ['axis', () => b.sort(x, 2), 'INVALID_ARGUMENT', /axis/],
    ['axes twice', () => b.reduceSum(x, [1, 1]), 'INVALID_ARGUMENT', /distinct/],
    [
      'contraction',
      () => b.dotGeneral(x, x, { lhsContract: [1], rhsContract: [0] }),
      'SHAPE_MISMATCH',
      /do not contract/,
    ],
    [
      'result type',
      () => b.dotGeneral(i, i, { lhsContract: [0], rhsContract: [0], resultDtype: 'f32' }),
      'DTYPE_MISMATCH',
      /i32/,
    ],
    ['empty argmax', () => b.argmax(b.full('f32', [0], 0), 0), 'SHAPE_MISMATCH', /empty/],
    ['bool bitcast', () => b.bitcast(b.lt(x, x), 'u8'), 'DTYPE_MISMATCH', /bool/],
    ['constant size', () => b.constant('f32', [2], [1]), 'SHAPE_MISMATCH', /2 elements, not 1/],
  ];
  test.each(faults)('%s', (_, make, code, message) => {
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});

test('the op table is consistent', () => {
  for (const [name, op] of Object.entries(ops)) {
    expect(op.name).toBe(name);
    expect(op.meaning.length).toBeGreaterThan(1);
    expect(op.decompose).toBeUndefined();
    if (op.groups.has('commutative')) expect(op.arity).toBe(2);
    if (op.groups.has('involution')) expect(op.arity).toBe(1);
  }
});

test('graphs print one value a line', () => {
  const { graph } = sound();
  expect(printGraph(graph)).toMatchInlineSnapshot(`
    "%0 = input {index: 0, name: "x"} : f32[2, 3]
    %1 = add(%0, %0) : f32[2, 3]
    %2 = silu(%1) : f32[2, 3]
    %3 = constant(0.5) : f32[]
    %4 = broadcast(%3) {axes: []} : f32[2, 3]
    %5 = mul(%2, %4) : f32[2, 3]
    return %5
    "
  `);
});
