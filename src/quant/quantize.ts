/**
 * `quantize` as a composite: activations become int8 groups once, and every `linear` that reads them
 * shares the result. Weights are packed ahead of time instead, by pack.ts, which gives the same bytes.
 */
import {
  abs,
  add,
  and,
  bitcast,
  broadcast,
  cast,
  concat,
  constant,
  div,
  floor,
  full,
  lt,
  max,
  min,
  mul,
  or,
  reduceMax,
  reduceSum,
  reshape,
  round,
  select,
  shiftLeft,
  shiftRight,
  sliceAxis,
} from '../ir/build.ts';
import { BitloomError } from '../ir/error.ts';
import { type Attributes, apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, elementAttr, requireDType } from '../ir/op/rule.ts';
import { elementCount } from '../ir/shape.ts';
import { isBipolar } from './bipolar-formats.ts';
import { LEAST_SCALE } from './block-fit.ts';
import { asNumberFormat, type NumberFormat, SUB_BLOCK, sumSize } from './number-format.ts';
import { requireBlocks } from './pack.ts';

/** True for formats that are made of values as they come: int8 codes, rounded half to even, under an f32 scale. */
export const isMadeAtOnce = ({ fit, rounding, bits, panelRows }: NumberFormat): boolean =>
  fit === 'absmax' && rounding === 'half-even' && bits === 8 && panelRows === 1;

/** True for bipolar formats of activations. */
const isBipolarActivation = (format: NumberFormat): boolean =>
  isBipolar(format) && format.scale.dtype === 'f32' && format.panelRows === 1;

function formatAttr(attrs: Attributes, name: string): NumberFormat {
  const format = asNumberFormat(elementAttr(attrs, 'format'), name);
  if (isMadeAtOnce(format) || isBipolarActivation(format)) return format;
  throw new BitloomError(
    'DTYPE_MISMATCH',
    `${name} makes formats of activations and caches (Q8_A32, Q8_A32S16, Q8_A64, Q8_A128, Q8_C32, B1_A, B2_A, B4_A), not ${format.name}; pack weights ahead of time`,
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

/** Codes [rows, blocks, blockSize] i32 as planes of bits [rows, blocks, bytes] u8, one after the other. */
function bitPlanes(codes: Value, { bits }: NumberFormat): Value {
  const [rows, blocks, blockSize] = codes.type.shape as readonly [number, number, number];
  const shape = [rows, blocks, blockSize / SUB_BLOCK, 8, SUB_BLOCK / 8];
  const quads = reshape(codes, shape);
  const all = (value: number): Value => full('i32', shape, value);
  const shifts = broadcast(constant('i32', [8], [0, 1, 2, 3, 4, 5, 6, 7]), shape, [3]);
  const planes = Array.from({ length: bits }, (_, place) => {
    const bit = and(place === 0 ? quads : shiftRight(quads, all(place)), all(1));
    return reshape(cast(reduceSum(shiftLeft(bit, shifts), [3]), 'u8'), [rows, blocks, blockSize / 8]);
  });
  return concat(planes, 2);
}

/** The nearest odd multiples of a scale: the mean magnitude for one bit, else what makes the largest magnitude the last level. */
function bipolarBlocks(groups: Value, format: NumberFormat): Value {
  const [rows, blocks, blockSize] = groups.type.shape as readonly [number, number, number];
  const { bits, offset } = format;
  const all = (value: number): Value => full('f32', [rows, blocks], value);
  const each = (value: number): Value => full('f32', groups.type.shape, value);
  const sizes = abs(groups);
  const scale = bits === 1 ? div(reduceSum(sizes, [2]), all(blockSize)) : div(reduceMax(sizes, [2]), all(offset));
  const inverse = select(lt(scale, all(LEAST_SCALE)), all(0), div(all(0.5), scale));
  const steps = mul(groups, broadcast(inverse, groups.type.shape, [0, 1]));
  const codes = floor(add(steps, each(offset / 2 + 0.5)));
  const kept = cast(min(max(codes, each(0)), each(offset)), 'i32');
  return concat([bitcast(scale, 'u8'), bitPlanes(kept, format)], 2);
}

function decompose([x]: readonly Value[], attrs: Attributes): Value {
  const format = formatAttr(attrs, 'quantize');
  const { shape } = x!.type;
  const rows = elementCount(shape.slice(0, -1));
  const blocks = shape.at(-1)! / format.blockSize;
  const groups = reshape(cast(x!, 'f32'), [rows, blocks, format.blockSize]);
  const packed = (bytes: Value): Value =>
    reshape(bitcast(reshape(bytes, [rows, blocks * format.blockBytes]), format), shape);
  if (isBipolar(format)) return packed(bipolarBlocks(groups, format));
  const scale = div(reduceMax(abs(groups), [2]), full('f32', [rows, blocks], 127));
  const all = (value: number) => full('f32', [rows, blocks], value);
  const inverse = select(lt(scale, all(LEAST_SCALE)), all(0), div(all(1), scale));
  const codes = cast(round(mul(groups, broadcast(inverse, groups.type.shape, [0, 1]))), 'i8');
  const parts = [codes, scale, ...(format.codeSum === null ? [] : [codeSums(codes, format)])];
  const bytes = concat(
    parts.map((part) => bitcast(part, 'u8')),
    2,
  );
  return packed(bytes);
}

export const quantizeOp: Op = defineOp(
  'quantize',
  {
    arity: 1,
    groups: ['composite'],
    meaning:
      'x [..., K] in groups along K of the activation or cache `format`: codes round(x / scale) half to even, ' +
      'scale = absmax / 127 (no codes below 2^-126), and the sum of the codes where the format has one; bipolar formats: ' +
      'odd multiples of the mean magnitude for one bit, of absmax / (2^bits - 1) for more',
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
