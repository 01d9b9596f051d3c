/** Graph passes: what one is, how graphs are rebuilt, and the manager that runs passes in order and checks between them. */
import { BitloomError } from '../../ir/error.ts';
import { type Graph, topologicalOrder, type Value, withOperands } from '../../ir/graph.ts';
import { verifyGraph } from '../../ir/verifier.ts';

/** Gives an equal value that is better, or the value itself. Its operands are rewritten already. */
export type Rewrite = (value: Value) => Value;

/** One rewrite of programs, value by value. It keeps types and the meaning of every result. */
export interface Pass {
  readonly name: string;
  /** Begins a walk over one program. What a rewrite makes is given to it and to later passes again. */
  start(context: PassContext): Rewrite;
}

export interface PassContext {
  /** Whether a hot kernel computes the value, so that it must stay whole. */
  isSupported(value: Value): boolean;
}

/** One line of the trace: what one or several passes left. */
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

/** Applies rewrites in their order to every value in one walk, and to what they make. */
function rewriteGraph(graph: Graph, rewrites: readonly Rewrite[]): Graph {
  /** Values that all rewrites have seen. */
  const settled = new Set<Value>(graph.inputs);
  const settle = (value: Value, from: number): Value => {
    for (let i = from; i < rewrites.length; i++) {
      const better = rewrites[i]!(value);
      if (better !== value) return settleTree(better, i, new Map());
    }
    settled.add(value);
    return value;
  };
  /** A value that rewrite `from` made, with what it made below it. */
  const settleTree = (value: Value, from: number, made: Map<Value, Value>): Value => {
    if (settled.has(value)) return value;
    let result = made.get(value);
    if (!result) {
      const inputs = value.inputs.map((v) => settleTree(v, from, made));
      result = settle(withInputs(value, inputs), from);
      made.set(value, result);
    }
    return result;
  };
  return mapGraph(graph, (value) => settle(value, 0));
}

/**
 * Runs passes in order: all in one walk, or with `check` one after the other with the verifier behind
 * each, whose error then names the pass. Throws INVALID_GRAPH.
 */
export function runPasses(
  graph: Graph,
  passes: readonly Pass[],
  context: PassContext,
  check: boolean,
): { graph: Graph; trace: PassRecord[] } {
  const start = (pass: Pass): Rewrite => pass.start(context);
  if (!check) {
    const result = rewriteGraph(graph, passes.map(start));
    return { graph: result, trace: [{ pass: passes.map((pass) => pass.name).join(', '), graph: result }] };
  }
  const trace: PassRecord[] = [];
  let current = graph;
  for (const pass of passes) {
    current = rewriteGraph(current, [start(pass)]);
    checkAfter(pass, graph, current);
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
