/** What the convolution's kernels are tested with: tiles' edges, strides, padding, dilations, groups, both axes, rows. */
import type { DType } from '../../ir/dtype.ts';
import { ops } from '../../ir/ops.ts';
import { add, max } from '../expression.ts';
import type { CaseEpilogue, KernelCase } from './cases.ts';

type Sizes = readonly number[];

interface Window {
  readonly strides?: Sizes;
  readonly padLow?: Sizes;
  readonly padHigh?: Sizes;
  readonly lhsDilation?: Sizes;
  readonly rhsDilation?: Sizes;
  readonly groups?: number;
}

/** Rounding in another order; fused or not. */
const REORDERED = { nmse: 1e-12, worst: 1e-5 };

function make(x: Sizes, w: Sizes, window: Window = {}, dtype: DType = 'f32'): KernelCase {
  const axes = x.slice(2);
  const [ones, zeros] = [axes.map(() => 1), axes.map(() => 0)];
  const plain = { strides: ones, padLow: zeros, padHigh: zeros, lhsDilation: ones, rhsDilation: ones, groups: 1 };
  return {
    template: 'conv',
    op: ops.conv,
    inputs: [
      { dtype, shape: x },
      { dtype, shape: w },
    ],
    attrs: { ...plain, ...window },
    bound: REORDERED,
  };
}

const both = (n: number): Sizes => [n, n];
const same = (n: number): Window => ({ padLow: both(n), padHigh: both(n) });

const residualRelu = (...shape: number[]): CaseEpilogue => ({
  key: 'residual relu',
  operands: [{ dtype: 'f32', shape }],
  apply: (_, value, [residual]) => max(add(value, residual!), 0),
  meaning: (value, [residual]) => Math.max(value + residual!, 0),
});

const biasRelu = (channels: number, ...ones: number[]): CaseEpilogue => ({
  key: 'bias relu',
  operands: [{ dtype: 'f32', shape: [channels, ...ones] }],
  apply: (_, value, [bias]) => max(add(value, bias!), 0),
  meaning: (value, [bias]) => Math.max(value + bias!, 0),
});

const biasRow = (columns: number): CaseEpilogue => ({
  key: 'bias row',
  operands: [{ dtype: 'f32', shape: [columns] }],
  apply: (_, value, [bias]) => add(value, bias!),
  meaning: (value, [bias]) => value + bias!,
});

export const convCases = (): KernelCase[] => [
  // One tap is a plain product, unless it moves or is padded.
  make([2, 5, 4, 5], [7, 5, 1, 1]),
  make([1, 40, 7, 7], [33, 40, 1, 1]),
  make([1, 6, 5, 5], [34, 3, 1, 1], { groups: 2 }),
  make([1, 5, 9, 10], [34, 5, 1, 1], { strides: both(2) }),
  make([1, 3, 4, 4], [35, 3, 1, 1], same(1)),
  // Windows: rows shorter and longer than vectors, ragged tiles.
  make([1, 3, 7, 7], [40, 3, 3, 3], same(1)),
  make([2, 2, 6, 9], [37, 2, 3, 3], same(1)),
  make([1, 2, 5, 33], [36, 2, 3, 2]),
  make([1, 1, 20, 19], [33, 1, 5, 5], same(2)),
  make([1, 2, 17, 16], [34, 2, 3, 3], { strides: both(2), ...same(1) }),
  make([1, 3, 13, 21], [35, 3, 7, 7], { strides: both(2), ...same(3) }),
  make([1, 2, 11, 14], [33, 2, 2, 3], { strides: [3, 2], padLow: [1, 0], padHigh: [0, 2] }),
  make([1, 2, 12, 13], [33, 2, 3, 3], { rhsDilation: [2, 3], ...same(2) }),
  make([1, 2, 9, 9], [36, 2, 3, 3], { rhsDilation: both(2), strides: both(2), ...same(2) }),
  make([1, 2, 5, 6], [33, 2, 3, 3], { lhsDilation: both(2), ...same(2) }),
  make([1, 2, 4, 5], [33, 2, 4, 4], { lhsDilation: [3, 2], strides: [2, 3], ...same(3) }),
  make([1, 1, 3, 3], [2, 1, 2, 2], { padLow: [5, 6], padHigh: [4, 7] }),
  make([1, 2, 10, 11], [33, 2, 9, 8]),
  make([1, 1, 2, 390], [34, 1, 2, 3], same(1)),
  make([1, 140, 3, 4], [34, 140, 1, 3], same(1)),
  // One axis.
  make([2, 3, 7], [4, 3, 3]),
  make([1, 8, 50], [40, 8, 3], { padLow: [1], padHigh: [1] }),
  make([1, 3, 401], [34, 3, 5], { strides: [2], padLow: [2], padHigh: [3] }),
  make([1, 2, 97], [35, 2, 4], { strides: [3], rhsDilation: [2], padLow: [4], padHigh: [1] }),
  make([1, 2, 30], [35, 2, 4], { lhsDilation: [2], padLow: [3], padHigh: [3] }),
  make([1, 1, 300], [33, 1, 70], { strides: [16] }),
  make([1, 4, 21], [33, 4, 1]),
  // Few outputs a group.
  make([1, 6, 9, 10], [6, 1, 3, 3], { groups: 6, ...same(1) }),
  make([2, 3, 6, 20], [6, 1, 3, 3], { groups: 3, ...same(1), strides: both(2) }),
  make([1, 3, 8, 35], [3, 1, 5, 5], { groups: 3, ...same(2) }),
  make([1, 2, 5, 3], [2, 1, 3, 3], { groups: 2, ...same(1) }),
  make([1, 2, 4, 1], [2, 1, 2, 1], { groups: 2 }),
  make([1, 8, 6, 17], [12, 2, 3, 3], { groups: 4, ...same(1) }),
  make([1, 3, 6, 7], [5, 3, 2, 2]),
  make([1, 4, 300], [4, 1, 31], { groups: 4, padLow: [15], padHigh: [15] }),
  make([1, 3, 40], [3, 1, 4], { groups: 3, strides: [2], padLow: [3], padHigh: [0] }),
  make([1, 2, 3, 400], [2, 1, 3, 3], { groups: 2, ...same(1) }),
  make([1, 2, 7, 6], [4, 1, 3, 3], { groups: 2, lhsDilation: both(2), ...same(2) }),
  // Other floats, none, epilogues.
  make([1, 3, 6, 20], [34, 3, 3, 3], same(1), 'f16'),
  make([1, 3, 6, 20], [34, 3, 3, 3], { ...same(1), strides: both(2) }, 'bf16'),
  make([1, 4, 6, 17], [4, 1, 3, 3], { groups: 4, ...same(1) }, 'bf16'),
  make([1, 5, 3, 7], [36, 5, 1, 1], {}, 'f16'),
  make([0, 2, 4, 4], [33, 2, 3, 3]),
  make([1, 2, 3, 0], [33, 2, 1, 3], same(2)),
  { ...make([1, 3, 7, 7], [35, 3, 3, 3], same(1)), epilogue: residualRelu(1, 35, 7, 7) },
  { ...make([2, 3, 6, 9], [3, 1, 3, 3], { groups: 3, ...same(1) }), epilogue: residualRelu(2, 3, 6, 9) },
  { ...make([2, 6, 6, 9], [68, 3, 3, 3], { groups: 2, ...same(1) }), epilogue: biasRelu(68, 1, 1) },
  { ...make([2, 4, 5, 5], [35, 4, 1, 1]), epilogue: biasRelu(35, 1, 1) },
  { ...make([2, 6, 6, 9], [6, 2, 3, 3], { groups: 3, ...same(1) }), epilogue: biasRelu(6, 1, 1) },
  { ...make([2, 3, 40], [35, 3, 3]), epilogue: biasRelu(35, 1) },
  { ...make([1, 3, 40], [35, 3, 3]), epilogue: biasRow(38) },
  { ...make([1, 3, 30], [3, 1, 3], { groups: 3 }), epilogue: biasRow(28) },
];
