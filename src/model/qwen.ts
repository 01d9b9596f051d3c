/** Qwen 2, 2.5 and 3, dense and as mixtures of experts: one layer shape, two kinds of attention, two of feed-forward. */
import {
  type Attention,
  type Block,
  linear,
  mixtureOfExperts,
  mostExperts,
  perHead,
  preNormLayer,
  readActivation,
  readRotary,
  readSizes,
  readWindows,
  rmsNorm,
  type Sizes,
  standardAttention,
  standardDecoder,
  standardFeedForward,
} from './block/index.ts';
import { booleanField, type ConfigRecord, countField, indicesField, sizeField } from './config-reader.ts';
import type { CausalModel, ModelFamily } from './family.ts';

type AttentionOf = (config: ConfigRecord, sizes: Sizes) => (i: number, prefix: string) => Attention;
type FeedForwardOf = (config: ConfigRecord, sizes: Sizes) => (i: number, prefix: string) => Block;

/** Layers from `max_window_layers` on look back `sliding_window` positions, where `use_sliding_window` is true. */
const windowsOf = (config: ConfigRecord, { nLayers }: Sizes): ReturnType<typeof readWindows> => {
  const slides = booleanField(config, 'use_sliding_window', false);
  const firstLayer = slides ? countField(config, 'max_window_layers', 0) : nLayers;
  return readWindows(slides ? config : { ...config, layer_types: null }, nLayers, (i) => i >= firstLayer);
};

/** Biases on queries, keys and values. */
const biasedAttention: AttentionOf = (config, sizes) => {
  const rotary = readRotary(config, sizes.headDim);
  const windows = windowsOf(config, sizes);
  const hasBias = booleanField(config, 'qkv_bias', true);
  return (i, prefix) => standardAttention(`${prefix}self_attn.`, sizes, { rotary, hasBias, options: windows[i]! });
};

/** A norm on each head of queries and keys. */
const normedAttention: AttentionOf = (config, sizes) => {
  const rotary = readRotary(config, sizes.headDim);
  const windows = windowsOf(config, sizes);
  const hasBias = booleanField(config, 'attention_bias', false);
  return (i, prefix) => {
    const norm = (name: string) =>
      perHead(rmsNorm(`${prefix}self_attn.${name}`, sizes.headDim, sizes.eps), sizes.headDim);
    return standardAttention(`${prefix}self_attn.`, sizes, {
      rotary,
      hasBias,
      hasOutputBias: hasBias,
      queryNorm: norm('q_norm'),
      keyNorm: norm('k_norm'),
      options: windows[i]!,
    });
  };
};

const denseFeedForward: FeedForwardOf = (config, sizes) => {
  const activation = readActivation(config);
  return (_, prefix) => standardFeedForward(`${prefix}mlp.`, sizes, activation);
};

/** Experts in every `decoder_sparse_step`-th layer that `mlp_only_layers` does not name. */
const experts =
  (hasSharedExpert: boolean): FeedForwardOf =>
  (config, sizes) => {
    const activation = readActivation(config);
    const dense = denseFeedForward(config, sizes);
    const denseLayers = indicesField(config, 'mlp_only_layers');
    const step = sizeField(config, 'decoder_sparse_step', 1);
    const ffnDim = sizeField(config, 'moe_intermediate_size');
    const nExperts = sizeField(config, 'num_experts', undefined, mostExperts(sizes.nLayers));
    const nChosen = sizeField(config, 'num_experts_per_tok', undefined, nExperts);
    const isNormalized = booleanField(config, 'norm_topk_prob', false);
    const shared = (prefix: string) => ({
      block: standardFeedForward(
        `${prefix}shared_expert.`,
        { dim: sizes.dim, ffnDim: sizeField(config, 'shared_expert_intermediate_size') },
        activation,
      ),
      gate: linear(`${prefix}shared_expert_gate`, 1, sizes.dim),
    });
    return (i, prefix) => {
      if (denseLayers.includes(i) || (i + 1) % step !== 0) return dense(i, prefix);
      return mixtureOfExperts({
        dim: sizes.dim,
        ffnDim,
        nExperts,
        nChosen,
        isNormalized,
        activation,
        router: `${prefix}mlp.gate`,
        prefix: `${prefix}mlp.experts.`,
        names: { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
        ...(hasSharedExpert ? { shared: shared(`${prefix}mlp.`) } : {}),
      });
    };
  };

const createOf =
  (attentionOf: AttentionOf, feedForwardOf: FeedForwardOf) =>
  (config: ConfigRecord): CausalModel => {
    const sizes = readSizes(config);
    const [attention, feedForward] = [attentionOf(config, sizes), feedForwardOf(config, sizes)];
    return standardDecoder(config, sizes, {
      layer: (i, prefix) => preNormLayer(prefix, sizes, attention(i, prefix), feedForward(i, prefix)),
    });
  };

const defaults: ConfigRecord = {
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-6,
  sliding_window: 4096,
  max_window_layers: 28,
  tie_word_embeddings: false,
};

export const qwen2: ModelFamily = {
  name: 'Qwen 2 and 2.5',
  architectures: ['Qwen2ForCausalLM'],
  source: 'Yang et al. 2024 (Qwen2 Technical Report)',
  differences: 'biases on queries, keys and values; sliding windows in the upper layers where the configuration asks',
  defaults,
  create: createOf(biasedAttention, denseFeedForward),
};

export const qwen3: ModelFamily = {
  name: 'Qwen 3',
  architectures: ['Qwen3ForCausalLM'],
  source: 'Yang et al. 2025 (Qwen3 Technical Report)',
  differences: 'a norm on each head of queries and keys instead of biases; heads of their own size',
  defaults: { ...defaults, head_dim: 128 },
  create: createOf(normedAttention, denseFeedForward),
};

export const qwen2Moe: ModelFamily = {
  name: 'Qwen 1.5 and 2 MoE',
  architectures: ['Qwen2MoeForCausalLM'],
  source: 'Yang et al. 2024 (Qwen2 Technical Report), 2.2.2',
  differences: 'Qwen 2 with experts, and a shared expert weighted by a sigmoid',
  defaults,
  create: createOf(biasedAttention, experts(true)),
};

export const qwen3Moe: ModelFamily = {
  name: 'Qwen 3 MoE',
  architectures: ['Qwen3MoeForCausalLM'],
  source: 'Yang et al. 2025 (Qwen3 Technical Report)',
  differences: 'Qwen 3 with experts',
  defaults,
  create: createOf(normedAttention, experts(false)),
};
