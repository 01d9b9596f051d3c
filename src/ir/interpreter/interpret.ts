/**
 * The reference interpreter: runs a graph op by op in plain loops. It is the law that every compiled
 * target is compared with. Composites run through their decompositions.
 */
import { dtypeName } from '../dtype.ts';
import { BitloomError } from '../error.ts';
import { expandComposites } from '../expand.ts';
import { type Graph, type Op, topologicalOrder, type Value } from '../graph.ts';
import { bytesOf, elementsOf, type HostTensor, roundElements } from '../host-tensor.ts';
import { typeName } from '../op/rule.ts';
import { ops, type PrimitiveName } from '../ops.ts';
import { sameShape } from '../shape.ts';
import { contractionRules } from './contraction.ts';
import { elementwiseRules } from './elementwise.ts';
import { indexRules } from './indexing.ts';
import { leafRules } from './leaf.ts';
import { movementRules } from './movement.ts';
import { reductionRules } from './reduction.ts';
import type { Rule, Tensor } from './rule.ts';

const rules: Record<Exclude<PrimitiveName, 'input'>, Rule> = {
  ...leafRules,
  ...elementwiseRules,
  ...movementRules,
  ...indexRules,
  ...reductionRules,
  ...contractionRules,
};

function ruleOf(op: Op): Rule {
  const rule = rules[op.name as keyof typeof rules];
  if (!rule || ops[op.name as PrimitiveName] !== op) {
    throw new BitloomError('UNSUPPORTED_OP', `the interpreter does not know ${op.name}, which has no decomposition`, {
      op: op.name,
    });
  }
  return rule;
}

function checkInputs(graph: Graph, inputs: readonly HostTensor[]): void {
  if (inputs.length !== graph.inputs.length) {
    throw new BitloomError('INVALID_ARGUMENT', `the program takes ${graph.inputs.length} inputs, not ${inputs.length}`);
  }
  inputs.forEach(({ type }, i) => {
    const wanted = graph.inputs[i]!;
    const message = `input ${i} (${wanted.attrs.name}) is ${typeName(wanted.type)}, not ${typeName(type)}`;
    if (dtypeName(type.dtype) !== dtypeName(wanted.type.dtype)) throw new BitloomError('DTYPE_MISMATCH', message);
    if (!sameShape(type.shape, wanted.type.shape)) throw new BitloomError('SHAPE_MISMATCH', message);
  });
}

/** One primitive with its rule, and the values that nobody reads after it. */
interface Step {
  readonly value: Value;
  readonly rule: Rule;
  readonly dead: readonly Value[];
}

/** The steps of an expanded graph, each value dropped after its last reader. */
function planSteps(graph: Graph): Step[] {
  const order = topologicalOrder(graph.outputs, graph.inputs);
  const kept = new Set<Value>(graph.outputs);
  const steps: Step[] = [];
  for (const value of order.toReversed()) {
    const dead = [...new Set(value.inputs)].filter((v) => !kept.has(v));
    for (const operand of dead) kept.add(operand);
    steps.push({ value, rule: ruleOf(value.op), dead });
  }
  return steps.reverse();
}

/**
 * Prepares a graph once for many runs. The function it gives takes the inputs in order and gives the outputs,
 * which may share memory with inputs and constants. Throws UNSUPPORTED_OP here, and INVALID_ARGUMENT,
 * SHAPE_MISMATCH or DTYPE_MISMATCH there for inputs that do not fit.
 */
export function makeInterpreter(graph: Graph): (inputs: readonly HostTensor[]) => HostTensor[] {
  const expanded = expandComposites(graph);
  const steps = planSteps(expanded);
  return (inputs) => {
    checkInputs(graph, inputs);
    const known = new Map<Value, Tensor>();
    inputs.forEach((tensor, i) => {
      known.set(graph.inputs[i]!, { type: tensor.type, data: elementsOf(tensor) });
    });
    for (const { value, rule, dead } of steps) {
      const data = rule(
        value.inputs.map((v) => known.get(v)!),
        value.attrs,
        value.type,
      );
      // What only moves elements has none to round.
      const isExact = value.op.groups.has('view') || value.op.groups.has('leaf');
      known.set(value, { type: value.type, data: isExact ? data : roundElements(value.type.dtype, data) });
      for (const operand of dead) known.delete(operand);
    }
    return expanded.outputs.map((v) => ({ type: v.type, bytes: bytesOf(v.type.dtype, known.get(v)!.data) }));
  };
}

/** Runs a graph once. Same inputs give the same bytes, on every machine that rounds `Math` functions alike. */
export const interpret = (graph: Graph, inputs: readonly HostTensor[]): HostTensor[] => makeInterpreter(graph)(inputs);
