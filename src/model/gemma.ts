/** Gemma 1, 2 and 3 (text): scaled embeddings, norms stored as the distance from 1, GELU gates. */
import {
  type Block,
  type DecoderLayer,
  perHead,
  type Rotary,
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
import {
  type ConfigRecord,
  countField,
  nullableField,
  positiveField,
  recordField,
  sizeField,
} from './config-reader.ts';
import type { CausalModel, ModelFamily } from './family.ts';

/** What the three generations differ in. */
interface Generation {
  /** Norms behind attention and feed-forward too. */
  readonly hasOuterNorms: boolean;
  /** A norm on each head of queries and keys. */
  readonly hasHeadNorms: boolean;
  readonly isSliding: (config: ConfigRecord) => (layer: number) => boolean;
  /** Positions of layers with a window; absent: like all others. */
  readonly localRotary?: (config: ConfigRecord, headDim: number) => Rotary;
}

function layerNorms(prefix: string, norm: (name: string) => Block, hasOuterNorms: boolean): Partial<DecoderLayer> {
  const [input, afterAttention] = [norm(`${prefix}input_layernorm`), norm(`${prefix}post_attention_layernorm`)];
  if (!hasOuterNorms) return { beforeAttention: input, beforeFeedForward: afterAttention };
  return {
    beforeAttention: input,
    afterAttention,
    beforeFeedForward: norm(`${prefix}pre_feedforward_layernorm`),
    afterFeedForward: norm(`${prefix}post_feedforward_layernorm`),
  };
}

function gemma(config: ConfigRecord, generation: Generation): CausalModel {
  const sizes: Sizes = readSizes(config);
  const { headDim, eps, nLayers } = sizes;
  const offset = countField(config, 'rms_norm_offset', 1, 1);
  const norm = (name: string): Block => rmsNorm(name, sizes.dim, eps, offset);
  const headNorm = (name: string): Block => perHead(rmsNorm(name, headDim, eps, offset), headDim);
  const rotary = readRotary(config, headDim);
  const local = generation.localRotary?.(config, headDim) ?? rotary;
  const activation = readActivation(config, 'hidden_activation');
  const windows = readWindows(config, nLayers, generation.isSliding(config));
  const cap = nullableField(config, 'attn_logit_softcapping');
  const options = {
    scale: positiveField(config, 'query_pre_attn_scalar', headDim) ** -0.5,
    ...(cap === null ? {} : { softCap: cap }),
  };
  return standardDecoder(config, sizes, {
    embeddingScale: Math.sqrt(sizes.dim),
    normOffset: offset,
    logitSoftCap: nullableField(config, 'final_logit_softcapping'),
    layer: (i, prefix) => ({
      ...layerNorms(prefix, norm, generation.hasOuterNorms),
      attention: standardAttention(`${prefix}self_attn.`, sizes, {
        rotary: windows[i]!.window === undefined ? rotary : local,
        options: { ...options, ...windows[i]! },
        ...(generation.hasHeadNorms
          ? { queryNorm: headNorm(`${prefix}self_attn.q_norm`), keyNorm: headNorm(`${prefix}self_attn.k_norm`) }
          : {}),
      }),
      feedForward: standardFeedForward(`${prefix}mlp.`, sizes, activation),
    }),
  });
}

const defaults: ConfigRecord = {
  head_dim: 256,
  hidden_activation: 'gelu_pytorch_tanh',
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-6,
  rms_norm_offset: 1, // 0 in GGUF files, whose writers have added it
  tie_word_embeddings: true,
};
const fixed: ConfigRecord = { attention_bias: false, use_bidirectional_attention: false };

export const gemma1: ModelFamily = {
  name: 'Gemma 1',
  architectures: ['GemmaForCausalLM'],
  source: 'Gemma Team 2024 (Gemma: Open Models Based on Gemini Research and Technology)',
  differences: 'embeddings times sqrt(dim), norms with weight + 1, GELU gates',
  defaults,
  fixed,
  create: (config) => gemma(config, { hasOuterNorms: false, hasHeadNorms: false, isSliding: () => () => false }),
};

export const gemma2: ModelFamily = {
  name: 'Gemma 2',
  architectures: ['Gemma2ForCausalLM'],
  source: 'Gemma Team 2024 (Gemma 2: Improving Open Language Models at a Practical Size)',
  differences: 'Gemma with norms behind each part too, soft caps on scores and logits, every other layer with a window',
  defaults: {
    ...defaults,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
  },
  fixed,
  create: (config) => gemma(config, { hasOuterNorms: true, hasHeadNorms: false, isSliding: () => (i) => i % 2 === 0 }),
};

/** Later configurations hold the positions of both kinds of layers in one record. */
function flattened(config: ConfigRecord): ConfigRecord {
  const parameters = recordField(config, 'rope_parameters') ?? {};
  const [global, local] = [recordField(parameters, 'full_attention'), recordField(parameters, 'sliding_attention')];
  if (global === null || local === null) return config;
  return { ...config, rope_parameters: null, rope_scaling: global, rope_local_base_freq: local.rope_theta };
}

/** Checkpoints that can see keep the text model behind one of these. */
const textNames = (name: string): string[] => [
  `language_model.${name}`,
  name.replace(/^model\./, 'model.language_model.'),
];

const generation3: Generation = {
  hasOuterNorms: true,
  hasHeadNorms: true,
  isSliding: (config) => {
    const pattern = sizeField(config, 'sliding_window_pattern');
    return (i) => (i + 1) % pattern !== 0;
  },
  localRotary: (config, headDim) =>
    readRotary({ ...config, rope_theta: config.rope_local_base_freq, rope_scaling: null }, headDim),
};

export const gemma3: ModelFamily = {
  name: 'Gemma 3 (text)',
  architectures: ['Gemma3ForCausalLM', 'Gemma3ForConditionalGeneration'],
  source: 'Gemma Team 2025 (Gemma 3 Technical Report)',
  differences:
    'Gemma 2 with head norms for soft caps; five layers with a window and a base of their own to one without',
  defaults: {
    ...defaults,
    vocab_size: 262208,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    max_position_embeddings: 131072,
    rope_theta: 1e6,
    rope_local_base_freq: 10000,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    sliding_window_pattern: 6,
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
  },
  fixed,
  create(config) {
    const text = recordField(config, 'text_config');
    if (text === null) return gemma(flattened(config), generation3);
    const model = gemma(flattened({ ...config, ...text }), generation3);
    return { ...model, tensors: model.tensors.map((spec) => ({ ...spec, otherNames: textNames(spec.name) })) };
  },
};
