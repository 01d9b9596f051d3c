/**
 * The tensor program: SSA values over the op table. A value is its own node: an op, its operand
 * values, its attributes, and the type the op's rule gives it. A graph is a set of output values
 * and the order of its inputs; everything reachable from the outputs is the program.
 */
import type { ElementType } from './dtype.ts';
import type { Shape, TensorType } from './shape.ts';

export type Attribute =
  | number
  | string
  | boolean
  | null
  | ElementType
  | readonly number[]
  | readonly (readonly number[])[]
  | Uint8Array;
export type Attributes = Readonly<Record<string, Attribute>>;

/** Algebraic and structural properties. Passes ask for these, never for op names. */
export type OpGroup =
  | 'elementwise' // each output element depends on the same element of each operand
  | 'commutative'
  | 'associative'
  | 'idempotent'
  | 'involution'
  | 'compare'
  | 'view' // moves elements without computing
  | 'reduction'
  | 'index'
  | 'contraction'
  | 'ordering'
  | 'leaf'
  | 'composite';

/**
 * One row of the op table. An op with `decompose` is a composite: a named sub-graph that any
 * target can run through its decomposition and that a target may have a hot kernel for.
 */
export interface Op {
  readonly name: string;
  /** Number of operands, or the least number where more may follow. */
  readonly arity: number | { readonly atLeast: number };
  readonly groups: ReadonlySet<OpGroup>;
  /** One line of meaning. */
  readonly meaning: string;
  /** Type of the result. Throws SHAPE_MISMATCH, DTYPE_MISMATCH or INVALID_ARGUMENT. */
  infer(inputs: readonly TensorType[], attrs: Attributes): TensorType;
  decompose?(inputs: readonly Value[], attrs: Attributes): Value;
}

export interface Value {
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Value[];
  readonly attrs: Attributes;
  readonly type: TensorType;
}

export interface Graph {
  /** Values of the `input` op, in calling order. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

let nextId = 0;

/** Makes one value; the op's rule checks operands and gives the type. */
export function apply(op: Op, inputs: readonly Value[], attrs: Attributes = {}): Value {
  const type = op.infer(
    inputs.map((v) => v.type),
    attrs,
  );
  return { id: nextId++, op, inputs, attrs, type };
}

/** The same op on other operands of the same types. Nothing is checked: passes verify what they make. */
export function withOperands({ op, attrs, type }: Value, inputs: readonly Value[]): Value {
  return { id: nextId++, op, inputs, attrs, type };
}

export const shapeOf = (value: Value): Shape => value.type.shape;

/**
 * All values reachable from `outputs`, operands before users; not those of `boundary` nor what is
 * reachable through them only. Iterative: graphs can be deep.
 */
export function topologicalOrder(outputs: readonly Value[], boundary: Iterable<Value> = []): Value[] {
  const order: Value[] = [];
  const done = new Set<Value>(boundary);
  const stack: { value: Value; next: number }[] = [];
  for (const output of outputs) {
    if (done.has(output)) continue;
    stack.push({ value: output, next: 0 });
    done.add(output);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      if (top.next < top.value.inputs.length) {
        const input = top.value.inputs[top.next++]!;
        if (!done.has(input)) {
          done.add(input);
          stack.push({ value: input, next: 0 });
        }
      } else {
        order.push(top.value);
        stack.pop();
      }
    }
  }
  return order;
}
