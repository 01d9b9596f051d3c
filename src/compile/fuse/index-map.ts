/**
 * Index maps: where in a value an element comes from, as affine functions of the axes of a loop nest,
 * plus terms read at run time (gather, dynamic slice). Views compose here and cost nothing later.
 */
import type { Value } from '../../ir/graph.ts';
import { elementCount, rowMajorStrides, type Shape } from '../../ir/shape.ts';

/** clamp(value of `index`, 0, limit) * stride. */
export interface DynamicTerm {
  readonly index: Access;
  readonly stride: number;
  readonly limit: number;
}

/** constant + sum of axis * stride + dynamic terms. `strides` changes only when a loop axis is split. */
export interface Affine {
  readonly constant: number;
  readonly strides: number[];
  readonly dynamic: readonly DynamicTerm[];
}

/** One element of a value: a coordinate per axis of the value. */
export interface Access {
  readonly value: Value;
  readonly coordinates: readonly Affine[];
}

/** Shorter inner axes than this make vectors pointless; a view that asks for one becomes its own kernel. */
const LEAST_INNER_EXTENT = 4;

const NONE: readonly DynamicTerm[] = [];

/** The axes of one loop nest, outermost first. Splitting an axis keeps every affine of the space in step. */
export class LoopSpace {
  readonly extents: number[];
  readonly #affines: Affine[] = [];

  constructor(extents: Shape) {
    this.extents = [...extents];
  }

  affine(constant: number, strides: readonly number[], dynamic: readonly DynamicTerm[] = NONE): Affine {
    return this.#register({ constant, strides: [...strides], dynamic });
  }

  #register(affine: Affine): Affine {
    this.#affines.push(affine);
    return affine;
  }

  constant(value: number): Affine {
    return this.affine(
      value,
      this.extents.map(() => 0),
    );
  }

  axis(index: number): Affine {
    return this.affine(
      0,
      this.extents.map((_, i) => (i === index ? 1 : 0)),
    );
  }

  /** The coordinates of the space's own axes. */
  identity(): Affine[] {
    return this.extents.map((_, i) => this.axis(i));
  }

  scaled(a: Affine, factor: number, offset: number): Affine {
    const dynamic =
      a.dynamic.length === 0 ? NONE : a.dynamic.map((term) => ({ ...term, stride: term.stride * factor }));
    return this.affine(
      a.constant * factor + offset,
      a.strides.map((s) => s * factor),
      dynamic,
    );
  }

  plus(a: Affine, b: Affine): Affine {
    return this.affine(
      a.constant + b.constant,
      a.strides.map((s, i) => s + b.strides[i]!),
      a.dynamic.length + b.dynamic.length === 0 ? NONE : [...a.dynamic, ...b.dynamic],
    );
  }

  dynamic(index: Access, limit: number): Affine {
    return this.affine(
      0,
      this.extents.map(() => 0),
      [{ index, stride: 1, limit }],
    );
  }

  /** Row-major position in a tensor of `shape`. */
  linear(coordinates: readonly Affine[], shape: Shape): Affine {
    const factors = rowMajorStrides(shape);
    const sums = this.extents.map(() => 0);
    const dynamic: DynamicTerm[] = [];
    let constant = 0;
    coordinates.forEach((c, i) => {
      const factor = factors[i]!;
      constant += c.constant * factor;
      for (let axis = 0; axis < sums.length; axis++) sums[axis]! += c.strides[axis]! * factor;
      for (const term of c.dynamic) dynamic.push({ ...term, stride: term.stride * factor });
    });
    return this.#register({ constant, strides: sums, dynamic });
  }

  /** Turns axis i into two, the inner one `inner` long. False where that would leave too short an inner axis. */
  split(axis: number, inner: number): boolean {
    const isInnermost = this.extents.slice(axis + 1).every((e) => e === 1);
    if (isInnermost && inner < LEAST_INNER_EXTENT) return false;
    this.extents.splice(axis, 1, this.extents[axis]! / inner, inner);
    for (const { strides } of this.#affines) strides.splice(axis, 1, strides[axis]! * inner, strides[axis]!);
    return true;
  }

  /** Quotient and remainder of a non-negative affine by `divisor`; undefined where they are not affine. */
  divide(a: Affine, divisor: number): { quotient: Affine; remainder: Affine } | undefined {
    if (a.dynamic.length > 0) return undefined;
    for (let axis = 0; axis < this.extents.length; axis++) {
      const [stride, extent] = [Math.abs(a.strides[axis]!), this.extents[axis]!];
      if (extent === 1 || stride === 0 || stride % divisor === 0 || stride * extent <= divisor) continue;
      const inner = divisor / stride;
      if (!Number.isInteger(inner) || extent % inner !== 0 || !this.split(axis, inner)) return undefined;
    }
    const remainderConstant = ((a.constant % divisor) + divisor) % divisor;
    const isUnit = (i: number) => this.extents[i] === 1;
    const quotients = a.strides.map((s, i) => (!isUnit(i) && s % divisor === 0 ? s / divisor : 0));
    const rests = a.strides.map((s, i) => (isUnit(i) || s % divisor === 0 ? 0 : s));
    const reach = (sign: 1 | -1) =>
      rests.reduce((n, s, i) => n + (s * sign > 0 ? s * Math.max(0, this.extents[i]! - 1) : 0), remainderConstant);
    if (reach(-1) < 0 || reach(1) >= divisor) return undefined;
    return {
      quotient: this.affine((a.constant - remainderConstant) / divisor, quotients),
      remainder: this.affine(remainderConstant, rests),
    };
  }

  /** Whether an affine takes only one value in this space. */
  isFixed(a: Affine): boolean {
    return a.dynamic.length === 0 && a.strides.every((s, i) => s === 0 || this.extents[i] === 1);
  }

  /** Whether an affine changes along an axis, by itself or by what its dynamic terms read. */
  varies(a: Affine, axis: number): boolean {
    if (this.extents[axis] === 1) return false;
    if (a.strides[axis] !== 0) return true;
    return a.dynamic.some(({ index }) => index.coordinates.some((c) => this.varies(c, axis)));
  }
}

/** Equal keys mean the same element in the same space. */
export function accessKey({ value, coordinates }: Access): string {
  return `${value.id}(${coordinates.map(affineKey).join(';')})`;
}

const affineKey = ({ constant, strides, dynamic }: Affine): string =>
  `${constant}+${strides.join(',')}${dynamic.map((d) => `+${d.stride}*min(${d.limit},${accessKey(d.index)})`).join('')}`;

/** Runs of axes of two shapes of one size that hold the same elements: [from, to) in `a` and in `b`. */
function matchAxes(a: Shape, b: Shape): { a: [number, number]; b: [number, number] }[] {
  const runs: { a: [number, number]; b: [number, number] }[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [i0, j0] = [i, j];
    let [sizeA, sizeB] = [a[i++] ?? 1, b[j++] ?? 1];
    while (sizeA !== sizeB) {
      if (sizeA < sizeB) sizeA *= a[i++]!;
      else sizeB *= b[j++]!;
    }
    runs.push({
      a: [Math.min(i0, a.length), Math.min(i, a.length)],
      b: [Math.min(j0, b.length), Math.min(j, b.length)],
    });
  }
  return runs;
}

/**
 * Coordinates in `from` of the element that has `coordinates` in `to`, both row-major with the same
 * elements. Undefined where they are not affine. May split axes of the space.
 */
export function reshapeCoordinates(
  space: LoopSpace,
  coordinates: readonly Affine[],
  to: Shape,
  from: Shape,
): Affine[] | undefined {
  if (elementCount(from) === 0) return from.map(() => space.constant(0));
  const result = from.map(() => space.constant(0));
  const solid = (shape: Shape) => shape.map((_, axis) => axis).filter((axis) => shape[axis] !== 1);
  const [toAxes, fromAxes] = [solid(to), solid(from)];
  for (const run of matchAxes(
    toAxes.map((i) => to[i]!),
    fromAxes.map((i) => from[i]!),
  )) {
    const outer = toAxes.slice(...run.a);
    const inner = fromAxes.slice(...run.b);
    if (outer.length === 1 && inner.length === 1) {
      result[inner[0]!] = coordinates[outer[0]!]!;
      continue;
    }
    let rest = space.linear(
      outer.map((i) => coordinates[i]!),
      outer.map((i) => to[i]!),
    );
    for (const axis of inner.slice(1).reverse()) {
      const parts = space.divide(rest, from[axis]!);
      if (!parts) return undefined;
      result[axis] = parts.remainder;
      rest = parts.quotient;
    }
    if (inner.length > 0) result[inner[0]!] = rest;
  }
  return result;
}
