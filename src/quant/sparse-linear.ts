/**
 * `sparse_linear` as a composite: the product with a matrix of which only the elements that are not zero are stored. Memory
 * is read for those alone; the decomposition makes the whole matrix and multiplies by it.
 */
import {
  add,
  and,
  broadcast,
  cast,
  cumsum,
  dotGeneral,
  full,
  gather,
  iota,
  ne,
  reshape,
  select,
  shiftRight,
  sliceAxis,
  sub,
  transpose,
} from '../ir/build.ts';
import { isFloat } from '../ir/dtype.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, numberAttr, requireDType, requireShape } from '../ir/op/rule.ts';
import { sameShape } from '../ir/shape.ts';
import { isPaired, isSparseDType, SPARSE, type SparseParts, sparseShapes } from './sparse.ts';

const BITS = SPARSE.rows * SPARSE.depths;

/** The whole matrix [rows, columns] f32. */
export function sparseToDense(
  { bitmap, values, starts }: SparseParts<Value>,
  [rows, columns]: readonly [number, number],
): Value {
  const [panels, steps] = bitmap.type.shape as readonly [number, number];
  const shape = [panels, steps, BITS];
  const all = (value: number) => full('i32', [panels, steps * BITS], value);
  const shifted = shiftRight(broadcast(bitmap, shape, [0, 1]), iota('u32', shape, 2));
  const bits = reshape(cast(and(shifted, full('u32', shape, 1)), 'i32'), [panels, steps * BITS]);
  const before = sub(cumsum(bits, 1), bits);
  const numbers = add(before, broadcast(starts, [panels, steps * BITS], [0]));
  const found = gather(cast(values, 'f32'), numbers, 0);
  const elements = select(ne(bits, all(0)), found, full('f32', [panels, steps * BITS], 0));
  const { rows: panelRows, depths } = SPARSE;
  const byRow = isPaired(values.type.dtype as 'bf16')
    ? transpose(reshape(elements, [panels, steps, panelRows, depths]), [0, 2, 1, 3])
    : transpose(reshape(elements, [panels, steps, depths, panelRows]), [0, 3, 1, 2]);
  return sliceAxis(sliceAxis(reshape(byRow, [panels * panelRows, steps * depths]), 0, 0, rows), 1, 0, columns);
}

export const sparseLinearOp: Op = defineOp(
  'sparse_linear',
  {
    arity: 4,
    groups: ['composite', 'contraction'],
    meaning:
      'x [..., K] float times the transpose of a sparse w [rows, K] as f32 [..., rows]; w is a bitmap [panels, steps] u32, ' +
      'values [count + 256] float and starts [panels] i32, in panels of 16 rows and steps of 2 depths; bits without a value ' +
      'stand for any number',
    infer(inputs, attrs, name) {
      const [x, bitmap, values, starts] = inputs as [
        (typeof inputs)[0],
        (typeof inputs)[0],
        (typeof inputs)[0],
        (typeof inputs)[0],
      ];
      const rows = numberAttr(attrs, 'rows');
      for (const type of [x, values]) if (!isFloat(type.dtype)) requireDType(name, type, 'float');
      requireShape(x.shape.length > 0, name, 'needs x [..., K]', inputs);
      const wanted = sparseShapes([rows, x.shape.at(-1)!]);
      const fits =
        bitmap.dtype === 'u32' &&
        starts.dtype === 'i32' &&
        isSparseDType(values.dtype) &&
        sameShape(bitmap.shape, wanted.bitmap) &&
        sameShape(starts.shape, wanted.starts) &&
        values.shape.length === 1 &&
        values.shape[0]! >= SPARSE.slack;
      requireShape(
        fits,
        name,
        `needs a bitmap [${wanted.bitmap.join(', ')}] u32, values [${SPARSE.slack} or more] and starts [${wanted.starts.join(', ')}] i32`,
        inputs,
      );
      return { dtype: 'f32', shape: [...x.shape.slice(0, -1), rows] };
    },
  },
  ([x, bitmap, values, starts], attrs) => {
    const { shape } = x!.type;
    const parts = { bitmap: bitmap!, values: values!, starts: starts! };
    const w = sparseToDense(parts, [numberAttr(attrs, 'rows'), shape.at(-1)!]);
    return dotGeneral(cast(x!, 'f32'), w, { lhsContract: [shape.length - 1], rhsContract: [1] });
  },
);

/** x [..., K] times a sparse matrix of `rows` rows transposed, as f32 [..., rows]. Throws SHAPE_MISMATCH, DTYPE_MISMATCH. */
export const sparseLinear = (x: Value, { bitmap, values, starts }: SparseParts<Value>, rows: number): Value =>
  apply(sparseLinearOp, [x, bitmap, values, starts], { rows });
