/**
 * `linear` as a composite: the product with a weight matrix of any element type. Kernels are picked by
 * the operands' types; the decomposition dequantizes both and multiplies in f32.
 */
import { dotGeneral } from '../ir/build.ts';
import { isFloat, isPacked } from '../ir/dtype.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, requireDType, requireShape } from '../ir/op/rule.ts';
import { dequantize } from './dequantize.ts';
import { asNumberFormat } from './number-format.ts';

export const linearOp: Op = defineOp(
  'linear',
  {
    arity: 2,
    groups: ['composite', 'contraction'],
    meaning: 'x [..., K] times the transpose of w [N, K] as f32 [..., N]; both float or packed',
    infer(inputs, _, name) {
      const [x, w] = inputs;
      for (const type of inputs) {
        if (isPacked(type.dtype)) asNumberFormat(type.dtype, name);
        else if (!isFloat(type.dtype)) requireDType(name, type, 'float');
      }
      const fits = w!.shape.length === 2 && x!.shape.length > 0 && x!.shape.at(-1) === w!.shape[1];
      requireShape(fits, name, 'needs x [..., K] and w [N, K]', inputs);
      return { dtype: 'f32', shape: [...x!.shape.slice(0, -1), w!.shape[0]!] };
    },
  },
  ([x, w]) => dotGeneral(dequantize(x!), dequantize(w!), { lhsContract: [x!.type.shape.length - 1], rhsContract: [1] }),
);

/** x [..., K] times w [N, K] transposed, as f32 [..., N]. Throws: SHAPE_MISMATCH, DTYPE_MISMATCH. */
export const linear = (x: Value, w: Value): Value => apply(linearOp, [x, w]);
