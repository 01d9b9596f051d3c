/**
 * Rows of ops that move elements without computing. Packed tensors with plain rows move too, as
 * long as their last axis stays whole: blocks lie along it.
 */
import { DTYPE_BYTES, isPacked, type PackedType } from '../dtype.ts';
import { BitloomError } from '../error.ts';
import type { Attributes } from '../graph.ts';
import { elementCount, type Shape, type TensorType } from '../shape.ts';
import {
  axesAttr,
  axisAttr,
  defineOps,
  elementAttr,
  listAttr,
  type OpRow,
  requireDType,
  requireSameDType,
  requireShape,
  shapeAttr,
  shapeError,
} from './rule.ts';

type ShapeRule = (inputs: readonly TensorType[], attrs: Attributes, name: string) => Shape;

/** Says why a packed operand cannot be moved so; undefined if it can. */
function packedProblem(operand: TensorType, keepsRows: boolean): string | undefined {
  if (!isPacked(operand.dtype)) return undefined;
  if (operand.dtype.panelRows > 1) return 'rows interleaved in panels cannot be moved; move them before packing';
  return keepsRows ? undefined : 'blocks lie along the last axis, which must stay whole and last';
}

/** A view row. `keepsRows` says whether the last axis of a packed operand stays whole. */
const view = (
  arity: OpRow['arity'],
  meaning: string,
  shapeRule: ShapeRule,
  keepsRows: (operand: TensorType, result: Shape, attrs: Attributes) => boolean,
): OpRow => ({
  arity,
  groups: ['view'],
  meaning,
  infer(inputs, attrs, name) {
    const operand = inputs[0]!;
    const shape = shapeRule(inputs, attrs, name);
    const problem = packedProblem(operand, isPacked(operand.dtype) && keepsRows(operand, shape, attrs));
    if (problem) throw new BitloomError('DTYPE_MISMATCH', `${name} of packed ${typeText(operand)}: ${problem}`);
    return { dtype: operand.dtype, shape };
  },
});

const typeText = ({ dtype, shape }: TensorType) => `${(dtype as PackedType).name}[${shape.join(', ')}]`;
const lastAxisSame = ({ shape }: TensorType, result: Shape) =>
  shape.length > 0 && result.length > 0 && shape.at(-1) === result.at(-1);

const broadcast = view(
  1,
  'operand axis i becomes axis `axes`[i] of `shape`; size-1 and new axes repeat',
  (inputs, attrs, name) => {
    const operand = inputs[0]!.shape;
    const shape = shapeAttr(attrs);
    const axes = axesAttr(attrs, 'axes', shape.length);
    requireShape(axes.length === operand.length, name, `axes [${axes}] must name one axis per operand axis`, inputs);
    const fits = axes.every(
      (axis, i) => (operand[i] === 1 || operand[i] === shape[axis]) && (i === 0 || axes[i - 1]! < axis),
    );
    requireShape(fits, name, `cannot become [${shape.join(', ')}] along increasing axes [${axes}]`, inputs);
    return shape;
  },
  (operand, result, attrs) => lastAxisSame(operand, result) && (attrs.axes as number[]).at(-1) === result.length - 1,
);

const reshape = view(
  1,
  'the same elements in row-major order as `shape`',
  (inputs, attrs, name) => {
    const shape = shapeAttr(attrs);
    const fits = elementCount(shape) === elementCount(inputs[0]!.shape);
    requireShape(fits, name, `has not as many elements as [${shape.join(', ')}]`, inputs);
    return shape;
  },
  lastAxisSame,
);

const transpose = view(
  1,
  'result axis i is operand axis `perm`[i]',
  (inputs, attrs, name) => {
    const { shape } = inputs[0]!;
    const perm = axesAttr(attrs, 'perm', shape.length);
    requireShape(perm.length === shape.length, name, `perm [${perm}] must name every axis once`, inputs);
    return perm.map((axis) => shape[axis]!);
  },
  (operand, _, attrs) => (attrs.perm as number[]).at(-1) === operand.shape.length - 1,
);

const slice = view(
  1,
  'elements `starts`[i], + `strides`[i], ... below `limits`[i] along each axis',
  (inputs, attrs, name) => {
    const { shape } = inputs[0]!;
    const starts = listAttr(attrs, 'starts', shape.length);
    const limits = listAttr(attrs, 'limits', shape.length);
    const strides = listAttr(attrs, 'strides', shape.length);
    return shape.map((d, i) => {
      const [start, limit, stride] = [starts[i]!, limits[i]!, strides[i]!];
      const ok =
        [start, limit, stride].every(Number.isInteger) && 0 <= start && start <= limit && limit <= d && stride > 0;
      requireShape(ok, name, `no slice ${start}:${limit}:${stride} on axis ${i}`, inputs);
      return Math.ceil((limit - start) / stride);
    });
  },
  (operand, result, attrs) => lastAxisSame(operand, result) && (attrs.strides as number[]).at(-1) === 1,
);

const pad = view(
  2,
  'operand with `low`, `high` and, between elements, `interior` copies of the scalar second operand',
  (inputs, attrs, name) => {
    const [operand, value] = inputs as [TensorType, TensorType];
    requireSameDType(name, inputs);
    requireShape(value.shape.length === 0, name, 'the padding value must be a scalar', inputs);
    const [low, high, interior] = ['low', 'high', 'interior'].map((key) => {
      const list = shapeAttr(attrs, key);
      requireShape(list.length === operand.shape.length, name, `${key} [${list}] must have one size per axis`, inputs);
      return list;
    }) as [Shape, Shape, Shape];
    return operand.shape.map((d, i) => low[i]! + high[i]! + d + Math.max(0, d - 1) * interior[i]!);
  },
  () => false,
);

const reverse: OpRow = {
  ...view(
    1,
    'order of elements turned round along `axes`',
    (inputs, attrs) => {
      axesAttr(attrs, 'axes', inputs[0]!.shape.length);
      return inputs[0]!.shape;
    },
    (operand, _, attrs) => !(attrs.axes as number[]).includes(operand.shape.length - 1),
  ),
  groups: ['view', 'involution'],
};

const concat = view(
  { atLeast: 1 },
  'operands one after the other along `axis`',
  (inputs, attrs, name) => {
    requireSameDType(name, inputs);
    const first = inputs[0]!.shape;
    const axis = axisAttr(attrs, first.length);
    const fits = inputs.every(
      (t) => t.shape.length === first.length && t.shape.every((d, i) => i === axis || d === first[i]),
    );
    requireShape(fits, name, `shapes must agree on all axes but ${axis}`, inputs);
    return first.with(
      axis,
      inputs.reduce((n, t) => n + t.shape[axis]!, 0),
    );
  },
  (operand, _, attrs) => attrs.axis !== operand.shape.length - 1,
);

/** Byte rows of a packed tensor: one per row, or one per panel of interleaved rows. */
export function packedByteShape({ dtype, shape }: TensorType): number[] {
  const { blockSize, blockBytes, panelRows } = dtype as PackedType;
  const bytes = (shape.at(-1)! / blockSize) * blockBytes;
  if (panelRows === 1) return [...shape.slice(0, -1), bytes];
  return [Math.ceil(elementCount(shape.slice(0, -1)) / panelRows), bytes * panelRows];
}

/** Shape of u8 byte rows read as a packed type; panels hide the row count, so they need it given. */
function bytesToPacked(inputs: readonly TensorType[], dtype: PackedType, attrs: Attributes, name: string): Shape {
  const [x] = inputs as [TensorType];
  requireShape(x.dtype === 'u8' && x.shape.length > 0, name, `only u8 byte rows can be read as ${dtype.name}`, inputs);
  const columns = (x.shape.at(-1)! / dtype.blockBytes / dtype.panelRows) * dtype.blockSize;
  const shape = attrs.shape ? shapeAttr(attrs) : [...x.shape.slice(0, -1), columns];
  const fits = Number.isInteger(columns) && (attrs.shape || dtype.panelRows === 1);
  const bytes = fits ? packedByteShape({ dtype, shape }) : [];
  const same = bytes.length === x.shape.length && bytes.every((d, i) => d === x.shape[i]);
  requireShape(same, name, `bytes do not hold ${dtype.name}[${shape.join(', ')}]`, inputs);
  return shape;
}

const bitcast: OpRow = {
  arity: 1,
  groups: ['view'],
  meaning:
    'the same bytes read as `dtype`; elements split along a new last axis or merge a last axis of just that size; ' +
    'packed <-> u8 gives byte rows (per panel for panel types, which need `shape` to come back)',
  infer(inputs, attrs, name) {
    const [x] = inputs as [TensorType];
    const dtype = elementAttr(attrs);
    if (isPacked(dtype)) return { dtype, shape: bytesToPacked(inputs, dtype, attrs, name) };
    if (isPacked(x.dtype)) {
      requireShape(dtype === 'u8', name, 'packed tensors can be read as u8 only', inputs);
      return { dtype, shape: packedByteShape(x) };
    }
    for (const type of [x.dtype, dtype]) requireDType(name, { dtype: type, shape: [] }, 'numeric');
    const [from, to] = [DTYPE_BYTES[x.dtype], DTYPE_BYTES[dtype]];
    if (from === to) return { dtype, shape: x.shape };
    if (from > to) return { dtype, shape: [...x.shape, from / to] };
    if (x.shape.at(-1) !== to / from) throw shapeError(name, `the last axis must be ${to / from} to merge`, inputs);
    return { dtype, shape: x.shape.slice(0, -1) };
  },
};

export const viewOps = defineOps({ broadcast, reshape, transpose, slice, pad, reverse, concat, bitcast });
