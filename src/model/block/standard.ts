/**
 * The parts under the names that most Hugging Face checkpoints share: `model.layers.<n>.self_attn.q_proj` and so on.
 * Families add what is theirs.
 */
import type { AttentionOptions } from '../../ir/attention.ts';
import { BitloomError } from '../../ir/error.ts';
import { booleanField, type ConfigRecord, positiveField, sizeField } from '../config-reader.ts';
import type { CausalModel } from '../family.ts';
import { type Attention, attention } from './attention.ts';
import { type Block, chain, linear, rmsNorm } from './block.ts';
import { type DecoderLayer, decoder, sharing, softCap, tokenEmbedding } from './decoder.ts';
import { type Activation, gatedFeedForward } from './feed-forward.ts';
import { contextLength, type Rotary } from './rotary.ts';

/** Sizes that every configuration of these families gives under the same keys. */
export interface Sizes {
  readonly dim: number;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKvHeads: number;
  readonly headDim: number;
  readonly ffnDim: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly eps: number;
}

/** Throws BAD_FILE. */
export function readSizes(config: ConfigRecord): Sizes {
  const dim = sizeField(config, 'hidden_size');
  const nHeads = sizeField(config, 'num_attention_heads');
  const nKvHeads = sizeField(config, 'num_key_value_heads', nHeads);
  const headDim = sizeField(config, 'head_dim', dim / nHeads);
  if (nHeads % nKvHeads !== 0 || headDim % 2 !== 0) {
    throw new BitloomError(
      'BAD_FILE',
      `config: ${nHeads} heads do not divide among ${nKvHeads} key/value heads, or head size ${headDim} is odd`,
    );
  }
  return {
    dim,
    nHeads,
    nKvHeads,
    headDim,
    nLayers: sizeField(config, 'num_hidden_layers', undefined, 4096),
    ffnDim: sizeField(config, 'intermediate_size'),
    vocabSize: sizeField(config, 'vocab_size'),
    contextLength: contextLength(config),
    eps: positiveField(config, 'rms_norm_eps'),
  };
}

export interface StandardAttention {
  readonly rotary: Rotary | null;
  readonly hasBias?: boolean;
  readonly hasOutputBias?: boolean;
  /** Follow the projections of queries and keys. */
  readonly queryNorm?: Block;
  readonly keyNorm?: Block;
  readonly options?: AttentionOptions;
}

/** Attention with the matrices `<prefix>q_proj`, `k_proj`, `v_proj` and `o_proj`. */
export function standardAttention(prefix: string, sizes: Sizes, parts: StandardAttention): Attention {
  const { dim, nHeads, nKvHeads, headDim } = sizes;
  const { rotary, hasBias = false, hasOutputBias = false, queryNorm, keyNorm, options = {} } = parts;
  const projection = (name: string, n: number, norm?: Block): Block => {
    const block = linear(`${prefix}${name}_proj`, n * headDim, dim, { hasBias });
    return norm ? chain(block, norm) : block;
  };
  return attention({
    nHeads,
    nKvHeads,
    headDim,
    rotary,
    options,
    projections: {
      q: projection('q', nHeads, queryNorm),
      k: projection('k', nKvHeads, keyNorm),
      v: projection('v', nKvHeads),
    },
    output: linear(`${prefix}o_proj`, dim, nHeads * headDim, { hasBias: hasOutputBias }),
  });
}

/** The gated block with the matrices `<prefix>gate_proj`, `up_proj` and `down_proj`. */
export function standardFeedForward(
  prefix: string,
  { dim, ffnDim }: Pick<Sizes, 'dim' | 'ffnDim'>,
  activation: Activation,
  hasBias = false,
): Block {
  const parts = {
    gate: linear(`${prefix}gate_proj`, ffnDim, dim, { hasBias }),
    up: linear(`${prefix}up_proj`, ffnDim, dim, { hasBias }),
    down: linear(`${prefix}down_proj`, dim, ffnDim, { hasBias }),
  };
  return gatedFeedForward(parts, activation);
}

export interface StandardDecoder {
  /** Layer number `i`, whose tensors begin with `prefix`. */
  layer(i: number, prefix: string): DecoderLayer;
  readonly embeddingScale?: number;
  readonly normOffset?: number;
  readonly logitSoftCap?: number | null;
}

/** `model.embed_tokens`, layers, `model.norm`, and `lm_head` unless the embedding's table serves for it. */
export function standardDecoder(config: ConfigRecord, sizes: Sizes, parts: StandardDecoder): CausalModel {
  const { dim, nLayers, vocabSize, eps } = sizes;
  const { embeddingScale = 1, normOffset = 0, logitSoftCap = null } = parts;
  const table = 'model.embed_tokens';
  const isTied = booleanField(config, 'tie_word_embeddings', false);
  const head = isTied ? sharing(linear(table, vocabSize, dim)) : linear('lm_head', vocabSize, dim);
  return decoder({
    vocabSize,
    contextLength: sizes.contextLength,
    embedding: tokenEmbedding(table, vocabSize, dim, embeddingScale),
    layers: Array.from({ length: nLayers }, (_, i) => parts.layer(i, `model.layers.${i}.`)),
    finalNorm: rmsNorm('model.norm', dim, eps, normOffset),
    head: logitSoftCap === null ? head : chain(head, softCap(logitSoftCap)),
  });
}

/** The layer of Llama and its kin: each part behind its norm. */
export const preNormLayer = (prefix: string, sizes: Sizes, attends: Attention, feedForward: Block): DecoderLayer => ({
  beforeAttention: rmsNorm(`${prefix}input_layernorm`, sizes.dim, sizes.eps),
  attention: attends,
  beforeFeedForward: rmsNorm(`${prefix}post_attention_layernorm`, sizes.dim, sizes.eps),
  feedForward,
});
