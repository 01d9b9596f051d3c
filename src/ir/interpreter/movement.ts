/** Meaning of views: each copies elements between two strided pictures of memory. */

import { bytesOf, type Elements, elementsOf, makeElements } from '../host-tensor.ts';
import { axesAttr, axisAttr, listAttr, shapeAttr } from '../op/rule.ts';
import type { viewOps } from '../op/view.ts';
import { rowMajorStrides, type Shape } from '../shape.ts';
import { dataShape, type Rule } from './rule.ts';

/** Where element [i, j, ...] of a picture lies: offset + i * strides[0] + j * strides[1] + ... */
export interface Picture {
  readonly data: Elements;
  readonly offset: number;
  readonly strides: readonly number[];
}

/** Copies a `shape` of elements from one picture to another. */
export function copyStrided(shape: Shape, to: Picture, from: Picture): void {
  if (shape.includes(0)) return;
  const last = shape.length - 1;
  const length = last < 0 ? 1 : shape[last]!;
  const toStep = to.strides[last] ?? 1;
  const fromStep = from.strides[last] ?? 1;
  const index = new Array<number>(Math.max(0, last)).fill(0);
  let [t, f] = [to.offset, from.offset];
  for (;;) {
    for (let i = 0; i < length; i++) to.data[t + i * toStep] = from.data[f + i * fromStep]!;
    let axis = last - 1;
    for (; axis >= 0; axis--) {
      t += to.strides[axis]!;
      f += from.strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      t -= to.strides[axis]! * shape[axis]!;
      f -= from.strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/** The whole of row-major data. */
export const dense = (data: Elements, shape: Shape): Picture => ({ data, offset: 0, strides: rowMajorStrides(shape) });

/** Row-major copy of the elements of `shape` that a picture shows. */
function pictured(from: Picture, shape: Shape, out: Elements): Elements {
  copyStrided(shape, dense(out, shape), from);
  return out;
}

/** Data with its axes in the order `perm`; the data itself where nothing moves. */
export function permuted(data: Elements, shape: Shape, perm: readonly number[]): Elements {
  if (perm.every((axis, i) => axis === i)) return data;
  const strides = rowMajorStrides(shape);
  const out = new (data.constructor as new (length: number) => Elements)(data.length);
  return pictured(
    { data, offset: 0, strides: perm.map((a) => strides[a]!) },
    perm.map((a) => shape[a]!),
    out,
  );
}

const sum = (a: readonly number[], b: readonly number[]) => a.reduce((n, x, i) => n + x * b[i]!, 0);

export const movementRules: Record<keyof typeof viewOps, Rule> = {
  broadcast([x], attrs, type) {
    const shape = dataShape(type);
    const from = rowMajorStrides(dataShape(x!.type));
    const strides = new Array<number>(shape.length).fill(0);
    axesAttr(attrs, 'axes', shape.length).forEach((axis, i) => {
      strides[axis] = x!.type.shape[i] === 1 && type.shape[axis] !== 1 ? 0 : from[i]!;
    });
    return pictured({ data: x!.data, offset: 0, strides }, shape, makeElements(type));
  },
  reshape: ([x]) => x!.data,
  transpose: ([x], attrs) => permuted(x!.data, dataShape(x!.type), listAttr(attrs, 'perm')),
  slice([x], attrs, type) {
    const strides = rowMajorStrides(dataShape(x!.type));
    const offset = sum(listAttr(attrs, 'starts'), strides);
    const steps = listAttr(attrs, 'strides').map((step, i) => step * strides[i]!);
    return pictured({ data: x!.data, offset, strides: steps }, dataShape(type), makeElements(type));
  },
  pad([x, value], attrs, type) {
    const data = makeElements(type).fill(value!.data[0]!);
    const strides = rowMajorStrides(type.shape);
    const offset = sum(shapeAttr(attrs, 'low'), strides);
    const steps = shapeAttr(attrs, 'interior').map((gap, i) => (gap + 1) * strides[i]!);
    copyStrided(x!.type.shape, { data, offset, strides: steps }, dense(x!.data, x!.type.shape));
    return data;
  },
  reverse([x], attrs, type) {
    const shape = dataShape(type);
    const strides = rowMajorStrides(shape);
    const axes = listAttr(attrs, 'axes');
    const offset = axes.reduce((n, axis) => n + (shape[axis]! - 1) * strides[axis]!, 0);
    const turned = strides.map((stride, axis) => (axes.includes(axis) ? -stride : stride));
    return pictured({ data: x!.data, offset, strides: turned }, shape, makeElements(type));
  },
  concat(parts, attrs, type) {
    const axis = axisAttr(attrs, type.shape.length);
    const out = dense(makeElements(type), dataShape(type));
    let start = 0;
    for (const part of parts) {
      const shape = dataShape(part.type);
      copyStrided(shape, { ...out, offset: start * out.strides[axis]! }, dense(part.data, shape));
      start += shape[axis]!;
    }
    return out.data;
  },
  bitcast: ([x], _, type) => elementsOf({ type, bytes: bytesOf(x!.type.dtype, x!.data) }),
};
