/**
 * The Llama family: pre-norm transformer with rotary positions, grouped-query attention and SwiGLU.
 * Sources: Touvron et al. 2023 (LLaMA), Ainslie et al. 2023 (GQA), Grattafiori et al. 2024 (Llama 3).
 */
import { BitloomError } from '../ir/error.ts';
import { type RopeScaling, type RopeStyle, ropeFrequencies } from '../ir/rope.ts';
import { nn, numpy as np, type Tensor } from '../tensor/index.ts';
import {
  booleanField,
  type ConfigRecord,
  choiceField,
  numbersField,
  positiveField,
  recordField,
  sizeField,
} from './config-reader.ts';
import type { CausalModel, LayerCache, ModelFamily, StepInput, TensorSpec } from './family.ts';

interface LlamaConfig {
  readonly dim: number;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKvHeads: number;
  readonly headDim: number;
  readonly ffnDim: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  readonly ropeStyle: RopeStyle;
  /** The output matrix is the embedding table. */
  readonly isTied: boolean;
}

function ropeScalingOf(config: ConfigRecord): RopeScaling {
  const scaling = recordField(config, 'rope_scaling');
  if (scaling === null) return { kind: 'none' };
  const key = 'rope_type' in scaling ? 'rope_type' : 'type';
  const kind = choiceField(scaling, key, ['default', 'linear', 'llama3', 'factors'], 'default');
  if (kind === 'default') return { kind: 'none' };
  if (kind === 'factors') return { kind, factors: numbersField(scaling, 'factors') };
  const factor = positiveField(scaling, 'factor');
  if (kind === 'linear') return { kind, factor };
  return {
    kind,
    factor,
    lowFrequencyFactor: positiveField(scaling, 'low_freq_factor'),
    highFrequencyFactor: positiveField(scaling, 'high_freq_factor'),
    originalContext: sizeField(scaling, 'original_max_position_embeddings'),
  };
}

/** Reads a Hugging Face `config.json` record. Throws BAD_FILE, UNSUPPORTED_FEATURE. */
function parseConfig(config: ConfigRecord): LlamaConfig {
  choiceField(config, 'hidden_act', ['silu'], 'silu');
  for (const key of ['attention_bias', 'mlp_bias']) {
    if (booleanField(config, key, false))
      throw new BitloomError(
        'UNSUPPORTED_FEATURE',
        `config: '${key}' is true; Llama layers with biases are not supported`,
      );
  }
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
    contextLength: sizeField(config, 'max_position_embeddings', 2048),
    rmsNormEps: positiveField(config, 'rms_norm_eps', 1e-5),
    ropeTheta: positiveField(config, 'rope_theta', 10000),
    ropeScaling: ropeScalingOf(config),
    ropeStyle: choiceField(config, 'rope_style', ['half', 'interleaved'], 'half'),
    isTied: booleanField(config, 'tie_word_embeddings', false),
  };
}

function tensorSpecs(c: LlamaConfig): TensorSpec[] {
  const layer = (i: number): TensorSpec[] => {
    const p = `model.layers.${i}.`;
    return [
      { name: `${p}input_layernorm.weight`, shape: [c.dim] },
      { name: `${p}self_attn.q_proj.weight`, shape: [c.nHeads * c.headDim, c.dim] },
      { name: `${p}self_attn.k_proj.weight`, shape: [c.nKvHeads * c.headDim, c.dim] },
      { name: `${p}self_attn.v_proj.weight`, shape: [c.nKvHeads * c.headDim, c.dim] },
      { name: `${p}self_attn.o_proj.weight`, shape: [c.dim, c.nHeads * c.headDim] },
      { name: `${p}post_attention_layernorm.weight`, shape: [c.dim] },
      { name: `${p}mlp.gate_proj.weight`, shape: [c.ffnDim, c.dim] },
      { name: `${p}mlp.up_proj.weight`, shape: [c.ffnDim, c.dim] },
      { name: `${p}mlp.down_proj.weight`, shape: [c.dim, c.ffnDim] },
    ];
  };
  return [
    { name: 'model.embed_tokens.weight', shape: [c.vocabSize, c.dim] },
    ...Array.from({ length: c.nLayers }, (_, i) => layer(i)).flat(),
    { name: 'model.norm.weight', shape: [c.dim] },
    ...(c.isTied ? [] : [{ name: 'lm_head.weight', shape: [c.vocabSize, c.dim] }]),
  ];
}

type Weights = (name: string) => Tensor;

/** One attention block: x [seqLen, dim] -> [seqLen, dim], and the layer's cache with this step's rows. */
function attentionBlock(
  c: LlamaConfig,
  w: Weights,
  x: Tensor,
  frequencies: readonly number[],
  step: StepInput,
  cache: LayerCache,
): { out: Tensor; cache: LayerCache } {
  const seqLen = x.shape[0]!;
  const heads = (name: string, n: number) =>
    np.reshape(nn.linear(x, w(`self_attn.${name}_proj.weight`)), [seqLen, n, c.headDim]);
  const turn = (t: Tensor) => nn.rope(t, step.positions, c.ropeStyle, frequencies);
  const q = turn(heads('q', c.nHeads));
  const at = [0, np.reshape(step.start, []), 0];
  const append = (rows: Tensor, into: Tensor) => np.dynamicUpdateSlice(into, np.transpose(rows, [1, 0, 2]), at);
  const next = {
    keys: append(turn(heads('k', c.nKvHeads)), cache.keys),
    values: append(heads('v', c.nKvHeads), cache.values),
  };
  const mixed = nn.attention(q, next.keys, next.values, step.start);
  return {
    out: nn.linear(np.reshape(mixed, [seqLen, c.nHeads * c.headDim]), w('self_attn.o_proj.weight')),
    cache: next,
  };
}

/** hidden states [seqLen, dim] after the last norm, and the caches with this step's rows. */
function forward(c: LlamaConfig, w: Weights, step: StepInput): { hidden: Tensor; caches: LayerCache[] } {
  const frequencies = ropeFrequencies(c.headDim, c.ropeTheta, c.ropeScaling);
  const caches: LayerCache[] = [];
  let x = nn.embedding(w('model.embed_tokens.weight'), step.tokens);
  for (let i = 0; i < c.nLayers; i++) {
    const of: Weights = (name) => w(`model.layers.${i}.${name}`);
    const attended = attentionBlock(
      c,
      of,
      nn.rmsNorm(x, of('input_layernorm.weight'), c.rmsNormEps),
      frequencies,
      step,
      step.caches[i]!,
    );
    caches.push(attended.cache);
    x = np.add(x, attended.out);
    const normed = nn.rmsNorm(x, of('post_attention_layernorm.weight'), c.rmsNormEps);
    const gated = nn.swiglu(nn.linear(normed, of('mlp.gate_proj.weight')), nn.linear(normed, of('mlp.up_proj.weight')));
    x = np.add(x, nn.linear(gated, of('mlp.down_proj.weight')));
  }
  return { hidden: nn.rmsNorm(x, w('model.norm.weight'), c.rmsNormEps), caches };
}

/** LlamaForCausalLM and the checkpoints that share its layers (SmolLM 1/2, TinyLlama, Llama 2 and 3). */
export const llama: ModelFamily = {
  architectures: ['LlamaForCausalLM'],
  create(record): CausalModel {
    const c = parseConfig(record);
    return {
      vocabSize: c.vocabSize,
      contextLength: c.contextLength,
      tensors: tensorSpecs(c),
      caches: Array.from({ length: c.nLayers }, () => ({ nKvHeads: c.nKvHeads, headDim: c.headDim })),
      forward: (weights, step) => forward(c, weights, step),
      logits: (weights, hidden) =>
        nn.linear(hidden, weights(c.isTied ? 'model.embed_tokens.weight' : 'lm_head.weight')),
    };
  },
};
