/**
 * Recognises indices that are affine in the loop axes: counters times numbers plus numbers. Gathering
 * at such indices is a strided view (the windows of a convolution), and needs no loads of indices.
 */
import type { Value } from '../../ir/graph.ts';
import { splatNumber } from '../splat.ts';
import type { Access, Affine, LoopSpace } from './index-map.ts';

/** Index arithmetic is rarely deeper. */
const DEEPEST = 12;

type OperandRule = (space: LoopSpace, access: Access) => Access[] | undefined;

/** The affine that integer element `access` equals; undefined where it is not known to be one. */
function affineOf(space: LoopSpace, access: Access, operands: OperandRule, depth: number): Affine | undefined {
  const { value, coordinates } = access;
  const number = splatNumber(value);
  if (number !== undefined) return space.constant(number);
  if (value.type.dtype !== 'i32' || depth > DEEPEST) return undefined;
  if (value.op.name === 'iota') return coordinates[value.attrs.axis as number];
  if (!value.op.groups.has('view') && !ARITHMETIC.has(value.op.name)) return undefined;
  const parts = operands(space, access)?.map((a) => affineOf(space, a, operands, depth + 1));
  if (!parts || parts.some((part) => part === undefined)) return undefined;
  const [a, b] = parts as [Affine, Affine?];
  return b ? combined(space, value, a, b) : a;
}

const ARITHMETIC: ReadonlySet<string> = new Set(['add', 'sub', 'mul']);

function combined(space: LoopSpace, value: Value, a: Affine, b: Affine): Affine | undefined {
  if (value.op.name === 'add') return space.plus(a, b);
  if (value.op.name === 'sub') return space.plus(a, space.scaled(b, -1, 0));
  if (space.isFixed(a)) return space.scaled(b, a.constant, 0);
  return space.isFixed(b) ? space.scaled(a, b.constant, 0) : undefined;
}

/** The index as an affine, where it is one that stays within 0..limit, so that nothing is left to clamp. */
export function affineIndex(space: LoopSpace, index: Access, limit: number, operands: OperandRule): Affine | undefined {
  const found = affineOf(space, index, operands, 0);
  if (!found || found.dynamic.length > 0) return undefined;
  const reach = (sign: 1 | -1): number =>
    found.strides.reduce(
      (n, s, axis) => n + (s * sign > 0 ? s * Math.max(0, space.extents[axis]! - 1) : 0),
      found.constant,
    );
  return reach(-1) >= 0 && reach(1) <= limit ? found : undefined;
}
