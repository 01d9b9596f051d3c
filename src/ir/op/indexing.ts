/** Rows of ops that move elements to or from computed places. Reads clamp, writes drop what is outside. */
import { isPacked } from '../dtype.ts';
import { BitloomError } from '../error.ts';
import { sameShape, type TensorType } from '../shape.ts';
import {
  axisAttr,
  defineOps,
  type OpRow,
  requireDType,
  requireSameDType,
  requireShape,
  shapeAttr,
  stringAttr,
  typeName,
} from './rule.ts';

/** How `scatter` joins an update with what is there. `set`: the last update of a place wins. */
export const SCATTER_MODES = ['set', 'add', 'mul', 'max', 'min'] as const;
export type ScatterMode = (typeof SCATTER_MODES)[number];

/** Whole rows of packed tensors may be picked, and written, along any axis but the last. */
function requireWholeRows(name: string, operand: TensorType, axis: number): void {
  if (!isPacked(operand.dtype)) return;
  if (operand.dtype.panelRows === 1 && axis < operand.shape.length - 1) return;
  throw new BitloomError(
    'DTYPE_MISMATCH',
    `${name} takes whole plain rows of packed tensors only, not of ${typeName(operand)} along axis ${axis}`,
  );
}

const gather: OpRow = {
  arity: 2,
  groups: ['index'],
  meaning: 'take: operand entries number `indices` along `axis`, indices clamped into range',
  infer(inputs, attrs, name) {
    const [operand, indices] = inputs as [TensorType, TensorType];
    const axis = axisAttr(attrs, operand.shape.length);
    requireDType(name, indices, 'integer');
    requireWholeRows(name, operand, axis);
    const readable = operand.shape[axis]! > 0 || indices.shape.includes(0);
    requireShape(readable, name, `axis ${axis} is empty, nothing to take`, inputs);
    return {
      dtype: operand.dtype,
      shape: [...operand.shape.slice(0, axis), ...indices.shape, ...operand.shape.slice(axis + 1)],
    };
  },
};

const gather_along: OpRow = {
  arity: 2,
  groups: ['index'],
  meaning: 'take_along_axis: each lane of the operand along `axis` at the clamped indices of the same lane',
  infer(inputs, attrs, name) {
    const [operand, indices] = inputs as [TensorType, TensorType];
    requireDType(name, operand, 'plain');
    requireDType(name, indices, 'integer');
    const axis = axisAttr(attrs, operand.shape.length);
    const fits =
      indices.shape.length === operand.shape.length &&
      indices.shape.every((d, i) => i === axis || d === operand.shape[i]);
    requireShape(fits, name, `shapes must agree on all axes but ${axis}`, inputs);
    requireShape(operand.shape[axis]! > 0 || indices.shape[axis] === 0, name, `axis ${axis} is empty`, inputs);
    return { dtype: operand.dtype, shape: indices.shape };
  },
};

const scatter: OpRow = {
  arity: 3,
  groups: ['index'],
  meaning: 'operand with entry i of updates joined by `mode` into entry `indices`[i] along `axis`, in order',
  infer(inputs, attrs, name) {
    const [operand, indices, updates] = inputs as [TensorType, TensorType, TensorType];
    const axis = axisAttr(attrs, operand.shape.length);
    const mode = stringAttr(attrs, 'mode', SCATTER_MODES);
    requireDType(name, operand, mode === 'set' ? 'plain' : 'numeric');
    requireDType(name, indices, 'integer');
    requireSameDType(name, [operand, updates]);
    const fits = indices.shape.length === 1 && sameShape(updates.shape, operand.shape.with(axis, indices.shape[0]!));
    requireShape(fits, name, `updates must be the operand with axis ${axis} as long as the 1-D indices`, inputs);
    return operand;
  },
};

function requireStarts(name: string, inputs: readonly TensorType[], first: number, rank: number): void {
  const starts = inputs.slice(first);
  requireShape(starts.length === rank, name, `needs ${rank} starts, one per axis`, inputs);
  for (const start of starts) {
    requireDType(name, start, 'integer');
    requireShape(start.shape.length === 0, name, 'starts must be scalars', inputs);
  }
}

const dynamic_slice: OpRow = {
  arity: { atLeast: 1 },
  groups: ['index'],
  meaning: '`sizes` elements from scalar starts, one operand per axis, clamped so that the slice fits',
  infer(inputs, attrs, name) {
    const operand = inputs[0]!;
    requireDType(name, operand, 'plain');
    requireStarts(name, inputs, 1, operand.shape.length);
    const sizes = shapeAttr(attrs, 'sizes');
    const fits = sizes.length === operand.shape.length && sizes.every((d, i) => d <= operand.shape[i]!);
    requireShape(fits, name, `sizes [${sizes}] do not fit`, inputs);
    return { dtype: operand.dtype, shape: sizes };
  },
};

const dynamic_update_slice: OpRow = {
  arity: { atLeast: 2 },
  groups: ['index'],
  meaning: 'operand overwritten by update at scalar starts, one operand per axis, clamped so that it fits',
  infer(inputs, _, name) {
    const [operand, update] = inputs as [TensorType, TensorType];
    requireSameDType(name, [operand, update]);
    const last = operand.shape.length - 1;
    if (operand.shape[last] !== update.shape[last]) requireDType(name, operand, 'plain');
    else requireWholeRows(name, operand, last - 1);
    requireStarts(name, inputs, 2, operand.shape.length);
    const fits = update.shape.length === operand.shape.length && update.shape.every((d, i) => d <= operand.shape[i]!);
    requireShape(fits, name, 'the update must fit into the operand', inputs);
    return operand;
  },
};

export const indexOps = defineOps({ gather, gather_along, scatter, dynamic_slice, dynamic_update_slice });
