/** What products with sparse matrices are tested with: none, some and all elements, edges of panels and steps, all types. */
import type { ElementType } from '../../ir/dtype.ts';
import { elementsOf } from '../../ir/host-tensor.ts';
import { packSparse, type SparseDType } from '../../quant/sparse.ts';
import { sparseLinearOp } from '../../quant/sparse-linear.ts';
import { max, mul } from '../expression.ts';
import type { CaseEpilogue, KernelCase } from './cases.ts';

/** Rounding in another order; fused or not. */
const REORDERED = { nmse: 1e-12, worst: 1e-5 };

/** A share of elements that are not zero, in no order. */
function sparseValues(rows: number, columns: number, share: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: rows * columns }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 < share ? ((state >>> 8) & 0xffff) / 2 ** 15 - 1 + 2 ** -17 : 0;
  });
}

function make(
  m: number,
  n: number,
  depth: number,
  share: number,
  w: SparseDType = 'bf16',
  x: ElementType = 'f32',
): KernelCase {
  const { bitmap, values, starts } = packSparse(sparseValues(n, depth, share), [n, depth], w);
  const parts = [bitmap, values, starts].map((t) => ({ ...t.type, values: Array.from(elementsOf(t), Number) }));
  return {
    template: 'sparse linear',
    op: sparseLinearOp,
    inputs: [{ dtype: x, shape: [m, depth] }, ...parts],
    attrs: { rows: n },
    bound: REORDERED,
  };
}

const gainRelu = (columns: number): CaseEpilogue => ({
  key: 'gain relu',
  operands: [{ dtype: 'f32', shape: [columns] }],
  apply: (_, value, [gain]) => max(mul(value, gain!), 0),
  meaning: (value, [gain]) => Math.max(value * gain!, 0),
});

/** For machines that have `expand`. */
export const sparseCases = (): KernelCase[] => [
  ...[0, 0.5, 1].flatMap((share) => [make(1, 37, 67, share), make(4, 32, 64, share), make(9, 50, 131, share)]),
  make(1, 1, 1, 1),
  make(2, 16, 2, 0.5),
  make(1, 160, 20, 0.7),
  make(3, 23, 301, 0.1),
  make(6, 17, 40, 0.5, 'f16'),
  make(1, 19, 41, 0.5, 'f16', 'f16'),
  make(2, 33, 19, 0.5, 'f32', 'bf16'),
  make(25, 70, 53, 0.3, 'f32'),
  make(13, 80, 258, 0.5, 'bf16', 'bf16'),
  make(1, 5, 0, 1),
  make(0, 5, 8, 1),
  { ...make(3, 27, 30, 0.5), epilogue: gainRelu(27) },
  { ...make(20, 27, 30, 0.5), epilogue: gainRelu(27) },
];
