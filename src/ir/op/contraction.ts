/** Rows of the two contractions: the general dot product and N-D convolution. */
import type { DType } from '../dtype.ts';
import { isFloat } from '../dtype.ts';
import { BitloomError } from '../error.ts';
import type { Attributes } from '../graph.ts';
import type { Shape, TensorType } from '../shape.ts';
import {
  axesAttr,
  defineOps,
  elementAttr,
  listAttr,
  numberAttr,
  type OpRow,
  requireDType,
  requireSameDType,
  requireShape,
  shapeAttr,
} from './rule.ts';

/** `resultDtype`, or f32 for floats and i32 (u32 for u32) for integers. Throws DTYPE_MISMATCH. */
function resultDType(name: string, inputs: readonly TensorType[], attrs: Attributes): DType {
  requireSameDType(name, inputs);
  const operand = requireDType(name, inputs[0]!, 'numeric');
  const isExact = !isFloat(operand);
  const natural = !isExact ? 'f32' : operand === 'u32' ? 'u32' : 'i32';
  const dtype = attrs.resultDtype ? (elementAttr(attrs, 'resultDtype') as DType) : natural;
  if (isExact ? dtype !== natural : !isFloat(dtype)) {
    throw new BitloomError('DTYPE_MISMATCH', `${name} of ${operand} gives ${natural}, not ${dtype}; cast the result`);
  }
  return dtype;
}

const dot_general: OpRow = {
  arity: 2,
  groups: ['contraction'],
  meaning:
    'sum of products over `lhsContract` and `rhsContract`, pairwise along `lhsBatch` and `rhsBatch`; ' +
    'result axes: batch, then the free ones of lhs, then of rhs; sums wider than the operands',
  infer(inputs, attrs, name) {
    const [lhs, rhs] = inputs as [TensorType, TensorType];
    const [lc, lb] = ['lhsContract', 'lhsBatch'].map((k) => axesAttr(attrs, k, lhs.shape.length)) as [Shape, Shape];
    const [rc, rb] = ['rhsContract', 'rhsBatch'].map((k) => axesAttr(attrs, k, rhs.shape.length)) as [Shape, Shape];
    const pairs = (a: Shape, b: Shape) =>
      a.length === b.length && a.every((axis, i) => lhs.shape[axis] === rhs.shape[b[i]!]);
    const isDisjoint = !lc.some((axis) => lb.includes(axis)) && !rc.some((axis) => rb.includes(axis));
    requireShape(pairs(lc, rc) && isDisjoint, name, `axes [${lc}] and [${rc}] do not contract`, inputs);
    requireShape(pairs(lb, rb), name, `batch axes [${lb}] and [${rb}] do not pair`, inputs);
    const free = (shape: Shape, ...used: Shape[]) => shape.filter((_, axis) => !used.flat().includes(axis));
    const shape = [...lb.map((axis) => lhs.shape[axis]!), ...free(lhs.shape, lc, lb), ...free(rhs.shape, rc, rb)];
    return { dtype: resultDType(name, inputs, attrs), shape };
  },
};

const conv: OpRow = {
  arity: 2,
  groups: ['contraction'],
  meaning:
    'correlation of x [batch, channels, ...space] with w [out, channels / groups, ...window]: `strides`, ' +
    '`padLow`, `padHigh`, `lhsDilation` (zeros between elements of x), `rhsDilation` (of w), `groups`',
  infer(inputs, attrs, name) {
    const [x, w] = inputs as [TensorType, TensorType];
    const rank = x.shape.length - 2;
    const groups = numberAttr(attrs, 'groups');
    requireShape(
      rank >= 0 && w.shape.length === rank + 2,
      name,
      'x and w must have the same rank of at least 2',
      inputs,
    );
    const channelsFit = groups >= 1 && x.shape[1] === w.shape[1]! * groups && w.shape[0]! % groups === 0;
    requireShape(channelsFit, name, `channels do not fit ${groups} groups`, inputs);
    const [low, high] = ['padLow', 'padHigh'].map((k) => shapeAttr(attrs, k)) as [Shape, Shape];
    const [strides, spread, dilation] = ['strides', 'lhsDilation', 'rhsDilation'].map((k) =>
      listAttr(attrs, k, rank),
    ) as [Shape, Shape, Shape];
    const isPositive = [...strides, ...spread, ...dilation].every((n) => Number.isInteger(n) && n > 0);
    requireShape(
      isPositive && low.length === rank && high.length === rank,
      name,
      `needs ${rank} positive sizes per attribute`,
      inputs,
    );
    const space = x.shape.slice(2).map((d, i) => {
      const extent = low[i]! + high[i]! + dilated(d, spread[i]!);
      return Math.max(0, Math.floor((extent - dilated(w.shape[i + 2]!, dilation[i]!)) / strides[i]!) + 1);
    });
    return { dtype: resultDType(name, inputs, attrs), shape: [x.shape[0]!, w.shape[0]!, ...space] };
  },
};

/** Length of an axis with `factor - 1` zeros between its elements. */
const dilated = (size: number, factor: number): number => (size === 0 ? 0 : (size - 1) * factor + 1);

export const contractionOps = defineOps({ dot_general, conv });
