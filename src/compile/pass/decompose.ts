/** Decomposition: composites and contractions that no hot kernel takes become primitives that fusion knows. */
import { topologicalOrder, type Value } from '../../ir/graph.ts';
import { decomposeContraction } from './contraction.ts';
import { mapGraph, type Pass, type PassContext, withInputs } from './pass.ts';

/** Elementwise composites fuse better in parts than they would run whole. */
function staysWhole(value: Value, context: PassContext): boolean {
  return !value.op.groups.has('elementwise') && context.isSupported(value);
}

function decomposed(value: Value, context: PassContext): Value {
  const isContraction = value.op.name === 'dot_general' || value.op.name === 'conv';
  if (!(value.op.decompose || isContraction) || staysWhole(value, context)) return value;
  const body = value.op.decompose ? value.op.decompose(value.inputs, value.attrs) : decomposeContraction(value);
  return decomposeBelow(body, new Set(value.inputs), context);
}

/** Decomposes what lies between `known` values and the one output of a body. */
function decomposeBelow(body: Value, known: ReadonlySet<Value>, context: PassContext): Value {
  const made = new Map<Value, Value>([...known].map((v) => [v, v]));
  for (const value of topologicalOrder([body], known)) {
    made.set(
      value,
      decomposed(
        withInputs(
          value,
          value.inputs.map((v) => made.get(v)!),
        ),
        context,
      ),
    );
  }
  return made.get(body)!;
}

/** Replaces composites and contractions without a template by their meaning in smaller ops. */
export const decompose: Pass = {
  name: 'decompose',
  run: (graph, context) => mapGraph(graph, (value) => decomposed(value, context)),
};
