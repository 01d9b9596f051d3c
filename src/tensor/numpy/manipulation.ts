/** Functions that move elements without computing, with NumPy's names. */
import * as build from '../../ir/build.ts';
import type { DType } from '../../ir/dtype.ts';
import { BitloomError } from '../../ir/error.ts';
import { broadcastShapes, elementCount, normalizeAxis, type Shape } from '../../ir/shape.ts';
import { promoteDTypes, type TensorLike, toValue } from '../promotion.ts';
import { plainDType, Tensor } from '../tensor.ts';

const wrap = (value: ConstructorParameters<typeof Tensor>[0]): Tensor => new Tensor(value);

/** The same elements in another shape; one size may be -1. Throws SHAPE_MISMATCH. */
export const reshape = (x: Tensor, shape: Shape): Tensor => wrap(build.reshape(x.value, shape));
export const ravel = (x: Tensor): Tensor => reshape(x, [x.size]);

/** Axes in another order; reversed by default. */
export const transpose = (x: Tensor, perm: readonly number[] = x.shape.map((_, i) => x.ndim - 1 - i)): Tensor =>
  wrap(
    build.transpose(
      x.value,
      perm.map((axis) => normalizeAxis(axis, x.ndim)),
    ),
  );

export function swapaxes(x: Tensor, a: number, b: number): Tensor {
  const [first, second] = [normalizeAxis(a, x.ndim), normalizeAxis(b, x.ndim)];
  return transpose(
    x,
    x.shape.map((_, i) => (i === first ? second : i === second ? first : i)),
  );
}

export function moveaxis(x: Tensor, from: number, to: number): Tensor {
  const source = normalizeAxis(from, x.ndim);
  const rest = x.shape.map((_, i) => i).filter((i) => i !== source);
  return transpose(x, rest.toSpliced(normalizeAxis(to, x.ndim), 0, source));
}

export const expandDims = (x: Tensor, axis: number): Tensor =>
  reshape(x, x.shape.toSpliced(normalizeAxis(axis, x.ndim + 1), 0, 1));

/** Removes axes of size 1: those named, or all. Throws SHAPE_MISMATCH. */
export function squeeze(x: Tensor, axis: number | readonly number[] | null = null): Tensor {
  const chosen = axis === null ? null : (typeof axis === 'number' ? [axis] : axis).map((a) => normalizeAxis(a, x.ndim));
  const wrong = chosen?.find((a) => x.shape[a] !== 1);
  if (wrong !== undefined)
    throw new BitloomError('SHAPE_MISMATCH', `squeeze of axis ${wrong} of [${x.shape.join(', ')}]: its size is not 1`);
  return reshape(
    x,
    x.shape.filter((d, i) => (chosen === null ? d !== 1 : !chosen.includes(i))),
  );
}

export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  const joined = broadcastShapes(x.shape, shape);
  if (joined.length !== shape.length || joined.some((d, i) => d !== shape[i])) {
    throw new BitloomError('SHAPE_MISMATCH', `[${x.shape.join(', ')}] does not broadcast to [${shape.join(', ')}]`);
  }
  return wrap(build.broadcastTo(x.value, shape));
}

/** Joins tensors along an axis; types promote. */
export function concatenate(parts: readonly Tensor[], axis = 0): Tensor {
  if (parts.length === 0) throw new BitloomError('INVALID_ARGUMENT', 'concatenate needs at least one tensor');
  const dtype = parts.map((x) => plainDType(x, 'concatenate')).reduce(promoteDTypes);
  return wrap(
    build.concat(
      parts.map((x) => build.cast(x.value, dtype)),
      normalizeAxis(axis, parts[0]!.ndim),
    ),
  );
}

/** Joins tensors of one shape along a new axis. */
export const stack = (parts: readonly Tensor[], axis = 0): Tensor =>
  concatenate(
    parts.map((x) => expandDims(x, axis)),
    axis,
  );

/** Cuts an axis into equal parts, or at the given places. */
export function split(x: Tensor, partsOrPlaces: number | readonly number[], axis = 0): Tensor[] {
  const along = normalizeAxis(axis, x.ndim);
  const length = x.shape[along]!;
  if (typeof partsOrPlaces === 'number' && length % partsOrPlaces !== 0) {
    throw new BitloomError('SHAPE_MISMATCH', `an axis of ${length} does not split into ${partsOrPlaces} equal parts`);
  }
  const places =
    typeof partsOrPlaces === 'number'
      ? Array.from({ length: partsOrPlaces - 1 }, (_, i) => ((i + 1) * length) / partsOrPlaces)
      : partsOrPlaces;
  const borders = [0, ...places, length];
  return borders.slice(1).map((end, i) => wrap(build.sliceAxis(x.value, along, borders[i]!, end)));
}

export const flip = (x: Tensor, axis: number | readonly number[] = x.shape.map((_, i) => i)): Tensor =>
  wrap(
    build.reverse(
      x.value,
      (typeof axis === 'number' ? [axis] : axis).map((a) => normalizeAxis(a, x.ndim)),
    ),
  );

/** Repeats the whole tensor `repeats[i]` times along axis i. */
export function tile(x: Tensor, repeats: readonly number[]): Tensor {
  const rank = Math.max(x.ndim, repeats.length);
  const times = [...new Array<number>(rank - repeats.length).fill(1), ...repeats];
  const sizes = [...new Array<number>(rank - x.ndim).fill(1), ...x.shape];
  const spread = build.broadcast(
    build.reshape(x.value, sizes),
    sizes.flatMap((d, i) => [times[i]!, d]),
    sizes.map((_, i) => 2 * i + 1),
  );
  return wrap(
    build.reshape(
      spread,
      sizes.map((d, i) => d * times[i]!),
    ),
  );
}

/** Repeats each entry of an axis `count` times. */
export function repeat(x: Tensor, count: number, axis: number): Tensor {
  const along = normalizeAxis(axis, x.ndim);
  const spread = build.broadcast(
    x.value,
    x.shape.toSpliced(along + 1, 0, count),
    x.shape.map((_, i) => (i > along ? i + 1 : i)),
  );
  return wrap(build.reshape(spread, x.shape.with(along, x.shape[along]! * count)));
}

/** Adds `[before, after]` entries of a value around each axis. */
export function pad(x: Tensor, widths: readonly (readonly [number, number])[], value: TensorLike = 0): Tensor {
  const dtype = plainDType(x, 'pad');
  return wrap(
    build.pad(
      x.value,
      toValue(value, dtype),
      widths.map(([before]) => before),
      widths.map(([, after]) => after),
    ),
  );
}

/** What to take of one axis: everything (null), one place, or `[start, stop, step]` with NumPy's meaning of negatives. */
export type AxisSlice = null | number | readonly [start: number | null, stop: number | null, step?: number];

/** Basic indexing: `slice(x, [null, 3, [0, -1]])` is NumPy's `x[:, 3, 0:-1]`. Throws INVALID_ARGUMENT. */
export function slice(x: Tensor, selection: readonly AxisSlice[]): Tensor {
  if (selection.length > x.ndim)
    throw new BitloomError('INVALID_ARGUMENT', `${selection.length} indices for a tensor of rank ${x.ndim}`);
  const ranges = x.shape.map((size, axis) => axisRange(selection[axis] ?? null, size, axis));
  const backwards = ranges.flatMap((range, axis) => (range.isReversed ? [axis] : []));
  const cut = build.slice(
    x.value,
    ranges.map((r) => r.start),
    ranges.map((r) => r.limit),
    ranges.map((r) => r.step),
  );
  const turned = backwards.length > 0 ? build.reverse(cut, backwards) : cut;
  return wrap(
    build.reshape(
      turned,
      turned.type.shape.filter((_, axis) => typeof selection[axis] !== 'number'),
    ),
  );
}

/** A range as an ascending one plus a flag: the last element of a descending range comes first. */
function axisRange(
  selection: AxisSlice,
  size: number,
  axis: number,
): { start: number; limit: number; step: number; isReversed: boolean } {
  if (selection === null) return { start: 0, limit: size, step: 1, isReversed: false };
  if (typeof selection === 'number') {
    const place = selection < 0 ? selection + size : selection;
    if (place < 0 || place >= size)
      throw new BitloomError('INVALID_ARGUMENT', `index ${selection} is outside axis ${axis} of size ${size}`);
    return { start: place, limit: place + 1, step: 1, isReversed: false };
  }
  const [first, last, step = 1] = selection;
  if (step === 0) throw new BitloomError('INVALID_ARGUMENT', 'a slice needs a step other than 0');
  const [lowest, highest] = step > 0 ? [0, size] : [-1, size - 1];
  const place = (p: number | null, open: number) =>
    p === null ? open : Math.min(highest, Math.max(lowest, p < 0 ? p + size : p));
  const start = place(first, step > 0 ? 0 : size - 1);
  const stop = place(last, step > 0 ? size : -1);
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (count === 0) return { start: 0, limit: 0, step: 1, isReversed: false };
  const end = start + (count - 1) * step;
  return { start: Math.min(start, end), limit: Math.max(start, end) + 1, step: Math.abs(step), isReversed: step < 0 };
}

/** Entries number `indices` along an axis; indices outside are clamped to the ends, as jnp's mode 'clip'. */
export const take = (x: Tensor, indices: Tensor, axis = 0): Tensor =>
  wrap(build.gather(x.value, indices.value, normalizeAxis(axis, x.ndim)));
/** Along `axis`, each lane of x at the indices of the same lane. */
export const takeAlongAxis = (x: Tensor, indices: Tensor, axis: number): Tensor =>
  wrap(build.gatherAlong(x.value, indices.value, normalizeAxis(axis, x.ndim)));

/** The main diagonal of a matrix [n, m], `k` above it. */
export function diagonal(x: Tensor, k = 0): Tensor {
  const [n, m] = x.shape as readonly [number, number];
  const [row, column] = [Math.max(0, -k), Math.max(0, k)];
  const count = Math.max(0, Math.min(n - row, m - column));
  const flat = build.reshape(x.value, [elementCount(x.shape)]);
  if (count === 0) return wrap(build.slice(flat, [0], [0]));
  const first = row * m + column;
  return wrap(build.slice(flat, [first], [first + (count - 1) * (m + 1) + 1], [m + 1]));
}

/** x with `updates` [count, …] put at `indices` [count] of `axis`; `mode` joins them with what is there. */
export const scatter = (
  x: Tensor,
  indices: Tensor,
  updates: Tensor,
  axis = 0,
  mode: 'set' | 'add' | 'mul' | 'max' | 'min' = 'set',
): Tensor =>
  wrap(
    build.scatter(
      x.value,
      indices.value,
      build.cast(updates.value, x.dtype as DType),
      normalizeAxis(axis, x.ndim),
      mode,
    ),
  );

/** `sizes` elements from `starts` (scalar integer tensors or numbers), moved so that they fit. */
export const dynamicSlice = (x: Tensor, starts: readonly TensorLike[], sizes: readonly number[]): Tensor =>
  wrap(
    build.dynamicSlice(
      x.value,
      starts.map((s) => toValue(s, 'i32')),
      sizes,
    ),
  );
/** x overwritten by `update` at `starts`, moved so that it fits. */
export const dynamicUpdateSlice = (x: Tensor, update: Tensor, starts: readonly TensorLike[]): Tensor =>
  wrap(
    build.dynamicUpdateSlice(
      x.value,
      build.cast(update.value, x.dtype as DType),
      starts.map((s) => toValue(s, 'i32')),
    ),
  );
