/**
 * What the kernels of the library are tested with, as data: shapes of 1, of primes, around tiles, with ragged
 * depths; every dtype and format; epilogues. Any target may run them against the ops' meaning.
 */
import type { ElementType } from '../../ir/dtype.ts';
import type { Attributes, Op } from '../../ir/graph.ts';
import { ops } from '../../ir/ops.ts';
import type { TensorType } from '../../ir/shape.ts';
import { activationFormat, packedFormat } from '../../quant/formats.ts';
import { linearOp } from '../../quant/linear.ts';
import { type NumberFormat, panel } from '../../quant/number-format.ts';
import { quantizeOp } from '../../quant/quantize.ts';
import { add, max, mul } from '../expression.ts';
import type { Epilogue } from '../template.ts';

/** An operand: random numbers unless `values` are given. */
export interface CaseInput extends TensorType {
  readonly values?: readonly number[];
}

/** An epilogue with its meaning on plain numbers. */
export interface CaseEpilogue extends Epilogue {
  meaning(value: number, operands: readonly number[]): number;
}

export interface KernelCase {
  /** Name of the template that must take the case. */
  readonly template: string;
  readonly op: Op;
  readonly inputs: readonly CaseInput[];
  readonly attrs: Attributes;
  readonly epilogue?: CaseEpilogue;
  /** Bound of the mean squared error over the mean square of the exact result, and of any element over their root. */
  readonly bound: { readonly nmse: number; readonly worst: number };
}

/** Rounding in another order; fused or not. */
const REORDERED = { nmse: 1e-12, worst: 1e-5 };

const tensor = (dtype: ElementType, ...shape: number[]): CaseInput => ({ dtype, shape });

/** result * gain + residual, then at least 0: a row operand and a full one. */
const gainResidualRelu = (rows: readonly number[], columns: number): CaseEpilogue => ({
  key: 'gain residual relu',
  operands: [{ dtype: 'f32', shape: [columns] }, { dtype: 'f32', shape: [...rows, columns] }],
  apply: (_, value, [gain, residual]) => max(add(mul(value, gain!), residual!), 0),
  meaning: (value, [gain, residual]) => Math.max(value * gain! + residual!, 0),
});

function linearFloatCases(): KernelCase[] {
  const sizes: [number, number, number][] = [
    [1, 1, 1], [1, 4, 16], [1, 17, 37], [1, 23, 64], [2, 9, 21], [3, 7, 13], [5, 8, 32], [6, 8, 4], [7, 9, 131], [13, 17, 5], [25, 31, 19],
  ];
  const make = (m: number, n: number, depth: number, x: ElementType, w: ElementType): KernelCase =>
    ({ template: 'linear', op: linearOp, inputs: [tensor(x, m, depth), tensor(w, n, depth)], attrs: {}, bound: REORDERED });
  return [
    ...sizes.map((size) => make(...size, 'f32', 'f32')),
    ...sizes.slice(1, 7).flatMap((size) => [make(...size, 'f32', 'f16'), make(...size, 'f32', 'bf16')]),
    make(18, 19, 23, 'f16', 'bf16'),
    make(0, 3, 5, 'f32', 'f32'),
    { ...make(3, 11, 8, 'f32', 'f32'), epilogue: gainResidualRelu([3], 11) },
    { ...make(20, 11, 8, 'f32', 'f32'), epilogue: gainResidualRelu([20], 11) },
  ];
}

function dotGeneralCases(): KernelCase[] {
  const make = (lhs: number[], rhs: number[], axes: Record<string, number[]>, dtype: ElementType = 'f32'): KernelCase => ({
    template: 'dot_general', op: ops.dot_general, inputs: [tensor(dtype, ...lhs), tensor(dtype, ...rhs)],
    attrs: { lhsBatch: [], rhsBatch: [], ...axes }, bound: REORDERED,
  });
  const transposed = [
    make([14, 9], [9, 21], { lhsContract: [1], rhsContract: [0] }),
    make([14, 9], [21, 9], { lhsContract: [1], rhsContract: [1] }),
    make([9, 14], [9, 21], { lhsContract: [0], rhsContract: [0] }),
    make([9, 14], [21, 9], { lhsContract: [0], rhsContract: [1] }),
  ];
  return [
    ...transposed,
    make([3, 5, 7], [3, 7, 6], { lhsBatch: [0], rhsBatch: [0], lhsContract: [2], rhsContract: [1] }),
    make([4, 5, 7], [5, 7, 3], { lhsContract: [1, 2], rhsContract: [0, 1] }),
    make([11], [11], { lhsContract: [0], rhsContract: [0] }),
    make([12, 11], [11], { lhsContract: [1], rhsContract: [0] }),
    make([6], [5], { lhsContract: [], rhsContract: [] }),
    make([8, 6], [6, 13], { lhsContract: [1], rhsContract: [0] }, 'f16'),
    make([2, 0], [0, 3], { lhsContract: [1], rhsContract: [0] }),
    make([2, 150], [150, 3], { lhsContract: [1], rhsContract: [0] }),
    make([2, 2, 300], [2, 300, 9], { lhsBatch: [0], rhsBatch: [0], lhsContract: [2], rhsContract: [1] }),
  ];
}

/** The f32 sums run in another order; the integer ones are exact. */
function linearPackedCases(): KernelCase[] {
  const make = (m: number, n: number, groups: number, w: NumberFormat, rows = 4): KernelCase => {
    const depth = groups * w.blockSize;
    const inputs = [tensor(activationFormat(w.blockSize), m, depth), tensor(rows === 1 ? w : panel(w, rows), n, depth)];
    return { template: rows === 1 ? 'linear any' : 'linear packed', op: linearOp, inputs, attrs: {}, bound: REORDERED };
  };
  const formats = ['Q8_0', 'Q4_0', 'Q4_1', 'I2_G32', 'I3_G64Z', 'I4_G128', 'I5_G32Z', 'I6_G32', 'I7_G64', 'I8_G32Z', 'I4_G32Z'].map((f) => packedFormat(f)!);
  return [
    ...formats.map((f) => make(1, 9, 2, f)),
    ...formats.map((f) => make(5, 13, 1, f)),
    ...formats.slice(0, 3).flatMap((f) => [make(2, 4, 3, f), make(3, 1, 1, f), make(7, 16, 2, f), make(3, 6, 1, f, 1)]),
    ...formats.slice(3).map((f) => make(2, 3, 1, f, 1)),
    { ...make(1, 11, 2, formats[1]!), epilogue: gainResidualRelu([1], 11) },
    { ...make(6, 11, 2, formats[1]!), epilogue: gainResidualRelu([6], 11) },
  ];
}

/** Packed weights by float activations, in both layouts. */
function linearAnyCases(): KernelCase[] {
  return ['Q8_0', 'Q4_1', 'I3_G32Z', 'I6_G64'].flatMap((name) => {
    const format = packedFormat(name)!;
    return [format, panel(format)].map((w): KernelCase => {
      const inputs = [tensor('f32', 3, 2 * format.blockSize), tensor(w, 6, 2 * format.blockSize)];
      return { template: 'linear any', op: linearOp, inputs, attrs: {}, bound: REORDERED };
    });
  });
}

function quantizeCases(): KernelCase[] {
  const make = (dtype: ElementType, values: readonly number[] | undefined, group: number, ...shape: number[]): KernelCase => ({
    template: 'quantize', op: quantizeOp, inputs: [{ dtype, shape, ...(values && { values }) }],
    attrs: { format: activationFormat(group) }, bound: { nmse: 0, worst: 0 },
  });
  const halves = Array.from({ length: 64 }, (_, i) => (i === 5 ? 127 : (i % 9) - 4 + 0.5)); // ties go to even
  const tiny = Array.from({ length: 64 }, (_, i) => (i < 32 ? 0 : i * 1e-41)); // below the least scale
  return [
    make('f32', undefined, 32, 3, 64), make('f32', undefined, 64, 2, 2, 64), make('f16', undefined, 128, 1, 256),
    make('f32', halves, 32, 1, 64), make('f32', tiny, 32, 2, 32), make('f32', undefined, 32, 0, 32),
  ];
}

export const kernelCases = (): KernelCase[] => [
  ...linearFloatCases(), ...dotGeneralCases(), ...linearPackedCases(), ...linearAnyCases(), ...quantizeCases(),
];
