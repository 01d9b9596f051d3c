/**
 * `expert_linear` as a composite: the product of each row with the matrix of its own expert, as mixtures of experts have
 * it ("Outrageously Large Neural Networks", Shazeer et al. 2017). Only the chosen matrices need to be read.
 */
import { broadcast, dotGeneral, gather, reshape } from '../ir/build.ts';
import { isFloat, isPacked } from '../ir/dtype.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, requireDType, requireShape } from '../ir/op/rule.ts';
import { dequantize } from './dequantize.ts';
import { asNumberFormat } from './number-format.ts';

/** Each row of x [rows, K] as often as it is used, [nIds, K] f32. */
function repeated(x: Value, nIds: number): Value {
  const [rows, columns] = x.type.shape as readonly [number, number];
  if (rows === nIds) return x;
  return reshape(broadcast(x, [rows, nIds / rows, columns], [0, 2]), [nIds, columns]);
}

export const expertLinearOp: Op = defineOp(
  'expert_linear',
  {
    arity: 3,
    groups: ['composite', 'contraction'],
    meaning:
      'for each i of ids [nIds] i32: row floor(i * rows / nIds) of x [rows, K] times the transpose of matrix ids[i] of ' +
      'w [nExperts, N, K], as f32 [nIds, N]; x and w float or packed, rows divide nIds, ids clamped',
    infer(inputs, _, name) {
      const [x, w, ids] = inputs;
      for (const type of [x!, w!]) {
        if (isPacked(type.dtype)) asNumberFormat(type.dtype, name);
        else if (!isFloat(type.dtype)) requireDType(name, type, 'float');
      }
      requireDType(name, ids!, 'integer');
      const ranksFit = x!.shape.length === 2 && w!.shape.length === 3 && ids!.shape.length === 1;
      const fits = ranksFit && x!.shape[1] === w!.shape[2] && ids!.shape[0]! % x!.shape[0]! === 0;
      requireShape(fits, name, 'needs x [rows, K], w [nExperts, N, K] and ids [a multiple of rows]', inputs);
      return { dtype: 'f32', shape: [ids!.shape[0]!, w!.shape[1]!] };
    },
  },
  ([x, w, ids]) =>
    dotGeneral(repeated(dequantize(x!), ids!.type.shape[0]!), gather(dequantize(w!), ids!, 0), {
      lhsBatch: [0],
      rhsBatch: [0],
      lhsContract: [1],
      rhsContract: [2],
    }),
);

/**
 * Rows of x [rows, K] times the transposes of the matrices number `ids` [nIds] i32 of w [nExperts, N, K], as f32
 * [nIds, N]: the first nIds / rows ids are for the first row of x, and so on. Throws SHAPE_MISMATCH, DTYPE_MISMATCH.
 */
export const expertLinear = (x: Value, w: Value, ids: Value): Value => apply(expertLinearOp, [x, w, ids]);
