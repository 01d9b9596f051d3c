/** Products of tensors with NumPy's names. Floats accumulate and result in f32 unless both are f16 or bf16. */
import * as build from '../../ir/build.ts';
import type { DType } from '../../ir/dtype.ts';
import { isFloat } from '../../ir/dtype.ts';
import { BitloomError } from '../../ir/error.ts';
import type { Value } from '../../ir/graph.ts';
import { broadcastShapes, normalizeAxis } from '../../ir/shape.ts';
import { promoteDTypes } from '../promotion.ts';
import { plainDType, Tensor } from '../tensor.ts';

/** Operands as one type, and the type of their product. */
export function productOperands(
  a: Tensor,
  b: Tensor,
  operation: string,
): { lhs: Value; rhs: Value; resultDtype: DType } {
  const joined = promoteDTypes(plainDType(a, operation), plainDType(b, operation));
  const dtype = joined === 'bool' ? 'i32' : joined;
  const resultDtype = isFloat(dtype) || dtype === 'u32' ? dtype : 'i32';
  return { lhs: build.cast(a.value, dtype), rhs: build.cast(b.value, dtype), resultDtype };
}

/** Matrix product [..., m, k] x [..., k, n] -> [..., m, n]; vectors as in NumPy; batches broadcast. Throws SHAPE_MISMATCH. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.ndim === 0 || b.ndim === 0)
    throw new BitloomError('SHAPE_MISMATCH', 'matmul needs tensors with axes; multiply scales by a number');
  const { lhs, rhs, resultDtype } = productOperands(a, b, 'matmul');
  if (b.ndim === 1)
    return new Tensor(build.dotGeneral(lhs, rhs, { lhsContract: [a.ndim - 1], rhsContract: [0], resultDtype }));
  if (a.ndim === 1) return matrixOfVector(lhs, rhs, resultDtype);
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  // Only a has batches: they are more rows.
  if (b.ndim === 2)
    return new Tensor(build.dotGeneral(lhs, rhs, { lhsContract: [a.ndim - 1], rhsContract: [0], resultDtype }));
  const rank = batch.length;
  const axes = batch.map((_, i) => i);
  const left = build.broadcastTo(lhs, [...batch, ...a.shape.slice(-2)]);
  const right = build.broadcastTo(rhs, [...batch, ...b.shape.slice(-2)]);
  return new Tensor(
    build.dotGeneral(left, right, {
      lhsContract: [rank + 1],
      rhsContract: [rank],
      lhsBatch: axes,
      rhsBatch: axes,
      resultDtype,
    }),
  );
}

function matrixOfVector(lhs: Value, rhs: Value, resultDtype: DType): Tensor {
  return new Tensor(
    build.dotGeneral(lhs, rhs, { lhsContract: [0], rhsContract: [rhs.type.shape.length - 2], resultDtype }),
  );
}

/** Inner product of vectors, matrix product otherwise (the last axis of a with the last but one of b). */
export function dot(a: Tensor, b: Tensor): Tensor {
  const { lhs, rhs, resultDtype } = productOperands(a, b, 'dot');
  if (a.ndim === 0 || b.ndim === 0) throw new BitloomError('SHAPE_MISMATCH', 'dot needs tensors with axes');
  const contract = Math.max(0, b.ndim - 2);
  return new Tensor(build.dotGeneral(lhs, rhs, { lhsContract: [a.ndim - 1], rhsContract: [contract], resultDtype }));
}

/** Sums products over the last `axes` axes of a and the first of b, or over the named pairs of axes. */
export function tensordot(
  a: Tensor,
  b: Tensor,
  axes: number | readonly [readonly number[], readonly number[]] = 2,
): Tensor {
  const { lhs, rhs, resultDtype } = productOperands(a, b, 'tensordot');
  const [left, right] =
    typeof axes === 'number'
      ? [Array.from({ length: axes }, (_, i) => a.ndim - axes + i), Array.from({ length: axes }, (_, i) => i)]
      : [axes[0].map((x) => normalizeAxis(x, a.ndim)), axes[1].map((x) => normalizeAxis(x, b.ndim))];
  return new Tensor(build.dotGeneral(lhs, rhs, { lhsContract: left, rhsContract: right, resultDtype }));
}

/** All products of the elements of two vectors, [n, m]. */
export function outer(a: Tensor, b: Tensor): Tensor {
  const { lhs, rhs, resultDtype } = productOperands(a, b, 'outer');
  const [column, row] = [build.reshape(lhs, [a.size]), build.reshape(rhs, [b.size])];
  return new Tensor(build.dotGeneral(column, row, { lhsContract: [], rhsContract: [], resultDtype }));
}

/** Correlation of x [batch, channels, ...space] with w [out, channels / groups, ...window], as `lax.conv_general_dilated`. */
export function conv(x: Tensor, w: Tensor, window: Parameters<typeof build.conv>[2] = {}): Tensor {
  const { lhs, rhs, resultDtype } = productOperands(x, w, 'conv');
  return new Tensor(build.conv(lhs, rhs, { ...window, resultDtype }));
}
