/** What neural networks are written with, after `jax.nn`: composites over tensors, shapes as in their docs. */

import * as attentionLayer from '../ir/attention.ts';
import * as build from '../ir/build.ts';
import * as layers from '../ir/composites.ts';
import type { DType } from '../ir/dtype.ts';
import { isPacked } from '../ir/dtype.ts';
import { type RopeStyle, rope as ropeOf } from '../ir/rope.ts';
import { normalizeAxis } from '../ir/shape.ts';
import type { NumberFormat } from '../quant/index.ts';
import * as quantized from '../quant/index.ts';
import { type TensorLike, toFloat } from './promotion.ts';
import type { SparseMatrix } from './sparse-matrix.ts';
import { Tensor } from './tensor.ts';

export { type SparseMatrix, sparseMatrix } from './sparse-matrix.ts';

export const silu = (x: TensorLike): Tensor => new Tensor(layers.silu(toFloat(x, 'silu')));
export const gelu = (x: TensorLike, approximate: 'none' | 'tanh' = 'none'): Tensor =>
  new Tensor(layers.gelu(toFloat(x, 'gelu'), approximate));
/** 1 / (1 + e^-x). */
export const sigmoid = (x: TensorLike): Tensor => new Tensor(build.logistic(toFloat(x, 'sigmoid')));
export const relu = (x: TensorLike): Tensor => {
  const value = toFloat(x, 'relu');
  return new Tensor(build.max(value, build.full(value.type.dtype as DType, value.type.shape, 0)));
};
/** silu(gate) * up. */
export const swiglu = (gate: Tensor, up: Tensor): Tensor => new Tensor(layers.swiglu(gate.value, up.value));
export const softmax = (x: Tensor, axis = -1): Tensor =>
  new Tensor(layers.softmax(toFloat(x, 'softmax'), normalizeAxis(axis, x.ndim)));

/** log(softmax(x)), without overflow. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  const value = toFloat(x, 'logSoftmax');
  const { shape } = value.type;
  const along = normalizeAxis(axis, shape.length);
  const kept = shape.map((_, i) => i).filter((i) => i !== along);
  const spread = (reduced: typeof value) => build.broadcast(reduced, shape, kept);
  const shifted = build.sub(value, spread(build.reduceMax(value, [along])));
  return new Tensor(build.sub(shifted, spread(build.log(build.reduceSum(build.exp(shifted), [along])))));
}

/** x [..., dim] over its root mean square, times weight [dim] + weightOffset. */
export const rmsNorm = (x: Tensor, weight: Tensor, eps = 1e-5, weightOffset = 0): Tensor =>
  new Tensor(layers.rmsNorm(x.value, weight.value, eps, weightOffset));
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor =>
  new Tensor(layers.layerNorm(x.value, weight.value, bias.value, eps));

/** Rotates x [seqLen, nHeads, headDim] by positions [seqLen] i32; frequencies from `ropeFrequencies`. */
export const rope = (x: Tensor, positions: Tensor, style: RopeStyle, frequencies: readonly number[]): Tensor =>
  new Tensor(ropeOf(x.value, positions.value, style, frequencies));

/** Attends q [seqLen, nHeads, headDim] to caches k, v [nKvHeads, context, headDim], float or packed, whose rows of this call begin at start [1] i32. */
export const attention = (
  q: Tensor,
  k: Tensor,
  v: Tensor,
  start: Tensor,
  options: attentionLayer.AttentionOptions = {},
): Tensor => {
  const attend = isPacked(k.dtype) ? quantized.packedAttention : attentionLayer.attention;
  return new Tensor(attend(q.value, k.value, v.value, start.value, options));
};

/** A cache [nKvHeads, context, headDim] with rows [seqLen, nKvHeads, headDim] f32 from position start [1] i32 on, in the cache's element type. */
export function appendRows(cache: Tensor, rows: Tensor, start: Tensor): Tensor {
  const { dtype } = cache.type;
  const stored = isPacked(dtype)
    ? quantized.quantize(rows.value, quantized.asNumberFormat(dtype, 'appendRows'))
    : build.cast(rows.value, dtype);
  const [zero, position] = [build.full('i32', [], 0), build.reshape(start.value, [])];
  const update = build.transpose(stored, [1, 0, 2]);
  return new Tensor(build.dynamicUpdateSlice(cache.value, update, [zero, position, zero]));
}

/** Rows of table [vocabSize, dim] of any element type for tokens [seqLen] i32, as f32 [seqLen, dim]. */
export const embedding = (table: Tensor, tokens: Tensor): Tensor =>
  new Tensor(
    isPacked(table.dtype)
      ? quantized.packedEmbedding(table.value, tokens.value)
      : layers.embedding(table.value, tokens.value),
  );

/** What a product with `w` multiplies: x itself, or its 8-bit codes in groups that fit the blocks of packed weights. */
const operandFor = (w: Tensor, x: Tensor) =>
  isPacked(w.dtype)
    ? quantized.quantize(x.value, quantized.activationFor(quantized.asNumberFormat(w.dtype, 'linear')))
    : x.value;

/**
 * x [..., inFeatures] times w [outFeatures, inFeatures] transposed, f32. Packed weights meet
 * activations of 8 bits in groups of the weights' block size, so that products are integer ones.
 */
export const linear = (x: Tensor, w: Tensor): Tensor => new Tensor(quantized.linear(operandFor(w, x), w.value));

/**
 * Rows of x [rows, inFeatures] times the transposes of the matrices number `ids` [nIds] i32 of
 * w [nExperts, outFeatures, inFeatures], f32 [nIds, outFeatures]; the first nIds / rows ids are for the first row.
 */
export const expertLinear = (x: Tensor, w: Tensor, ids: Tensor): Tensor =>
  new Tensor(quantized.expertLinear(operandFor(w, x), w.value, ids.value));

/**
 * x [..., inFeatures] times the sparse matrix w [outFeatures, inFeatures] transposed, f32. Only the elements of w that are
 * not zero are read, where the device has an instruction that spreads them (AVX-512 VBMI2); elsewhere w is made whole.
 */
export const sparseLinear = (x: Tensor, w: SparseMatrix): Tensor => {
  const { bitmap, values, starts, shape } = w;
  const parts = { bitmap: bitmap.value, values: values.value, starts: starts.value };
  return new Tensor(quantized.sparseLinear(toFloat(x, 'sparseLinear'), parts, shape[0]));
};
/** The matrix [outFeatures, inFeatures] f32 that a sparse one stands for. */
export const sparseToDense = ({ bitmap, values, starts, shape }: SparseMatrix): Tensor =>
  new Tensor(
    quantized.sparseToDense({ bitmap: bitmap.value, values: values.value, starts: starts.value }, [shape[0], shape[1]]),
  );

/** x [..., K] in blocks of a number format along the last axis. */
export const quantize = (x: Tensor, format: NumberFormat): Tensor => new Tensor(quantized.quantize(x.value, format));
/** The f32 values of a packed tensor. */
export const dequantize = (x: Tensor): Tensor => new Tensor(quantized.dequantize(x.value));
/** A plain packed matrix [rows, columns] with the blocks of `panelRows` neighbouring rows interleaved, as `linear` likes its weights. */
export const toPanels = (x: Tensor, panelRows = 4): Tensor => new Tensor(quantized.toPanels(x.value, panelRows));
