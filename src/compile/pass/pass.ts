/** Graph passes: what one is, how graphs are rebuilt, and the manager that runs passes in order and checks between them. */
import { BitloomError } from '../../ir/error.ts';
import { type Graph, topologicalOrder, type Value, withOperands } from '../../ir/graph.ts';
import { verifyGraph } from '../../ir/verifier.ts';

/** One rewrite of whole programs. It keeps inputs, the types of outputs, and every result's meaning. */
export interface Pass {
  readonly name: string;
  run(graph: Graph, context: PassContext): Graph;
}

export interface PassContext {
  /** Whether a hot kernel computes the value, so that it must stay whole. */
  isSupported(value: Value): boolean;
}

/** One line of the trace: what a pass left. */
export interface PassRecord {
  readonly pass: string;
  readonly graph: Graph;
}

/** The same op on other operands of the same types; the value itself where they are the same. */
export function withInputs(value: Value, inputs: readonly Value[]): Value {
  return inputs.every((v, i) => v === value.inputs[i]) ? value : withOperands(value, inputs);
}

/** Rebuilds a graph from its inputs on. `rewrite` gets each value with its operands already rebuilt. */
export function mapGraph(graph: Graph, rewrite: (value: Value) => Value): Graph {
  const made = new Map<Value, Value>(graph.inputs.map((v) => [v, v]));
  let isChanged = false;
  for (const value of topologicalOrder(graph.outputs, graph.inputs)) {
    // Most passes change few values: operands are gathered anew only behind a change.
    const current = isChanged
      ? withInputs(
          value,
          value.inputs.map((v) => made.get(v)!),
        )
      : value;
    const result = rewrite(current);
    isChanged ||= result !== value;
    made.set(value, result);
  }
  return isChanged ? { inputs: graph.inputs, outputs: graph.outputs.map((v) => made.get(v)!) } : graph;
}

/** Runs passes in order. With `check`, verifies after each; the error names the pass. Throws INVALID_GRAPH. */
export function runPasses(
  graph: Graph,
  passes: readonly Pass[],
  context: PassContext,
  check: boolean,
): { graph: Graph; trace: PassRecord[] } {
  const trace: PassRecord[] = [];
  let current = graph;
  for (const pass of passes) {
    current = pass.run(current, context);
    if (check) checkAfter(pass, graph, current);
    trace.push({ pass: pass.name, graph: current });
  }
  return { graph: current, trace };
}

function checkAfter(pass: Pass, before: Graph, after: Graph): void {
  try {
    verifyGraph(after);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new BitloomError('INVALID_GRAPH', `pass ${pass.name}: ${problem}`, { pass: pass.name }, { cause: error });
  }
  const typeText = ({ type }: Value) => `${String(type.dtype)} ${type.shape.join()}`;
  const changed = before.outputs.findIndex((v, i) => typeText(v) !== typeText(after.outputs[i]!));
  if (changed >= 0 || before.outputs.length !== after.outputs.length) {
    throw new BitloomError('INVALID_GRAPH', `pass ${pass.name} changed the type of output ${changed}`, {
      pass: pass.name,
    });
  }
}
