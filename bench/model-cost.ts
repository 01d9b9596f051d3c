/** What one token of a random-weight model costs by arithmetic alone: the basis of its ceilings. */
import { isPacked } from '../src/ir/dtype.ts';
import { weightFormat } from '../src/quant/index.ts';
import { MODEL_FORMATS, MODEL_SHAPES, type ModelFormat, type ModelSize } from './generate-model.ts';

const FLOAT_BYTES = 2;

function bytesPerWeight(format: ModelFormat): number {
  const { element } = weightFormat(format);
  return isPacked(element) ? element.blockBytes / element.blockSize : FLOAT_BYTES;
}

export const BYTES_PER_WEIGHT = Object.fromEntries(MODEL_FORMATS.map((f) => [f, bytesPerWeight(f)])) as Readonly<
  Record<ModelFormat, number>
>;
/** Context that the models are loaded with by default: their own. */
export const CONTEXT_LENGTH = 2048;
const VOCAB_SIZE = 32_000;
const CACHE_BYTES = 2;

export interface ModelCost {
  /** Weights of all layers: each meets every token of a prompt once. */
  readonly layerWeights: number;
  /** Weights that one decoded token reads: layers and output head; of the embedding it reads only a row. */
  readonly decodeWeights: number;
  /** All weights in the file. */
  readonly fileWeights: number;
  /** Bytes that a position takes in a cache of f16 keys and values. */
  readonly cacheBytesPerToken: number;
}

/** Adds up the matrices of a Llama-shaped model; norms are too small to count. */
export function modelCost(size: ModelSize): ModelCost {
  const { dim, layers, heads, kvHeads, ffnDim, isTied } = MODEL_SHAPES[size];
  const kvDim = (dim / heads) * kvHeads;
  const layerWeights = layers * (2 * dim * dim + 2 * dim * kvDim + 3 * dim * ffnDim);
  const table = dim * VOCAB_SIZE;
  return {
    layerWeights,
    decodeWeights: layerWeights + table,
    fileWeights: layerWeights + (isTied ? table : 2 * table),
    cacheBytesPerToken: 2 * CACHE_BYTES * layers * kvDim,
  };
}

/** Bytes that decoding one token reads at least: weights once, and the cache of `positions` tokens before it. */
export function bytesPerDecodedToken(size: ModelSize, format: ModelFormat, positions: number): number {
  const { decodeWeights, cacheBytesPerToken } = modelCost(size);
  return decodeWeights * BYTES_PER_WEIGHT[format] + positions * cacheBytesPerToken;
}
