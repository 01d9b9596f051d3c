/** What the interpreter's rules take and give: decoded tensors in, decoded elements out. */
import { isPacked } from '../dtype.ts';
import type { Attributes } from '../graph.ts';
import type { Elements } from '../host-tensor.ts';
import { packedByteShape } from '../op/view.ts';
import type { Shape, TensorType } from '../shape.ts';

/** A decoded tensor. `data` is row-major and must not be written to. */
export interface Tensor {
  readonly type: TensorType;
  readonly data: Elements;
}

/** Gives one op its meaning: elements of `type`, which `infer` gave. 16-bit floats are rounded by the caller. */
export type Rule = (inputs: readonly Tensor[], attrs: Attributes, type: TensorType) => Elements;

/** Shape of `data`: packed tensors move as byte rows, all others as elements. */
export const dataShape = (type: TensorType): Shape => (isPacked(type.dtype) ? packedByteShape(type) : type.shape);

/** Sizes before, along and after an axis: element [o, i, r] of a tensor lies at (o * size + i) * inner + r. */
export function lanes(shape: Shape, axis: number): { outer: number; size: number; inner: number } {
  const product = (sizes: Shape) => sizes.reduce((n, d) => n * d, 1);
  return { outer: product(shape.slice(0, axis)), size: shape[axis]!, inner: product(shape.slice(axis + 1)) };
}
