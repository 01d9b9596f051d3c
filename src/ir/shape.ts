/** Shapes, row-major strides and broadcasting. Sizes are element counts unless they say bytes. */
import { DTYPE_BYTES, type ElementType, isPacked } from './dtype.ts';
import { BitloomError } from './error.ts';

export type Shape = readonly number[];

/** Element type and shape of one tensor value. */
export interface TensorType {
  readonly dtype: ElementType;
  readonly shape: Shape;
}

export const elementCount = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

/** Row-major strides in elements. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Bytes that a dense row-major tensor of this type takes. Packed rows are padded to whole panels. */
export function byteLength({ dtype, shape }: TensorType): number {
  if (!isPacked(dtype)) return elementCount(shape) * DTYPE_BYTES[dtype];
  const columns = shape.at(-1) ?? 0;
  const rows = elementCount(shape.slice(0, -1));
  const paddedRows = Math.ceil(rows / dtype.panelRows) * dtype.panelRows;
  return paddedRows * (columns / dtype.blockSize) * dtype.blockBytes;
}

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

/** The NumPy broadcast of several shapes. Throws SHAPE_MISMATCH naming them. */
export function broadcastShapes(...shapes: Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const axis = rank - shape.length + i;
      const d = shape[i]!;
      if (d === 1 || d === result[axis]) continue;
      if (result[axis] !== 1) {
        const named = shapes.map((s) => `[${s.join(', ')}]`).join(' and ');
        throw new BitloomError('SHAPE_MISMATCH', `shapes ${named} do not broadcast together`, { shapes });
      }
      result[axis] = d;
    }
  }
  return result;
}

/** Turns an axis that may count from the end into 0..rank-1. Throws INVALID_ARGUMENT. */
export function normalizeAxis(axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank) {
    throw new BitloomError('INVALID_ARGUMENT', `axis ${axis} is outside a tensor of rank ${rank}`, { axis, rank });
  }
  return normal;
}
