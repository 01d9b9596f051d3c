/** Moves packed tensors as byte rows: views, gathers and updates of packed values become the same on u8. */
import { bitcast } from '../../ir/build.ts';
import { isPacked, type PackedType } from '../../ir/dtype.ts';
import { type Attributes, apply, type Value } from '../../ir/graph.ts';
import { packedByteShape } from '../../ir/op/view.ts';
import type { Pass } from './pass.ts';

type AttributeRule = (value: Value, columns: (n: number) => number) => Attributes;

const unchanged: AttributeRule = ({ attrs }) => attrs;
const shapeOfBytes: AttributeRule = ({ attrs, type }, columns) => ({
  ...attrs,
  shape: [...type.shape.slice(0, -1), columns(type.shape.at(-1)!)],
});

/** Attributes of an op on byte rows instead of packed rows. */
const ATTRIBUTE_RULES: Readonly<Record<string, AttributeRule>> = {
  broadcast: shapeOfBytes,
  reshape: shapeOfBytes,
  transpose: unchanged,
  reverse: unchanged,
  concat: unchanged,
  gather: unchanged,
  dynamic_update_slice: unchanged,
  slice: ({ attrs }, columns) => ({
    ...attrs,
    starts: lastInBytes(attrs.starts, columns),
    limits: lastInBytes(attrs.limits, columns),
  }),
};

function lastInBytes(list: Attributes[string] | undefined, columns: (n: number) => number): number[] {
  const sizes = list as readonly number[];
  return sizes.map((n, i) => (i === sizes.length - 1 ? columns(n) : n));
}

function onBytes(value: Value): Value {
  const { dtype } = value.type;
  const rule = isPacked(dtype) ? ATTRIBUTE_RULES[value.op.name] : undefined;
  if (!rule) return value;
  const { blockSize, blockBytes } = dtype as PackedType;
  const inputs = value.inputs.map((v) => (isPacked(v.type.dtype) ? bitcast(v, 'u8', packedByteShape(v.type)) : v));
  const moved = apply(
    value.op,
    inputs,
    rule(value, (n) => (n / blockSize) * blockBytes),
  );
  return bitcast(moved, dtype, value.type.shape);
}

/** Rewrites moves of packed tensors, so that fusion meets plain element types only. */
export const movePackedAsBytes: Pass = { name: 'packed-views', start: () => onBytes };
