/** Random typed programs over all primitives and composites, decided by a list of numbers. */
import * as b from '../../ir/build.ts';
import { type DType, isFloat, isPacked } from '../../ir/dtype.ts';
import type { Graph, Value } from '../../ir/graph.ts';
import type { HostTensor } from '../../ir/host-tensor.ts';
import { elementCount, type Shape, sameShape } from '../../ir/shape.ts';
import { Tape } from '../../kernel/testing/index.ts';
import { isInexactOp, jumps } from './exactness.ts';
import { RANDOM_OPS } from './random-ops.ts';
import { randomTensor } from './random-values.ts';

/** Sizes of axes: nothing, one, primes, and the neighbours of vector and block lengths. */
export const SIZES = [2, 3, 1, 5, 4, 7, 8, 9, 0, 13, 16, 17, 31, 33];
const MOST_ELEMENTS = 700;
const MOST_RANK = 4;

const DTYPES: readonly DType[] = ['f32', 'f32', 'f32', 'i32', 'f16', 'u8', 'bool', 'u32', 'i8', 'bf16'];

export interface RandomProgram {
  readonly graph: Graph;
  readonly tensors: readonly HostTensor[];
}

/** Grows a program: op builders ask it for choices and operands. */
export class ProgramGrower {
  readonly choices: Tape;
  readonly values: Value[] = [];
  readonly inputs: Value[] = [];
  readonly tensors: HostTensor[] = [];
  readonly #inexact = new Set<Value>();

  constructor(choices: Tape) {
    this.choices = choices;
  }

  shape(): number[] {
    const rank = this.choices.pick([2, 1, 3, 0, MOST_RANK]);
    const shape: number[] = [];
    for (let axis = 0; axis < rank; axis++) {
      const size = this.choices.pick(SIZES);
      shape.push(elementCount(shape) * size <= MOST_ELEMENTS ? size : 1);
    }
    return shape;
  }

  dtype(): DType {
    return this.choices.pick(DTYPES);
  }

  /** A new input with random contents. */
  input(dtype: Value['type']['dtype'], shape: Shape, isTame = false): Value {
    const value = b.input(this.inputs.length, `x${this.inputs.length}`, dtype, shape);
    this.inputs.push(value);
    this.tensors.push(randomTensor(value.type, this.choices.below(1 << 16) + this.inputs.length, isTame));
    this.values.push(value);
    return value;
  }

  isInexact(value: Value): boolean {
    return this.#inexact.has(value);
  }

  /** An earlier plain value that fits, or a new input of a random type that does. */
  operand(fits: (value: Value) => boolean = () => true, dtypes: readonly DType[] = DTYPES): Value {
    const able = this.values.filter((v) => !isPacked(v.type.dtype) && dtypes.includes(v.type.dtype) && fits(v));
    // Recent values first, so that programs grow deep.
    if (able.length > 0 && this.choices.below(8) !== 7)
      return able[able.length - 1 - this.choices.below(Math.min(4, able.length))]!;
    for (let tries = 0; tries < 8; tries++) {
      const shape = this.shape();
      const dtype = this.choices.pick(dtypes);
      const probe = b.input(0, 'probe', dtype, shape);
      if (fits(probe)) return this.input(dtype, shape);
    }
    return this.input(dtypes[0]!, [2, 3]);
  }

  float(fits: (value: Value) => boolean = () => true): Value {
    return this.operand(fits, ['f32', 'f32', 'f16', 'bf16']);
  }

  /** A value of just this type: an earlier one, a repeated number, a cast or broadcast one, or an input. */
  like(dtype: DType, shape: Shape, isExact = false): Value {
    const fits = (v: Value) =>
      v.type.dtype === dtype && sameShape(v.type.shape, shape) && !(isExact && this.isInexact(v));
    const able = this.values.filter(fits);
    const way = this.choices.below(5);
    if (way < 2 && able.length > 0) return able[able.length - 1 - this.choices.below(able.length)]!;
    if (way === 2)
      return b.full(
        dtype,
        shape,
        this.choices.pick([0, 1, 2, dtype === 'u32' || dtype === 'u8' || dtype === 'bool' ? 3 : -1]),
      );
    if (way === 3 && shape.length > 0)
      return b.broadcastTo(
        this.input(
          dtype,
          shape.map((d, i) => (i === shape.length - 1 ? d : 1)),
        ),
        shape,
      );
    return this.input(dtype, shape);
  }

  /** Records a value that an op builder made. Results that grow too large are left out. */
  keep(value: Value): void {
    if (elementCount(value.type.shape) > 4 * MOST_ELEMENTS || value.type.shape.length > MOST_RANK + 2) return;
    if (isInexactOp(value) || value.op.groups.has('composite') || value.inputs.some((v) => this.#inexact.has(v))) {
      if (isFloat(value.type.dtype) || isPacked(value.type.dtype)) this.#inexact.add(value);
    }
    this.values.push(value);
  }

  /** Whether an op may be applied: jumping ops want operands that all targets agree on to the last bit. */
  mayApply(name: string, operands: readonly Value[], to?: DType): boolean {
    return !jumps(name, to) || !operands.some((v) => this.isInexact(v));
  }
}

/** The program that a list of numbers stands for. Every list stands for one. */
export function randomProgram(numbers: readonly number[], opCount: number): RandomProgram {
  const choices = new Tape(numbers);
  const grower = new ProgramGrower(choices);
  grower.input(grower.dtype(), grower.shape());
  const names = Object.keys(RANDOM_OPS);
  for (let i = 0; i < opCount; i++) {
    const made = RANDOM_OPS[choices.pick(names)]!(grower);
    for (const value of made) grower.keep(value);
  }
  const used = new Set(grower.values.flatMap((v) => v.inputs));
  const results = grower.values.filter((v) => v.op.name !== 'input' && !used.has(v));
  const last = grower.values.at(-1)!;
  const outputs = results.length > 0 ? results.slice(-4) : [last];
  // An early value as another output: something inner must then be stored, too.
  if (choices.flip()) outputs.push(choices.pick(grower.values));
  return { graph: { inputs: grower.inputs, outputs }, tensors: grower.tensors };
}
