/**
 * What the kernels of the library are tested with, as data: shapes of 1, of primes, around tiles, with ragged
 * depths; every dtype and format; epilogues. Any target may run them against the ops' meaning.
 */

import { attentionOp } from '../../ir/attention.ts';
import { embeddingOp, layerNormOp, rmsNormOp, softmaxOp } from '../../ir/composites.ts';
import { type ElementType, isPacked } from '../../ir/dtype.ts';
import type { Attributes, Op } from '../../ir/graph.ts';
import { ops } from '../../ir/ops.ts';
import { ropeOp } from '../../ir/rope.ts';
import type { TensorType } from '../../ir/shape.ts';
import { B1 } from '../../quant/bipolar-formats.ts';
import { dequantizeOp } from '../../quant/dequantize.ts';
import { expertLinearOp } from '../../quant/expert-linear.ts';
import { activationFor, activationFormat, CACHE_FORMAT, packedFormat } from '../../quant/formats.ts';
import { linearOp } from '../../quant/linear.ts';
import { type NumberFormat, panel } from '../../quant/number-format.ts';
import { packedAttentionOp } from '../../quant/packed-attention.ts';
import { packedEmbeddingOp } from '../../quant/packed-embedding.ts';
import { quantizeOp } from '../../quant/quantize.ts';
import { toPanelsOp } from '../../quant/to-panels.ts';
import { add, max, mul } from '../expression.ts';
import { type Machine, SIMD128 } from '../machine.ts';
import type { Epilogue } from '../template.ts';
import { convCases } from './conv-cases.ts';
import { sparseCases } from './sparse-cases.ts';
import { tileRegisterCases } from './tile-register-cases.ts';

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
  operands: [
    { dtype: 'f32', shape: [columns] },
    { dtype: 'f32', shape: [...rows, columns] },
  ],
  apply: (_, value, [gain, residual]) => max(add(mul(value, gain!), residual!), 0),
  meaning: (value, [gain, residual]) => Math.max(value * gain! + residual!, 0),
});

function linearFloatCases(): KernelCase[] {
  const sizes: [number, number, number][] = [
    [1, 1, 1],
    [1, 4, 16],
    [1, 17, 37],
    [1, 23, 64],
    [2, 9, 21],
    [3, 7, 13],
    [5, 8, 32],
    [6, 8, 4],
    [7, 9, 131],
    [13, 17, 5],
    [25, 31, 19],
    [14, 33, 47],
    [2, 15, 40],
  ];
  const make = (m: number, n: number, depth: number, x: ElementType, w: ElementType): KernelCase => ({
    template: 'linear',
    op: linearOp,
    inputs: [tensor(x, m, depth), tensor(w, n, depth)],
    attrs: {},
    bound: REORDERED,
  });
  return [
    ...sizes.map((size) => make(...size, 'f32', 'f32')),
    ...sizes.slice(1, 7).flatMap((size) => [make(...size, 'f32', 'f16'), make(...size, 'f32', 'bf16')]),
    make(18, 19, 23, 'f16', 'bf16'),
    ...[131, 21].flatMap((depth) => [make(1, 9, depth, 'bf16', 'bf16'), make(2, 9, depth, 'bf16', 'bf16')]),
    make(0, 3, 5, 'f32', 'f32'),
    { ...make(3, 11, 8, 'f32', 'f32'), epilogue: gainResidualRelu([3], 11) },
    { ...make(20, 11, 8, 'f32', 'f32'), epilogue: gainResidualRelu([20], 11) },
  ];
}

function dotGeneralCases(): KernelCase[] {
  const make = (
    lhs: number[],
    rhs: number[],
    axes: Record<string, number[]>,
    dtype: ElementType = 'f32',
  ): KernelCase => ({
    template: 'dot_general',
    op: ops.dot_general,
    inputs: [tensor(dtype, ...lhs), tensor(dtype, ...rhs)],
    attrs: { lhsBatch: [], rhsBatch: [], ...axes },
    bound: REORDERED,
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

/** One format of each kind: bits, offsets, zero points, minimums, group integers, codebooks, planes of files. */
const WEIGHTS = [
  ...['Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'IQ4_NL', 'IQ4_XS', 'MXFP4'],
  ...['I2_G32', 'I3_G64Z', 'I4_G128', 'I5_G32Z', 'I6_G32', 'I7_G64', 'I8_G32Z', 'I8_G128Z', 'I4_G32Z', 'B1'],
].map((name) => packedFormat(name)!);

/** Formats of which a few cases more are run. */
const SOME_WEIGHTS = ['Q4_0', 'Q5_1', 'Q2_K', 'Q6_K', 'IQ4_XS', 'I8_G128Z'].map((name) => packedFormat(name)!);

/** As many panels as `n` rows are at 4 lanes, and as full a last one. */
const rowsAt = (n: number, lanes: number): number => {
  const rest = n % 4;
  return Math.floor(n / 4) * lanes + Math.max(rest, (rest * lanes) / 4 - 1);
};

/** The f32 sums run in another order; the integer ones are exact. `n` is told for 4 lanes. */
function linearPackedCases(lanes: number): KernelCase[] {
  const make = (m: number, n: number, blocks: number, w: NumberFormat, rows = lanes): KernelCase => {
    const depth = blocks * w.blockSize;
    const weights = tensor(rows === 1 ? w : panel(w, rows), rowsAt(n, rows === 1 ? 4 : lanes), depth);
    const inputs = [tensor(activationFor(w), m, depth), weights];
    return { template: rows === 1 ? 'linear any' : 'linear packed', op: linearOp, inputs, attrs: {}, bound: REORDERED };
  };
  const then = (kernelCase: KernelCase): KernelCase => {
    const [m, n] = kernelCase.inputs.map(({ shape }) => shape[0]!) as [number, number];
    return { ...kernelCase, epilogue: gainResidualRelu([m], n) };
  };
  const [q80, q40, q41] = WEIGHTS as [NumberFormat, NumberFormat, NumberFormat];
  return [
    ...WEIGHTS.map((f) => make(1, 9, 2, f)),
    ...SOME_WEIGHTS.map((f) => make(5, 13, 1, f)),
    ...WEIGHTS.map((f) => make(14, 6, 256 / f.blockSize, f)),
    ...[q80, q40, q41].flatMap((f) => [make(2, 4, 3, f), make(3, 1, 1, f), make(7, 16, 2, f), make(3, 6, 1, f, 1)]),
    ...WEIGHTS.slice(3).map((f) => make(2, 3, 1, f, 1)),
    make(0, 5, 1, q40),
    then(make(1, 11, 2, q40)),
    then(make(6, 11, 2, q40)),
  ];
}

/** Bits counted: no rounding but that of the scales. */
function bipolarCases(lanes: number): KernelCase[] {
  const make = (m: number, n: number, blocks: number, x: string): KernelCase => {
    const inputs = [
      tensor(packedFormat(x)!, m, 128 * blocks),
      tensor(panel(B1, lanes), rowsAt(n, lanes), 128 * blocks),
    ];
    return { template: 'linear bipolar', op: linearOp, inputs, attrs: {}, bound: REORDERED };
  };
  return [
    ...[make(1, 9, 2, 'B1_A'), make(1, 13, 1, 'B2_A'), make(1, 4, 3, 'B4_A')],
    ...[make(5, 13, 2, 'B1_A'), make(14, 6, 1, 'B4_A'), make(13, 17, 3, 'B2_A'), make(0, 5, 1, 'B1_A')],
    { ...make(3, 8, 1, 'B1_A'), epilogue: gainResidualRelu([3], rowsAt(8, lanes)) },
  ];
}

/** Ids past the ends are clamped; rows of x are used by one id, or by several. */
function expertLinearCases(lanes: number): KernelCase[] {
  const make = (rows: number, n: number, x: ElementType, w: ElementType, depth: number, ids: number[]): KernelCase => ({
    template: 'expert linear',
    op: expertLinearOp,
    inputs: [tensor(x, rows, depth), tensor(w, 3, n, depth), { dtype: 'i32', shape: [ids.length], values: ids }],
    attrs: {},
    bound: REORDERED,
  });
  const packed = (name: string, rows: number, panels: number, ids: number[]): KernelCase => {
    const w = packedFormat(name)!;
    return make(rows, panels * lanes, activationFor(w), panel(w, lanes), w.blockSize, ids);
  };
  return [
    packed('Q4_0', 1, 3, [2, 0]),
    packed('Q4_K', 2, 5, [1, 2, 9, -1]),
    packed('Q6_K', 3, 1, [0, 2, 1]),
    packed('MXFP4', 2, 2, [1, 1]),
    make(2, 7, 'f32', 'f16', 20, [2, 0, 1, 1]),
    make(3, 9, 'f32', 'f32', 13, [0, 2, 0]),
  ];
}

/** Packed weights by float activations, in both layouts. */
function linearAnyCases(lanes: number): KernelCase[] {
  return ['Q8_0', 'Q4_1', 'Q5_1', 'Q6_K', 'IQ4_XS', 'MXFP4', 'I3_G32Z', 'I6_G64'].flatMap((name) => {
    const format = packedFormat(name)!;
    return [format, panel(format, lanes)].map((w): KernelCase => {
      const inputs = [tensor('f32', 3, 2 * format.blockSize), tensor(w, 6, 2 * format.blockSize)];
      return { template: 'linear any', op: linearOp, inputs, attrs: {}, bound: REORDERED };
    });
  });
}

function quantizeCases(): KernelCase[] {
  const make = (
    dtype: ElementType,
    values: readonly number[] | undefined,
    format: NumberFormat,
    ...shape: number[]
  ): KernelCase => ({
    template: 'quantize',
    op: quantizeOp,
    inputs: [{ dtype, shape, ...(values && { values }) }],
    attrs: { format },
    bound: { nmse: 0, worst: 0 },
  });
  const halves = Array.from({ length: 64 }, (_, i) => (i === 5 ? 127 : (i % 9) - 4 + 0.5)); // ties go to even
  const tiny = Array.from({ length: 64 }, (_, i) => (i < 32 ? 0 : i * 1e-41)); // below the least scale
  const high = Number.POSITIVE_INFINITY;
  const extremes = Array.from({ length: 96 }, (_, i) => ({ 40: high, 70: 3e38, 71: -3e38 })[i] ?? (i - 40) * 1e36);
  return [
    make('f32', undefined, activationFormat(32), 3, 64),
    make('f32', undefined, activationFormat(64), 2, 2, 64),
    make('f16', undefined, activationFormat(128), 1, 256),
    make('f32', halves, activationFormat(32), 1, 64),
    make('f32', tiny, activationFormat(32), 2, 32),
    make('f32', undefined, activationFormat(32), 0, 32),
    make('f32', undefined, packedFormat('Q8_A32S16')!, 3, 64),
    make('f32', extremes, activationFormat(32), 3, 32),
    make('f32', halves, CACHE_FORMAT, 1, 64),
    make('f32', undefined, CACHE_FORMAT, 2, 3, 96),
  ];
}

/** Elementary functions differ by a few units in the last place from the reference's. */
const ELEMENTARY = { nmse: 1e-11, worst: 2e-5 };
const EXACT = { nmse: 0, worst: 0 };

function rowCases(): KernelCase[] {
  const norm = (op: Op, inputs: CaseInput[], epilogue?: CaseEpilogue): KernelCase => ({
    template: op.name,
    op,
    inputs,
    attrs: { eps: 1e-5 },
    bound: REORDERED,
    ...(epilogue && { epilogue }),
  });
  const softmax = (...shape: number[]): KernelCase => ({
    template: 'softmax',
    op: softmaxOp,
    inputs: [tensor('f32', ...shape)],
    attrs: { axis: shape.length - 1 },
    bound: ELEMENTARY,
  });
  const argmax = (values: readonly number[], ...shape: number[]): KernelCase => ({
    template: 'argmax',
    op: ops.argmax,
    inputs: [{ dtype: 'f32', shape, values }],
    attrs: { axis: shape.length - 1 },
    bound: EXACT,
  });
  const { NaN: nan, NEGATIVE_INFINITY: low, POSITIVE_INFINITY: high } = Number;
  return [
    ...[1, 3, 16, 17, 67, 95].map((dim) => norm(rmsNormOp, [tensor('f32', 3, dim), tensor('f32', dim)])),
    norm(rmsNormOp, [tensor('f32', 2, 2, 20), tensor('f16', 20)], gainResidualRelu([2, 2], 20)),
    norm(rmsNormOp, [tensor('f16', 2, 9), tensor('bf16', 9)]),
    { ...norm(rmsNormOp, [tensor('f32', 3, 18), tensor('bf16', 18)]), attrs: { eps: 1e-5, weightOffset: 1 } },
    ...[1, 5, 33].map((dim) => norm(layerNormOp, [tensor('f32', 3, dim), tensor('f32', dim), tensor('f32', dim)])),
    softmax(3, 1),
    softmax(2, 3),
    softmax(2, 2, 21),
    softmax(1, 64),
    softmax(2, 33),
    { ...softmax(2, 4), inputs: [{ dtype: 'f32', shape: [2, 4], values: [low, 0, 1, 90, low, low, low, low] }] },
    argmax([3], 1),
    argmax([1, 5, 5, 2, 5], 5),
    argmax([low, low, low, low, low, low], 6),
    argmax([1, nan, 7, nan, 9], 5),
    argmax([0, 1, 2, 3, 9, 8, 9, 7, 9, 4, 3, 2, 1, high, nan, high, 0, 1], 2, 9),
    argmax([nan, nan, nan, nan, nan, 2, 1, 0], 8),
    argmax([7, 1, 2, 3, 4, 7, 7, 7, 8], 3, 3),
    argmax([5, 6, 7, 8, 8, 7, 6, 9, 9, 1, 2, 3], 1, 12),
    argmax(
      Array.from({ length: 70 }, (_, i) => (i * 7) % 11),
      2,
      35,
    ),
  ];
}

function movingCases(lanes: number): KernelCase[] {
  const tokens = (...values: number[]): CaseInput => ({ dtype: 'i32', shape: [values.length], values });
  const gather = (table: CaseInput, indices: CaseInput): KernelCase => ({
    template: 'gather rows',
    op: ops.gather,
    inputs: [table, indices],
    attrs: { axis: 0 },
    bound: EXACT,
  });
  const embedding = (dtype: ElementType, dim: number): KernelCase => ({
    template: 'embedding',
    op: embeddingOp,
    inputs: [tensor(dtype, 7, dim), tokens(3, 0, 6, -1, 99)],
    attrs: {},
    bound: EXACT,
  });
  const dequantize = (w: ElementType, rows: number, columns: number): KernelCase => ({
    template: 'dequantize',
    op: dequantizeOp,
    inputs: [tensor(w, rows, columns)],
    attrs: {},
    bound: REORDERED,
  });
  const packedEmbedding = (w: NumberFormat): KernelCase => ({
    template: 'packed embedding',
    op: packedEmbeddingOp,
    inputs: [tensor(w, 7, 2 * w.blockSize), tokens(3, 0, 6, -1, 99)],
    attrs: {},
    bound: REORDERED,
  });
  const toPanels = (w: NumberFormat, rows: number): KernelCase => ({
    template: 'to panels',
    op: toPanelsOp,
    inputs: [tensor(w, rows, 2 * w.blockSize)],
    attrs: { panelRows: lanes },
    bound: EXACT,
  });
  return [
    gather(tensor('f32', 5, 17), tokens(4, 1, 1, -3, 9)),
    gather(tensor('f16', 5, 33), { dtype: 'u8', shape: [2, 1], values: [3, 200] }),
    gather(tensor('i32', 3, 4, 5), { dtype: 'u32', shape: [2], values: [1, 4000000000] }),
    gather(tensor(WEIGHTS[1]!, 4, 64), tokens(3, 0)),
    embedding('f32', 8),
    embedding('f16', 5),
    embedding('bf16', 4),
    ...WEIGHTS.flatMap((f) => [
      dequantize(f, 3, f.blockSize),
      dequantize(panel(f, lanes), rowsAt(5, lanes), 2 * f.blockSize),
    ]),
    dequantize(activationFormat(32), 2, 64),
    ...SOME_WEIGHTS.flatMap((f) => [packedEmbedding(f), packedEmbedding(panel(f, lanes))]),
    ...WEIGHTS.map((f) => toPanels(f, 2 * lanes)),
    ...SOME_WEIGHTS.map((f) => toPanels(f, rowsAt(5, lanes))),
    ...SOME_WEIGHTS.map((f) => toPanels(f, rowsAt(7, lanes))),
    toPanels(WEIGHTS[1]!, 1),
  ];
}

function attentionCases(): KernelCase[] {
  const make = (
    { seqLen = 1, heads = 2, kvHeads = 1, context = 8, dim = 8, valueDim = 0, start = 0, cache = 'f32' as ElementType },
    attrs: Attributes = {},
  ): KernelCase => ({
    template: isPacked(cache) ? 'packed attention' : 'attention',
    op: isPacked(cache) ? packedAttentionOp : attentionOp,
    inputs: [
      tensor('f32', seqLen, heads, dim),
      tensor(cache, kvHeads, context, dim),
      tensor(cache, kvHeads, context, valueDim || dim),
      { dtype: 'i32', shape: [1], values: [start] },
    ],
    attrs: { scale: 1 / Math.sqrt(dim), causal: true, softCap: null, window: null, ...attrs },
    bound: ELEMENTARY,
  });
  return [
    make({ heads: 6, kvHeads: 6, context: 40, start: 37, dim: 16 }),
    make({ seqLen: 3, heads: 3, kvHeads: 3, context: 12, start: 4, cache: 'f16' }, { window: 3 }),
    make({ start: 3 }),
    make({ start: 7, heads: 1, dim: 4 }),
    make({ heads: 8, kvHeads: 2, context: 70, start: 65, dim: 16, valueDim: 12 }),
    make({ seqLen: 5, heads: 3, kvHeads: 3, context: 9, start: 2 }),
    make({ seqLen: 37, heads: 4, kvHeads: 2, context: 64, start: 11, cache: 'f16' }),
    make({ seqLen: 3, heads: 6, kvHeads: 2, context: 40, start: 30, cache: 'bf16', dim: 20 }),
    make({ seqLen: 4, context: 40, start: 33 }, { causal: false }),
    make({ seqLen: 6, context: 48, start: 36 }, { window: 5, softCap: 2 }),
    make({ seqLen: 2, context: 33, start: 31, heads: 5, kvHeads: 1 }, { window: 64, causal: false }),
    make({ heads: 6, kvHeads: 6, context: 40, start: 37, dim: 32, cache: CACHE_FORMAT }),
    make({ heads: 8, kvHeads: 2, context: 70, start: 65, dim: 96, valueDim: 64, cache: packedFormat('Q8_0')! }),
    make({ seqLen: 13, heads: 3, kvHeads: 1, context: 64, start: 11, dim: 64, cache: CACHE_FORMAT }),
    make({ seqLen: 6, context: 48, start: 36, dim: 32, cache: CACHE_FORMAT }, { window: 5, softCap: 2 }),
    make({ seqLen: 50, heads: 3, kvHeads: 3, context: 129, start: 79, dim: 20, valueDim: 12 }),
    make({ seqLen: 19, heads: 5, kvHeads: 1, context: 64, start: 0, dim: 4, cache: 'bf16' }, { causal: false }),
    make({ seqLen: 49, heads: 2, context: 100, start: 40, dim: 16, cache: 'f16' }, { window: 20 }),
    make({ seqLen: 3, heads: 4, kvHeads: 2, context: 24, start: 3, dim: 32, cache: CACHE_FORMAT }, { window: 3 }),
    make({ seqLen: 8, heads: 2, kvHeads: 2, context: 10, start: 6 }),
    make({ heads: 8, context: 300, start: 290, dim: 64, cache: 'f16' }),
    make({ heads: 2, kvHeads: 2, context: 260, start: 250, dim: 32, valueDim: 48 }, { window: 140, softCap: 1 }),
    make({ heads: 15, context: 50, start: 40, dim: 32, cache: 'f16' }),
    make({ heads: 17, context: 35, start: 33, dim: 16, valueDim: 24, cache: 'bf16' }),
    make({ heads: 3, context: 40, start: 20, dim: 160, cache: CACHE_FORMAT }),
    make({ seqLen: 33, heads: 3, kvHeads: 3, context: 67, start: 33, dim: 48, valueDim: 80 }, { window: 31 }),
  ];
}

function ropeCases(): KernelCase[] {
  const make = (style: string, dtype: ElementType, dim: number, pairs: number, positions: number[]): KernelCase => ({
    template: 'rope',
    op: ropeOp,
    inputs: [tensor(dtype, positions.length, 3, dim), { dtype: 'i32', shape: [positions.length], values: positions }],
    attrs: {
      style,
      rotaryDim: 2 * pairs,
      inverseFrequencies: Array.from({ length: pairs }, (_, i) => 100 ** (-i / pairs)),
    },
    bound: ELEMENTARY,
  });
  return ['half', 'interleaved'].flatMap((style) => [
    make(style, 'f32', 16, 8, [0, 1, 500]),
    make(style, 'f32', 10, 5, [7]),
    make(style, 'f16', 14, 6, [3, 100_000]),
    make(style, 'f32', 2, 1, [9]),
    make(style, 'bf16', 70, 33, [4]),
  ]);
}

/** Cases for a machine: panels have as many rows as it has lanes. */
export const kernelCases = ({
  lanes,
  hasExpand,
  tiles,
}: Pick<Machine, 'lanes' | 'hasExpand' | 'tiles'> = SIMD128): KernelCase[] => [
  ...rowCases(),
  ...movingCases(lanes),
  ...attentionCases(),
  ...ropeCases(),
  ...linearFloatCases(),
  ...dotGeneralCases(),
  ...convCases(),
  ...linearPackedCases(lanes),
  ...bipolarCases(lanes),
  ...linearAnyCases(lanes),
  ...expertLinearCases(lanes),
  ...(hasExpand ? sparseCases() : []),
  ...quantizeCases(),
  ...(tiles ? tileRegisterCases() : []),
];
