/**
 * `quantize` as a composite: activations become int8 groups once, and every `linear` that reads them
 * shares the result. Weights are packed ahead of time instead, by pack.ts, which gives the same bytes.
 */
import {
  abs,
  and,
  bitcast,
  broadcast,
  cast,
  concat,
  div,
  full,
  lt,
  mul,
  or,
  reduceMax,
  reduceSum,
  reshape,
  round,
  select,
  shiftLeft,
  sliceAxis,
} from '../ir/build.ts';
import { BitloomError } from '../ir/error.ts';
import { type Attributes, apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, elementAttr, requireDType } from '../ir/op/rule.ts';
import { elementCount } from '../ir/shape.ts';
import { LEAST_SCALE } from './block-fit.ts';
import { asNumberFormat, type NumberFormat, sumSize } from './number-format.ts';
import { requireBlocks } from './pack.ts';

/** True for formats that are made of values as they come: int8 codes, rounded half to even, under an f32 scale. */
export const isMadeAtOnce = ({ fit, rounding, bits, panelRows }: NumberFormat): boolean =>
  fit === 'absmax' && rounding === 'half-even' && bits === 8 && panelRows === 1;

function formatAttr(attrs: Attributes, name: string): NumberFormat {
  const format = asNumberFormat(elementAttr(attrs, 'format'), name);
  if (isMadeAtOnce(format)) return format;
  throw new BitloomError(
    'DTYPE_MISMATCH',
    `${name} makes formats of activations and caches (Q8_A32, Q8_A32S16, Q8_A64, Q8_A128, Q8_C32), not ${format.name}; pack weights ahead of time`,
    { format: format.name },
  );
}

/** Sums of codes [rows, blocks, blockSize] i8 as one i32 word a block. */
function codeSums(codes: Value, format: NumberFormat): Value {
  const [rows, blocks, blockSize] = codes.type.shape as readonly [number, number, number];
  const count = blockSize / sumSize(format);
  const sums = reduceSum(reshape(cast(codes, 'i32'), [rows, blocks, count, blockSize / count]), [3]);
  if (count === 1) return reshape(sums, [rows, blocks]);
  const all = (value: number): Value => full('i32', [rows, blocks], value);
  const [low, high] = [0, 1].map((i) => reshape(sliceAxis(sums, 2, i, i + 1), [rows, blocks])) as [Value, Value];
  return or(and(low, all(0xffff)), shiftLeft(high, all(16)));
}

function decompose([x]: readonly Value[], attrs: Attributes): Value {
  const format = formatAttr(attrs, 'quantize');
  const { shape } = x!.type;
  const rows = elementCount(shape.slice(0, -1));
  const blocks = shape.at(-1)! / format.blockSize;
  const groups = reshape(cast(x!, 'f32'), [rows, blocks, format.blockSize]);
  const scale = div(reduceMax(abs(groups), [2]), full('f32', [rows, blocks], 127));
  const all = (value: number) => full('f32', [rows, blocks], value);
  const inverse = select(lt(scale, all(LEAST_SCALE)), all(0), div(all(1), scale));
  const codes = cast(round(mul(groups, broadcast(inverse, groups.type.shape, [0, 1]))), 'i8');
  const parts = [codes, scale, ...(format.codeSum === null ? [] : [codeSums(codes, format)])];
  const bytes = concat(
    parts.map((part) => bitcast(part, 'u8')),
    2,
  );
  return reshape(bitcast(reshape(bytes, [rows, blocks * format.blockBytes]), format), shape);
}

export const quantizeOp: Op = defineOp(
  'quantize',
  {
    arity: 1,
    groups: ['composite'],
    meaning:
      'x [..., K] in groups along K of the activation or cache `format`: codes round(x / scale) half to even, ' +
      'scale = absmax / 127 (no codes below 2^-126), and the sum of the codes where the format has one',
    infer([x], attrs, name) {
      requireDType(name, x!, 'float');
      const format = formatAttr(attrs, name);
      requireBlocks(format, x!.shape.at(-1) ?? 1);
      return { dtype: format, shape: x!.shape };
    },
  },
  decompose,
);

/** x [..., K] float as a format of activations or caches, K a multiple of its group. Throws: SHAPE_MISMATCH, DTYPE_MISMATCH. */
export const quantize = (x: Value, format: NumberFormat): Value => apply(quantizeOp, [x], { format });
