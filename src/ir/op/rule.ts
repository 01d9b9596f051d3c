/**
 * What op rows are made of: the constructor that checks operand counts, typed attribute readers,
 * and the type and shape checks that the rows share.
 */
import { type DType, dtypeName, type ElementType, isFloat, isInteger, isPacked } from '../dtype.ts';
import { BitloomError } from '../error.ts';
import type { Attribute, Attributes, Op, OpGroup } from '../graph.ts';
import { type Shape, sameShape, type TensorType } from '../shape.ts';

/** A row without its name: arity, groups, meaning and type rule. */
export interface OpRow {
  readonly arity: Op['arity'];
  readonly groups: readonly OpGroup[];
  readonly meaning: string;
  /** Gives the result type of operands whose number is already checked. */
  infer(inputs: readonly TensorType[], attrs: Attributes, name: string): TensorType;
}

/** Makes an op of a row. The result's `infer` checks the operand count first. */
export function defineOp(name: string, row: OpRow, decompose?: Op['decompose']): Op {
  const { arity, groups, meaning } = row;
  const infer: Op['infer'] = (inputs, attrs) => {
    const fits = typeof arity === 'number' ? inputs.length === arity : inputs.length >= arity.atLeast;
    if (!fits) {
      const wanted = typeof arity === 'number' ? `${arity}` : `at least ${arity.atLeast}`;
      throw new BitloomError('INVALID_ARGUMENT', `${name} takes ${wanted} operands, not ${inputs.length}`);
    }
    return row.infer(inputs, attrs, name);
  };
  const op = { name, arity, groups: new Set(groups), meaning, infer };
  return decompose ? { ...op, decompose } : op;
}

/** Makes the ops of several rows, keyed by name. */
export function defineOps<Name extends string>(rows: Readonly<Record<Name, OpRow>>): Readonly<Record<Name, Op>> {
  const entries = Object.entries<OpRow>(rows).map(([name, row]) => [name, defineOp(name, row)]);
  return Object.fromEntries(entries) as Record<Name, Op>;
}

/** `f32[2, 3]`, as types read in errors and printed graphs. */
export const typeName = ({ dtype, shape }: TensorType): string => `${dtypeName(dtype)}[${shape.join(', ')}]`;

const missing = (attrs: Attributes, key: string, wanted: string) =>
  new BitloomError('INVALID_ARGUMENT', `attribute ${key} must be ${wanted}, not ${String(attrs[key])}`, { attrs });

const isNumberList = (value: Attribute | undefined): value is readonly number[] =>
  Array.isArray(value) && value.every((n) => typeof n === 'number');

export function numberAttr(attrs: Attributes, key: string): number {
  const value = attrs[key];
  if (typeof value !== 'number') throw missing(attrs, key, 'a number');
  return value;
}

export function booleanAttr(attrs: Attributes, key: string): boolean {
  const value = attrs[key];
  if (typeof value !== 'boolean') throw missing(attrs, key, 'true or false');
  return value;
}

export function stringAttr<T extends string>(attrs: Attributes, key: string, allowed: readonly T[]): T {
  const value = attrs[key] as T;
  if (!allowed.includes(value)) throw missing(attrs, key, `one of ${allowed.join(', ')}`);
  return value;
}

/** A list of numbers; of `length` entries where that is given. */
export function listAttr(attrs: Attributes, key: string, length?: number): readonly number[] {
  const value = attrs[key];
  if (!isNumberList(value)) throw missing(attrs, key, 'a list of numbers');
  if (length !== undefined && value.length !== length) throw missing(attrs, key, `a list of ${length} numbers`);
  return value;
}

/** A list of non-negative integers. */
export function shapeAttr(attrs: Attributes, key = 'shape'): Shape {
  const shape = listAttr(attrs, key);
  if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0)) throw missing(attrs, key, 'a list of sizes >= 0');
  return shape;
}

export function elementAttr(attrs: Attributes, key = 'dtype'): ElementType {
  const value = attrs[key];
  const isElement = typeof value === 'string' || (typeof value === 'object' && value !== null && 'kind' in value);
  if (!isElement) throw missing(attrs, key, 'an element type');
  return value as ElementType;
}

/** Distinct axes of a tensor of `rank`, each in 0..rank-1. */
export function axesAttr(attrs: Attributes, key: string, rank: number): readonly number[] {
  const axes = listAttr(attrs, key);
  if (!axes.every((axis) => Number.isInteger(axis) && axis >= 0 && axis < rank) || new Set(axes).size < axes.length) {
    throw missing(attrs, key, `distinct axes of a tensor of rank ${rank}`);
  }
  return axes;
}

export function axisAttr(attrs: Attributes, rank: number, key = 'axis'): number {
  const axis = numberAttr(attrs, key);
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) throw missing(attrs, key, `an axis below rank ${rank}`);
  return axis;
}

/** Sets of element types that op rows ask for. */
export const DTYPE_CLASSES = {
  float: isFloat,
  integer: isInteger,
  numeric: (t: ElementType) => isFloat(t) || isInteger(t),
  bits: (t: ElementType) => isInteger(t) || t === 'bool',
  bool: (t: ElementType) => t === 'bool',
  plain: (t: ElementType) => !isPacked(t),
} as const;
export type DTypeClass = keyof typeof DTYPE_CLASSES;

/** Checks that a type is in a class and returns it as a plain one. Throws DTYPE_MISMATCH. */
export function requireDType(name: string, { dtype }: TensorType, wanted: DTypeClass): DType {
  if (!DTYPE_CLASSES[wanted](dtype)) {
    const hint = isPacked(dtype) ? '; dequantize it first' : '; cast it first';
    throw new BitloomError('DTYPE_MISMATCH', `${name} needs ${wanted} elements, not ${dtypeName(dtype)}${hint}`, {
      op: name,
      dtype: dtypeName(dtype),
    });
  }
  return dtype as DType;
}

/** Checks that all operands have one element type. Throws DTYPE_MISMATCH. */
export function requireSameDType(name: string, inputs: readonly TensorType[]): void {
  if (inputs.every((t) => t.dtype === inputs[0]!.dtype)) return;
  const named = inputs.map((t) => dtypeName(t.dtype)).join(' and ');
  throw new BitloomError('DTYPE_MISMATCH', `${name} needs operands of one element type, not ${named}; cast one`, {
    op: name,
  });
}

/** Checks that all operands have one shape. Throws SHAPE_MISMATCH. */
export function requireSameShape(name: string, inputs: readonly TensorType[]): void {
  if (inputs.every((t) => sameShape(t.shape, inputs[0]!.shape))) return;
  throw shapeError(name, 'needs operands of equal shape; broadcast them', inputs);
}

/** A SHAPE_MISMATCH that names the op and its operand types. */
export function shapeError(name: string, problem: string, inputs: readonly TensorType[]): BitloomError {
  const named = inputs.map(typeName).join(', ');
  return new BitloomError('SHAPE_MISMATCH', `${name}(${named}): ${problem}`, {
    op: name,
    shapes: inputs.map((t) => t.shape),
  });
}

/** Checks a condition on shapes. Throws SHAPE_MISMATCH. */
export function requireShape(ok: boolean, name: string, problem: string, inputs: readonly TensorType[]): void {
  if (!ok) throw shapeError(name, problem, inputs);
}
