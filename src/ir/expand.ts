/** Replaces composites by their decompositions, down to primitives or to what a target keeps. */
import { BitloomError } from './error.ts';
import { apply, type Graph, type Op, topologicalOrder, type Value } from './graph.ts';
import { typeName } from './op/rule.ts';
import { sameShape, type TensorType } from './shape.ts';

const sameType = (a: TensorType, b: TensorType) => a.dtype === b.dtype && sameShape(a.shape, b.shape);

/** Extends `expanded` (old value -> new value) by everything that `outputs` reach. */
function expandInto(
  expanded: Map<Value, Value>,
  outputs: readonly Value[],
  keeps: (op: Op, value: Value) => boolean,
): void {
  for (const value of topologicalOrder(outputs, expanded.keys())) {
    const inputs = value.inputs.map((v) => expanded.get(v)!);
    if (!value.op.decompose || keeps(value.op, value)) {
      const isSame = inputs.every((v, i) => v === value.inputs[i]);
      expanded.set(value, isSame ? value : apply(value.op, inputs, value.attrs));
      continue;
    }
    const body = value.op.decompose(inputs, value.attrs);
    if (!sameType(body.type, value.type)) {
      const types = `${typeName(body.type)} instead of ${typeName(value.type)}`;
      throw new BitloomError('INVALID_GRAPH', `${value.op.name} decomposes to ${types}`, { op: value.op.name });
    }
    // Operands are expanded already: inside the body they stand for themselves.
    const inner = new Map(inputs.map((v) => [v, v]));
    expandInto(inner, [body], keeps);
    expanded.set(value, inner.get(body)!);
  }
}

/** The same program without composites, but for those that `keeps` accepts. Inputs stay the same values. */
export function expandComposites(graph: Graph, keeps: (op: Op, value: Value) => boolean = () => false): Graph {
  const expanded = new Map(graph.inputs.map((v) => [v, v]));
  expandInto(expanded, graph.outputs, keeps);
  return { inputs: graph.inputs, outputs: graph.outputs.map((v) => expanded.get(v)!) };
}
