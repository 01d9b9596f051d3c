/**
 * Cases for machines with tile registers: sizes of 1, around 16 and 32, ragged rows, columns and depths, operands that lie
 * along and across their depth, every group size of packed weights, with and without minimums and offsets.
 */
import type { DType } from '../../ir/dtype.ts';
import { ops } from '../../ir/ops.ts';
import { activationFor, packedFormat } from '../../quant/formats.ts';
import { linearOp } from '../../quant/linear.ts';
import { panel } from '../../quant/number-format.ts';
import { add, max } from '../expression.ts';
import { TILES } from '../tile.ts';
import type { CaseEpilogue, CaseInput, KernelCase } from './cases.ts';

const LANES = TILES.rows;
const bound = { nmse: 1e-12, worst: 1e-5 };

/** result + residual, then at least 0. */
const residualRelu = (rows: number, columns: number): CaseEpilogue => ({
  key: 'residual relu',
  operands: [{ dtype: 'f32', shape: [rows, columns] }],
  apply: (_, value, [residual]) => max(add(value, residual!), 0),
  meaning: (value, [residual]) => Math.max(value + residual!, 0),
});

function then(kernelCase: KernelCase): KernelCase {
  const [m, n] = kernelCase.inputs.map(({ shape }) => shape[0]!) as [number, number];
  return { ...kernelCase, epilogue: residualRelu(m, n) };
}

/** Whole numbers of a type's whole range. */
function integers(dtype: 'i8' | 'u8', ...shape: number[]): CaseInput {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Array.from({ length: count }, (_, i) => ((i * 89 + 37) % 256) - (dtype === 'i8' ? 128 : 0));
  return { dtype, shape, values };
}

function packed(name: string, m: number, n: number, blocks: number): KernelCase {
  const w = packedFormat(name)!;
  const depth = blocks * w.blockSize;
  const inputs = [
    { dtype: activationFor(w), shape: [m, depth] },
    { dtype: panel(w, LANES), shape: [n, depth] },
  ];
  return { template: 'linear packed', op: linearOp, inputs, attrs: {}, bound };
}

function linear(m: number, n: number, depth: number): KernelCase {
  const inputs = [
    { dtype: 'bf16' as const, shape: [m, depth] },
    { dtype: 'bf16' as const, shape: [n, depth] },
  ];
  return { template: 'linear', op: linearOp, inputs, attrs: {}, bound };
}

function product(dtype: DType, lhs: number[], rhs: number[], axes: Record<string, number[]>): KernelCase {
  const make = (shape: number[]): CaseInput =>
    dtype === 'i8' || dtype === 'u8' ? integers(dtype, ...shape) : { dtype, shape };
  return {
    template: 'dot_general',
    op: ops.dot_general,
    inputs: [make(lhs), make(rhs)],
    attrs: { lhsBatch: [], rhsBatch: [], ...axes },
    bound: dtype === 'bf16' ? bound : { nmse: 0, worst: 0 },
  };
}

/** Products with either operand along or across its depth. */
const turned = (dtype: DType, m: number, n: number, depth: number): KernelCase[] => [
  product(dtype, [m, depth], [n, depth], { lhsContract: [1], rhsContract: [1] }),
  product(dtype, [m, depth], [depth, n], { lhsContract: [1], rhsContract: [0] }),
  product(dtype, [depth, m], [n, depth], { lhsContract: [0], rhsContract: [1] }),
  product(dtype, [depth, m], [depth, n], { lhsContract: [0], rhsContract: [0] }),
];

const batched = { lhsBatch: [0], rhsBatch: [0], lhsContract: [2], rhsContract: [1] };

export const tileRegisterCases = (): KernelCase[] => [
  ...['Q8_0', 'Q4_0', 'Q4_1', 'Q4_K', 'IQ4_NL', 'MXFP4'].map((name) => packed(name, 17, 33, 3)),
  ...['Q6_K', 'Q2_K', 'I4_G64', 'I8_G128Z', 'I3_G128'].map((name) => packed(name, 21, 18, 1)),
  ...[4, 16, 32, 47].map((m) => packed('Q4_0', m, 31, 5)),
  packed('Q5_1', 19, 7, 4),
  then(packed('Q4_0', 18, 20, 2)),
  then(linear(35, 34, 50)),
  linear(5, 17, 64),
  linear(130, 20, 40),
  linear(33, 70, 131),
  linear(16, 32, 1),
  linear(49, 31, 300),
  ...turned('bf16', 18, 35, 45),
  ...(['i8', 'u8'] as const).flatMap((dtype) => turned(dtype, 19, 34, 77)),
  ...(['i8', 'u8'] as const).map((dtype) => product(dtype, [1, 200], [200, 3], { lhsContract: [1], rhsContract: [0] })),
  product('bf16', [3, 17, 40], [3, 40, 21], batched),
  product('i8', [2, 33, 70], [2, 70, 40], batched),
  product('u8', [70, 1], [1, 40], { lhsContract: [1], rhsContract: [0] }),
  product('i8', [40], [40], { lhsContract: [0], rhsContract: [0] }),
];
