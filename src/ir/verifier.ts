/** Checks that a graph is a well-formed program. Passes run it on what they make, in tests and debug runs. */
import { dtypeName } from './dtype.ts';
import { BitloomError } from './error.ts';
import { type Graph, topologicalOrder, type Value } from './graph.ts';
import { typeName } from './op/rule.ts';
import { ops } from './ops.ts';
import { printValues } from './printer.ts';
import { sameShape, type TensorType } from './shape.ts';

/** An INVALID_GRAPH that prints the smallest sub-graph at fault. */
function fault(problem: string, values: readonly Value[], cause?: unknown): BitloomError {
  const subGraph = printValues(values);
  const message = `invalid graph: ${problem}; this is a bug in the pass that made it\n${subGraph}`;
  return new BitloomError('INVALID_GRAPH', message, { problem, subGraph }, { cause });
}

/** The operands of a value, each once, and the value itself. */
const withOperands = (value: Value): Value[] => [...new Set(value.inputs), value];

function checkType(value: Value): void {
  let type: TensorType;
  try {
    type = value.op.infer(
      value.inputs.map((v) => v.type),
      value.attrs,
    );
  } catch (error) {
    if (!(error instanceof BitloomError)) throw error;
    throw fault(`${value.op.name} rejects its operands: ${error.message}`, withOperands(value), error);
  }
  if (dtypeName(type.dtype) !== dtypeName(value.type.dtype) || !sameShape(type.shape, value.type.shape)) {
    throw fault(`${value.op.name} gives ${typeName(type)}, not ${typeName(value.type)}`, withOperands(value));
  }
}

/** A path of values that leads from `value` back to itself. */
function cycleThrough(value: Value): Value[] {
  const cameFrom = new Map<Value, Value>();
  const queue = [value];
  for (const at of queue) {
    for (const operand of at.inputs) {
      if (operand === value) {
        const path = [at];
        while (path[0] !== value) path.unshift(cameFrom.get(path[0]!)!);
        return path.reverse();
      }
      if (!cameFrom.has(operand)) queue.push(operand);
      if (!cameFrom.has(operand)) cameFrom.set(operand, at);
    }
  }
  return [value];
}

function checkInputs(graph: Graph): void {
  graph.inputs.forEach((value, i) => {
    if (value.op !== ops.input) throw fault(`input ${i} is made by ${value.op.name}`, [value]);
    if (value.attrs.index !== i) throw fault(`input ${i} says it is input ${value.attrs.index}`, [value]);
  });
}

/**
 * Checks that types are what ops infer, that nothing depends on itself, that ids are unique and that
 * every input is declared, in order. Throws INVALID_GRAPH with the smallest failing sub-graph.
 */
export function verifyGraph(graph: Graph): void {
  checkInputs(graph);
  const declared = new Set(graph.inputs);
  const byId = new Map<number, Value>();
  const done = new Set<Value>();
  for (const value of topologicalOrder([...graph.inputs, ...graph.outputs])) {
    if (value.inputs.some((v) => !done.has(v))) throw fault('a value depends on itself', cycleThrough(value));
    done.add(value);
    const twin = byId.get(value.id);
    if (twin) throw fault(`two values have id ${value.id}`, [twin, value]);
    byId.set(value.id, value);
    if (value.op === ops.input && !declared.has(value)) throw fault('an input is used but not declared', [value]);
    checkType(value);
  }
}
