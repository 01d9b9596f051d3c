import { describe, expect, test } from 'vitest';
import { composites } from '../composites.ts';
import { expandComposites } from '../expand.ts';
import { bytesOf, elementsOf } from '../host-tensor.ts';
import { ops } from '../ops.ts';
import { boundOf, differenceFrom, loadReferenceCases } from '../reference/index.ts';
import { verifyGraph } from '../verifier.ts';
import { interpret } from './interpret.ts';

const cases = loadReferenceCases();
const names = [...Object.keys(ops), ...Object.keys(composites)];

describe('the interpreter gives what NumPy and PyTorch give', () => {
  test.each(names)('%s', (name) => {
    const own = cases.filter((c) => c.op.name === name);
    expect(own.length, `${name} has reference cases`).toBeGreaterThan(0);
    for (const { name: title, op, graph, inputs, expected } of own) {
      verifyGraph(graph);
      const [result] = interpret(graph, inputs);
      expect(differenceFrom(expected, result!, boundOf(op)), title).toBeNull();
    }
  });
});

test('a wrong result is noticed', () => {
  for (const { name, op, expected } of cases.filter((c) => c.expected.bytes.length > 0)) {
    const elements = elementsOf(expected).slice();
    const wrong = expected.type.dtype === 'bool' ? 1 - elements[0]! : elements[0] === 3 ? 5 : 3;
    elements[0] = wrong;
    const changed = { type: expected.type, bytes: bytesOf(expected.type.dtype, elements) };
    expect(differenceFrom(expected, changed, boundOf(op)), name).not.toBeNull();
  }
});

test('every composite expands to primitives only, of the same type', () => {
  const primitives = new Set(Object.values(ops));
  for (const { graph, name } of cases.filter((c) => c.op.decompose)) {
    const expanded = expandComposites(graph);
    expect(expanded.outputs[0]!.type, name).toEqual(graph.outputs[0]!.type);
    verifyGraph(expanded);
    const pending = [...expanded.outputs];
    for (const value of pending) {
      expect(primitives.has(value.op), `${name}: ${value.op.name}`).toBe(true);
      pending.push(...value.inputs);
    }
  }
});
