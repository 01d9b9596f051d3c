/** Attention with its projections, rotary positions and cache. Source: Ainslie et al. 2023 (grouped queries). */
import type { AttentionOptions } from '../../ir/attention.ts';
import { nn, numpy as np, type Tensor } from '../../tensor/index.ts';
import type { CacheSizes, LayerCache, StepInput, TensorSpec, Weights } from '../family.ts';
import type { Block } from './block.ts';
import type { Rotary } from './rotary.ts';

/** What an attention block is made of. */
export interface AttentionParts {
  readonly nHeads: number;
  readonly nKvHeads: number;
  readonly headDim: number;
  /** Rows of queries, keys and values [rows, heads * headDim]: three blocks, or one that gives them side by side. */
  readonly projections: { readonly q: Block; readonly k: Block; readonly v: Block } | { readonly fused: Block };
  readonly output: Block;
  /** Null: positions do not matter here. */
  readonly rotary: Rotary | null;
  readonly options?: AttentionOptions;
}

/** Rows in, rows out, and the layer's cache with this step's rows. */
export interface Attention {
  readonly tensors: readonly TensorSpec[];
  readonly cache: CacheSizes;
  apply(weights: Weights, x: Tensor, step: StepInput, cache: LayerCache): { rows: Tensor; cache: LayerCache };
}

/** Queries, keys and values of rows x, [rows, heads, headDim] f32 each. */
function project(parts: AttentionParts, weights: Weights, x: Tensor): { q: Tensor; k: Tensor; v: Tensor } {
  const { nHeads, nKvHeads, headDim, projections } = parts;
  const heads = (rows: Tensor, n: number) => np.reshape(rows, [x.shape[0]!, n, headDim]);
  const [q, k, v] =
    'fused' in projections
      ? np.split(projections.fused.apply(weights, x), [nHeads * headDim, (nHeads + nKvHeads) * headDim], 1)
      : [projections.q, projections.k, projections.v].map((block) => block.apply(weights, x));
  return { q: heads(q!, nHeads), k: heads(k!, nKvHeads), v: heads(v!, nKvHeads) };
}

/** Queries, keys and values of x; this step's keys and values join the cache; queries attend to all of it. */
export function attention(parts: AttentionParts): Attention {
  const { nHeads, nKvHeads, headDim, projections, output, rotary, options = {} } = parts;
  const inputs = 'fused' in projections ? [projections.fused] : [projections.q, projections.k, projections.v];
  return {
    tensors: [...inputs, output].flatMap((block) => block.tensors),
    cache: { nKvHeads, headDim },
    apply(weights, x, step, cache) {
      const { q, k, v } = project(parts, weights, x);
      const next = {
        keys: nn.appendRows(cache.keys, rotary ? rotary.turnKeys(k, step) : k, step.start),
        values: nn.appendRows(cache.values, v, step.start),
      };
      const queries = rotary ? rotary.turnQueries(q, step) : q;
      const mixed = nn.attention(queries, next.keys, next.values, step.start, options);
      return { rows: output.apply(weights, np.reshape(mixed, [x.shape[0]!, nHeads * headDim])), cache: next };
    },
  };
}
