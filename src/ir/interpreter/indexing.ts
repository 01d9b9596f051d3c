/** Meaning of ops that read or write at computed places. */
import type { DType } from '../dtype.ts';
import { type Elements, makeElements } from '../host-tensor.ts';
import { type indexOps, SCATTER_MODES } from '../op/indexing.ts';
import { axisAttr, shapeAttr, stringAttr } from '../op/rule.ts';
import { rowMajorStrides, type Shape } from '../shape.ts';
import { binaryFunction } from './elementwise.ts';
import { copyStrided, dense } from './movement.ts';
import { dataShape, lanes, type Rule, type Tensor } from './rule.ts';

const clamp = (index: number, size: number) => Math.min(Math.max(index, 0), size - 1);

/** Where a slice of `sizes` at scalar `starts` begins, moved so that it fits into `shape`. */
function clampedOffset(shape: Shape, sizes: Shape, starts: readonly Tensor[]): number {
  const strides = rowMajorStrides(shape);
  return starts.reduce((n, start, i) => n + clamp(start.data[0]!, shape[i]! - sizes[i]! + 1) * strides[i]!, 0);
}

export const indexRules: Record<keyof typeof indexOps, Rule> = {
  gather([operand, indices], attrs, type) {
    const { outer, size, inner } = lanes(dataShape(operand!.type), axisAttr(attrs, operand!.type.shape.length));
    const out = makeElements(type);
    let to = 0;
    for (let o = 0; o < outer; o++) {
      for (const index of indices!.data) {
        const from = (o * size + clamp(index, size)) * inner;
        out.set(operand!.data.subarray(from, from + inner), to);
        to += inner;
      }
    }
    return out;
  },
  gather_along([operand, indices], attrs, type) {
    const axis = axisAttr(attrs, type.shape.length);
    const { outer, size: count, inner } = lanes(type.shape, axis);
    const size = operand!.type.shape[axis]!;
    const out = makeElements(type);
    for (let o = 0, to = 0; o < outer; o++) {
      for (let i = 0; i < count; i++) {
        for (let r = 0; r < inner; r++, to++) {
          out[to] = operand!.data[(o * size + clamp(indices!.data[to]!, size)) * inner + r]!;
        }
      }
    }
    return out;
  },
  scatter([operand, indices, updates], attrs, type) {
    const { outer, size, inner } = lanes(type.shape, axisAttr(attrs, type.shape.length));
    const mode = stringAttr(attrs, 'mode', SCATTER_MODES);
    const join = mode === 'set' ? (_: number, b: number) => b : binaryFunction(mode, type.dtype as DType);
    const out: Elements = operand!.data.slice();
    for (let o = 0, from = 0; o < outer; o++) {
      for (const index of indices!.data) {
        const isInside = index >= 0 && index < size;
        const to = (o * size + index) * inner;
        for (let r = 0; r < inner; r++, from++) if (isInside) out[to + r] = join(out[to + r]!, updates!.data[from]!);
      }
    }
    return out;
  },
  dynamic_slice([operand, ...starts], attrs, type) {
    const sizes = shapeAttr(attrs, 'sizes');
    const { shape } = operand!.type;
    const out = makeElements(type);
    const from = { ...dense(operand!.data, shape), offset: clampedOffset(shape, sizes, starts) };
    copyStrided(sizes, dense(out, sizes), from);
    return out;
  },
  dynamic_update_slice([operand, update, ...starts]) {
    const shape = dataShape(operand!.type);
    const sizes = dataShape(update!.type);
    const out = operand!.data.slice();
    copyStrided(
      sizes,
      { ...dense(out, shape), offset: clampedOffset(shape, sizes, starts) },
      dense(update!.data, sizes),
    );
    return out;
  },
};
