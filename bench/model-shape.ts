/** The random-weight models of the bench: their shapes, and what one token costs by arithmetic alone. */

export interface ModelShape {
  readonly dim: number;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKvHeads: number;
  readonly ffnDim: number;
  readonly vocabSize: number;
}

/** Names are `<size>-<format>`, as in bench/models/110M-Q4_0.gguf. */
export const MODEL_SHAPES = {
  '15M': { dim: 288, nLayers: 6, nHeads: 6, nKvHeads: 6, ffnDim: 768, vocabSize: 32_000 },
  '110M': { dim: 768, nLayers: 12, nHeads: 12, nKvHeads: 12, ffnDim: 2048, vocabSize: 32_000 },
  '1.1B': { dim: 2048, nLayers: 22, nHeads: 32, nKvHeads: 4, ffnDim: 5632, vocabSize: 32_000 },
} as const satisfies Record<string, ModelShape>;

export const BYTES_PER_WEIGHT = { F16: 2, Q8_0: 34 / 32, Q4_0: 18 / 32 } as const;
export type ModelFormat = keyof typeof BYTES_PER_WEIGHT;

/** Weights of all layers: each meets every token once. */
export function layerWeights({ dim, nLayers, nHeads, nKvHeads, ffnDim }: ModelShape): number {
  const kvDim = (dim / nHeads) * nKvHeads;
  return nLayers * (2 * dim * dim + 2 * dim * kvDim + 3 * dim * ffnDim);
}

/** Weights that one decoded token reads: layers and output head; of the embedding it reads only a row. */
export const decodeWeights = (shape: ModelShape): number => layerWeights(shape) + shape.dim * shape.vocabSize;

/** Bytes of a cache of f16 keys and values. */
export const kvCacheBytes = ({ dim, nLayers, nHeads, nKvHeads }: ModelShape, tokens: number): number =>
  2 * 2 * nLayers * (dim / nHeads) * nKvHeads * tokens;
