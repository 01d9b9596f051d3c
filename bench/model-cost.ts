/** What one token of a random-weight model costs by arithmetic alone: the basis of its ceilings. */
import { MODEL_SHAPES, type ModelFormat, type ModelSize } from './generate-model.ts';

export const BYTES_PER_WEIGHT: Readonly<Record<ModelFormat, number>> = { F16: 2, Q8_0: 34 / 32, Q4_0: 18 / 32 };
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
