/** What the operands of inlinable ops are read at, given where the result is: the composition of views. */
import { DTYPE_BYTES, isPacked } from '../../ir/dtype.ts';
import type { Value } from '../../ir/graph.ts';
import { affineIndex } from './affine-index.ts';
import { type Access, type Affine, type LoopSpace, reshapeCoordinates } from './index-map.ts';

type ViewRule = (space: LoopSpace, value: Value, at: readonly Affine[]) => Access[] | undefined;

const numbers = (value: Value, key: string): readonly number[] => value.attrs[key] as readonly number[];

/** A coordinate that an index gives, and what must be read to know it. */
function pick(space: LoopSpace, index: Access, limit: number): { at: Affine; reads: Access[] } {
  const known = affineIndex(space, index, limit, operandAccesses);
  return known ? { at: known, reads: [] } : { at: space.dynamic(index, limit), reads: [index] };
}

const VIEW_RULES: Readonly<Record<string, ViewRule>> = {
  broadcast(space, value, at) {
    const [operand] = value.inputs as [Value];
    const axes = numbers(value, 'axes');
    const coordinates = operand.type.shape.map((d, i) => (d === 1 ? space.constant(0) : at[axes[i]!]!));
    return [{ value: operand, coordinates }];
  },
  reshape(space, value, at) {
    const [operand] = value.inputs as [Value];
    const coordinates = reshapeCoordinates(space, at, value.type.shape, operand.type.shape);
    return coordinates && [{ value: operand, coordinates }];
  },
  transpose(_, value, at) {
    const perm = numbers(value, 'perm');
    return [{ value: value.inputs[0]!, coordinates: perm.map((_, axis) => at[perm.indexOf(axis)]!) }];
  },
  slice(space, value, at) {
    const [starts, strides] = [numbers(value, 'starts'), numbers(value, 'strides')];
    const coordinates = at.map((c, i) =>
      strides[i] === 1 && starts[i] === 0 ? c : space.scaled(c, strides[i]!, starts[i]!),
    );
    return [{ value: value.inputs[0]!, coordinates }];
  },
  reverse(space, value, at) {
    const axes = numbers(value, 'axes');
    const coordinates = at.map((c, i) => (axes.includes(i) ? space.scaled(c, -1, value.type.shape[i]! - 1) : c));
    return [{ value: value.inputs[0]!, coordinates }];
  },
  gather(space, value, at) {
    const [operand, indices] = value.inputs as [Value, Value];
    const axis = value.attrs.axis as number;
    const rank = indices.type.shape.length;
    const index = { value: indices, coordinates: at.slice(axis, axis + rank) };
    const { at: picked, reads } = pick(space, index, operand.type.shape[axis]! - 1);
    return [{ value: operand, coordinates: [...at.slice(0, axis), picked, ...at.slice(axis + rank)] }, ...reads];
  },
  gather_along(space, value, at) {
    const [operand, indices] = value.inputs as [Value, Value];
    const axis = value.attrs.axis as number;
    const { at: picked, reads } = pick(space, { value: indices, coordinates: at }, operand.type.shape[axis]! - 1);
    return [{ value: operand, coordinates: at.with(axis, picked) }, ...reads];
  },
  dynamic_slice(space, value, at) {
    const [operand, ...starts] = value.inputs as [Value, ...Value[]];
    const reads: Access[] = [];
    const coordinates = at.map((c, i) => {
      const limit = operand.type.shape[i]! - value.type.shape[i]!;
      if (limit === 0) return c;
      const picked = pick(space, { value: starts[i]!, coordinates: [] }, limit);
      reads.push(...picked.reads);
      return space.plus(c, picked.at);
    });
    return [{ value: operand, coordinates }, ...reads];
  },
  iota: () => [],
  random_bits: (space, value) =>
    [0, 1].map((word) => ({ value: value.inputs[0]!, coordinates: [space.constant(word)] })),
};

/** A bitcast that keeps every element in its place. */
function isSameWidthBitcast({ op, inputs, type }: Value): boolean {
  if (op.name !== 'bitcast') return false;
  const from = inputs[0]!.type.dtype;
  return !isPacked(from) && !isPacked(type.dtype) && DTYPE_BYTES[from] === DTYPE_BYTES[type.dtype];
}

/** Whether an op can be computed element by element inside the loop nest of its user. */
export const isInlinable = (value: Value): boolean =>
  value.op.groups.has('elementwise') || value.op.name in VIEW_RULES || isSameWidthBitcast(value);

/**
 * The elements of its operands that one element of `value` is computed from, operand by operand.
 * Undefined where the map is not affine. May split axes of the space.
 */
export function operandAccesses(space: LoopSpace, { value, coordinates }: Access): Access[] | undefined {
  const rule = VIEW_RULES[value.op.name];
  if (rule) return rule(space, value, coordinates);
  return value.inputs.map((operand) => ({ value: operand, coordinates }));
}
