/** Meaning of contractions. Float products are summed in double precision and rounded once. */
import { isFloat } from '../dtype.ts';
import { type Elements, makeElements } from '../host-tensor.ts';
import type { contractionOps } from '../op/contraction.ts';
import { listAttr, numberAttr } from '../op/rule.ts';
import { elementCount, rowMajorStrides, type Shape } from '../shape.ts';
import { permuted } from './movement.ts';
import type { Rule, Tensor } from './rule.ts';

/** Columns of the right side that share one pass over a row of the left: independent sums keep a CPU busy. */
const COLUMNS = 4;

/** out[m, n] = sum over k of lhs[m, k] * rhs[n, k], from the given offsets on. */
type MatMul = (
  size: { M: number; N: number; K: number },
  out: Elements,
  o: number,
  lhs: Elements,
  l: number,
  rhs: Elements,
  r: number,
) => void;

const floatMatMul: MatMul = ({ M, N, K }, out, o, lhs, l, rhs, r) => {
  for (let n = 0; n < N; n += COLUMNS) {
    const r0 = r + n * K;
    // Past the last column the first of the four is computed again and not stored.
    const [r1, r2, r3] = [1, 2, 3].map((i) => (n + i < N ? r0 + i * K : r0)) as [number, number, number];
    for (let m = 0; m < M; m++) {
      const row = l + m * K;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let k = 0; k < K; k++) {
        const x = lhs[row + k]!;
        s0 += x * rhs[r0 + k]!;
        s1 += x * rhs[r1 + k]!;
        s2 += x * rhs[r2 + k]!;
        s3 += x * rhs[r3 + k]!;
      }
      const to = o + m * N + n;
      out[to] = s0;
      if (n + 1 < N) out[to + 1] = s1;
      if (n + 2 < N) out[to + 2] = s2;
      if (n + 3 < N) out[to + 3] = s3;
    }
  }
};

const integerMatMul: MatMul = ({ M, N, K }, out, o, lhs, l, rhs, r) => {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum = (sum + Math.imul(lhs[l + m * K + k]!, rhs[r + n * K + k]!)) | 0;
      out[o + m * N + n] = sum;
    }
  }
};

const matMulOf = ({ type }: Tensor): MatMul => (isFloat(type.dtype) ? floatMatMul : integerMatMul);

/** Size of some axes taken together. */
const sizeOf = (shape: Shape, axes: readonly number[]) => elementCount(axes.map((axis) => shape[axis]!));

/** Steps along each axis of every element of a shape, in row-major order: offsets of a window. */
function offsets(shape: Shape): number[][] {
  const strides = rowMajorStrides(shape);
  return Array.from({ length: elementCount(shape) }, (_, i) =>
    strides.map((s, axis) => Math.floor(i / s) % shape[axis]!),
  );
}

/** Place of x that window element `w` at output `o` reads, or -1 where there are padding or dilation zeros. */
function inputPlace(
  o: readonly number[],
  w: readonly number[],
  space: Shape,
  attrs: Record<string, readonly number[]>,
): number {
  let place = 0;
  for (let i = 0; i < space.length; i++) {
    const at = o[i]! * attrs.strides![i]! + w[i]! * attrs.rhsDilation![i]! - attrs.padLow![i]!;
    const spread = attrs.lhsDilation![i]!;
    if (at < 0 || at % spread !== 0 || at / spread >= space[i]!) return -1;
    place = place * space[i]! + at / spread;
  }
  return place;
}

export const contractionRules: Record<keyof typeof contractionOps, Rule> = {
  dot_general([lhs, rhs], attrs, type) {
    const [lc, lb] = [listAttr(attrs, 'lhsContract'), listAttr(attrs, 'lhsBatch')];
    const [rc, rb] = [listAttr(attrs, 'rhsContract'), listAttr(attrs, 'rhsBatch')];
    const free = (shape: Shape, ...used: (readonly number[])[]) =>
      shape.map((_, axis) => axis).filter((axis) => !used.flat().includes(axis));
    const [lf, rf] = [free(lhs!.type.shape, lc, lb), free(rhs!.type.shape, rc, rb)];
    const left = permuted(lhs!.data, lhs!.type.shape, [...lb, ...lf, ...lc]);
    const right = permuted(rhs!.data, rhs!.type.shape, [...rb, ...rf, ...rc]);
    const size = { M: sizeOf(lhs!.type.shape, lf), N: sizeOf(rhs!.type.shape, rf), K: sizeOf(lhs!.type.shape, lc) };
    const { M, N, K } = size;
    const out = makeElements(type);
    const matMul = matMulOf(lhs!);
    for (let b = 0; b < sizeOf(lhs!.type.shape, lb); b++)
      matMul(size, out, b * M * N, left, b * M * K, right, b * N * K);
    return out;
  },
  conv([x, w], attrs, type) {
    const groups = numberAttr(attrs, 'groups');
    const lists = Object.fromEntries(
      ['strides', 'padLow', 'lhsDilation', 'rhsDilation'].map((key) => [key, listAttr(attrs, key)]),
    );
    const space = x!.type.shape.slice(2);
    const [places, taps] = [offsets(type.shape.slice(2)), offsets(w!.type.shape.slice(2))];
    const [batch, outChannels] = type.shape as readonly [number, number];
    const [channels, perGroup] = [w!.type.shape[1]!, outChannels / groups];
    const planeSize = elementCount(space);
    const out = makeElements(type);
    const matMul = matMulOf(x!);
    const size = { M: perGroup, N: places.length, K: channels * taps.length };
    // The patch of each output place as a row: convolution is then a matrix product per image and group.
    const patches = new (x!.data.constructor as new (length: number) => Elements)(size.N * size.K);
    const sources = places.map((o) => taps.map((step) => inputPlace(o, step, space, lists)));
    for (let image = 0; image < batch * groups; image++) {
      const plane = image * channels * planeSize;
      let to = 0;
      for (const source of sources) {
        for (let c = 0; c < channels; c++) {
          for (const place of source) patches[to++] = place < 0 ? 0 : x!.data[plane + c * planeSize + place]!;
        }
      }
      matMul(size, out, image * perGroup * size.N, w!.data, (image % groups) * perGroup * size.K, patches, 0);
    }
    return out;
  },
};
