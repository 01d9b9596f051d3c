/** A decoder of its parts: embedding, layers of attention and feed-forward with residuals, norm, output matrix. */
import { nn, numpy as np, type Tensor } from '../../tensor/index.ts';
import type { CausalModel, LayerCache, StepInput, TensorSpec, Weights } from '../family.ts';
import type { Attention } from './attention.ts';
import type { Block } from './block.ts';

/** One layer. The norms say where they stand: before a part, or between it and the residual. */
export interface DecoderLayer {
  readonly attention: Attention;
  readonly feedForward: Block;
  readonly beforeAttention?: Block;
  readonly afterAttention?: Block;
  readonly beforeFeedForward?: Block;
  readonly afterFeedForward?: Block;
}

/** Tokens to the first hidden states [rows, dim] f32. */
export interface Embedding {
  readonly tensors: readonly TensorSpec[];
  apply(weights: Weights, step: StepInput): Tensor;
}

export interface DecoderParts {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly embedding: Embedding;
  readonly layers: readonly DecoderLayer[];
  readonly finalNorm: Block;
  /** Hidden states to logits. */
  readonly head: Block;
}

/** Rows of `<name>.weight` [vocabSize, dim], times `scale`. */
export const tokenEmbedding = (name: string, vocabSize: number, dim: number, scale = 1): Embedding => ({
  tensors: [{ name: `${name}.weight`, shape: [vocabSize, dim] }],
  apply(weights, { tokens }) {
    const rows = nn.embedding(weights(`${name}.weight`), tokens);
    return scale === 1 ? rows : np.multiply(rows, scale);
  },
});

/** A block that shares its tensors with another one, which names them. */
export const sharing = (block: Block): Block => ({ ...block, tensors: [] });

/** cap * tanh(x / cap). Source: Gemma Team 2024 (Gemma 2), 2. */
export const softCap = (cap: number): Block => ({
  tensors: [],
  apply: (_, x) => np.multiply(np.tanh(np.divide(x, cap)), cap),
});

const layerTensors = (layer: DecoderLayer): TensorSpec[] =>
  [
    layer.beforeAttention,
    layer.attention,
    layer.afterAttention,
    layer.beforeFeedForward,
    layer.feedForward,
    layer.afterFeedForward,
  ].flatMap((part) => part?.tensors ?? []);

function applyLayer(
  layer: DecoderLayer,
  weights: Weights,
  x: Tensor,
  step: StepInput,
  cache: LayerCache,
): { rows: Tensor; cache: LayerCache } {
  const through = (norm: Block | undefined, rows: Tensor): Tensor => norm?.apply(weights, rows) ?? rows;
  const attended = layer.attention.apply(weights, through(layer.beforeAttention, x), step, cache);
  const middle = np.add(x, through(layer.afterAttention, attended.rows));
  const fed = layer.feedForward.apply(weights, through(layer.beforeFeedForward, middle));
  return { rows: np.add(middle, through(layer.afterFeedForward, fed)), cache: attended.cache };
}

export function decoder(parts: DecoderParts): CausalModel {
  const { vocabSize, contextLength, embedding, layers, finalNorm, head } = parts;
  return {
    vocabSize,
    contextLength,
    tensors: [...embedding.tensors, ...layers.flatMap(layerTensors), ...finalNorm.tensors, ...head.tensors],
    caches: layers.map((layer) => layer.attention.cache),
    forward(weights, step) {
      const caches: LayerCache[] = [];
      let x = embedding.apply(weights, step);
      for (const [i, layer] of layers.entries()) {
        const { rows, cache } = applyLayer(layer, weights, x, step, step.caches[i]!);
        caches.push(cache);
        x = rows;
      }
      return { hidden: finalNorm.apply(weights, x), caches };
    },
    logits: (weights, hidden) => head.apply(weights, hidden),
  };
}
