/**
 * Model families in GGUF, one row each: names of tensors and keys, and what GGUF fixes that config.json says.
 * Sources: the GGUF specification ("Standardized key-value pairs"), and llama.cpp's loader for what it takes as given.
 */

import {
  GEMMA2_NAMES,
  GEMMA3_NAMES,
  GPT2_NAMES,
  LLAMA_NAMES,
  MIXTRAL_NAMES,
  type NamePair,
  OLMO2_NAMES,
  PHI3_NAMES,
  QWEN2_MOE_NAMES,
  QWEN3_MOE_NAMES,
  QWEN3_NAMES,
} from './gguf-names.ts';
import type { JsonRecord } from './json.ts';

/** A key of the metadata, behind `<architecture>.`, and the one of config.json that says the same. */
export interface KeyPair {
  readonly gguf: string;
  readonly config: string;
  readonly type: 'u32' | 'f32';
  /** May be absent on either side. */
  readonly isOptional?: boolean;
  /** Where a file lacks the key: the tensor whose rows have that many elements. */
  readonly columnsOf?: string;
}

export interface GgufFamily {
  /** `general.architecture`. */
  readonly architecture: string;
  /** In config.json's `architectures`, and its `model_type`. */
  readonly className: string;
  readonly modelType: string;
  readonly names: readonly NamePair[];
  readonly keys: readonly KeyPair[];
  /** What config.json means where it lacks a key. */
  readonly defaults: JsonRecord;
  /** What GGUF has no key for: the one value, or the several of equal meaning, that a file stands for. */
  readonly fixed: Readonly<Record<string, readonly unknown[]>>;
  /** Rotary pairs are neighbouring rows of queries and keys in GGUF. */
  readonly isInterleaved?: boolean;
  /** Norms in GGUF have this added to what Hugging Face's files hold. */
  readonly normOffset?: number;
  /** Hugging Face's files keep these matrices as [in, out]; patterns of GGUF names. */
  readonly turned?: readonly string[];
  /** Every such layer attends to all positions, the others to a window. */
  readonly fullAttentionEvery?: number;
  /** Every such layer has no rotary positions. */
  readonly noRotaryEvery?: number;
  /** Layers of the largest model, which llama.cpp scales queries of as dim / heads rather than by the head. */
  readonly layersScaledByDim?: number;
}

const u32 = (gguf: string, config: string): KeyPair => ({ gguf, config, type: 'u32' });
const f32 = (gguf: string, config: string): KeyPair => ({ gguf, config, type: 'f32' });
const optional = (pair: KeyPair): KeyPair => ({ ...pair, isOptional: true });

const SIZES: readonly KeyPair[] = [
  u32('block_count', 'num_hidden_layers'),
  u32('context_length', 'max_position_embeddings'),
  u32('embedding_length', 'hidden_size'),
  u32('feed_forward_length', 'intermediate_size'),
  u32('attention.head_count', 'num_attention_heads'),
  optional(u32('attention.head_count_kv', 'num_key_value_heads')),
  f32('attention.layer_norm_rms_epsilon', 'rms_norm_eps'),
  optional(f32('rope.freq_base', 'rope_theta')),
];
const WINDOW = optional(u32('attention.sliding_window', 'sliding_window'));
const EXPERTS_USED = u32('expert_used_count', 'num_experts_per_tok');
const SPARSE = [
  EXPERTS_USED,
  u32('expert_count', 'num_experts'),
  { ...u32('expert_feed_forward_length', 'moe_intermediate_size'), columnsOf: 'blk.0.ffn_down_exps.weight' },
];

const SILU = { hidden_act: ['silu', 'swish'] };
const NO_WINDOW = { use_sliding_window: [false] };
const EVERY_LAYER_SPARSE = { decoder_sparse_step: [1], mlp_only_layers: [[]] };
const GELU = { hidden_activation: ['gelu_pytorch_tanh'] };

/** Rows with equal `architecture` are told apart by the metadata: see `familyOfGguf`. */
export const GGUF_FAMILIES: readonly GgufFamily[] = [
  {
    architecture: 'llama',
    className: 'LlamaForCausalLM',
    modelType: 'llama',
    names: LLAMA_NAMES,
    keys: SIZES,
    defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-6 },
    fixed: SILU,
    isInterleaved: true,
  },
  {
    architecture: 'llama',
    className: 'MistralForCausalLM',
    modelType: 'mistral',
    names: LLAMA_NAMES,
    keys: [...SIZES, WINDOW],
    defaults: { max_position_embeddings: 131072, rms_norm_eps: 1e-6 },
    fixed: SILU,
    isInterleaved: true,
  },
  {
    architecture: 'llama',
    className: 'MixtralForCausalLM',
    modelType: 'mixtral',
    names: MIXTRAL_NAMES,
    keys: [...SIZES, WINDOW, EXPERTS_USED, u32('expert_count', 'num_local_experts')],
    defaults: {
      max_position_embeddings: 131072,
      rms_norm_eps: 1e-5,
      rope_theta: 1e6,
      num_experts_per_tok: 2,
      num_local_experts: 8,
    },
    fixed: SILU,
    isInterleaved: true,
  },
  {
    architecture: 'qwen2',
    className: 'Qwen2ForCausalLM',
    modelType: 'qwen2',
    names: LLAMA_NAMES,
    keys: SIZES,
    defaults: { max_position_embeddings: 32768, rms_norm_eps: 1e-6 },
    fixed: { ...SILU, ...NO_WINDOW },
  },
  {
    architecture: 'qwen2moe',
    className: 'Qwen2MoeForCausalLM',
    modelType: 'qwen2_moe',
    names: QWEN2_MOE_NAMES,
    keys: [
      ...SIZES,
      ...SPARSE,
      {
        ...u32('expert_shared_feed_forward_length', 'shared_expert_intermediate_size'),
        columnsOf: 'blk.0.ffn_down_shexp.weight',
      },
    ],
    defaults: { max_position_embeddings: 32768, rms_norm_eps: 1e-6 },
    fixed: { ...SILU, ...NO_WINDOW, ...EVERY_LAYER_SPARSE, norm_topk_prob: [false] },
  },
  {
    architecture: 'qwen3',
    className: 'Qwen3ForCausalLM',
    modelType: 'qwen3',
    names: QWEN3_NAMES,
    keys: SIZES,
    defaults: { max_position_embeddings: 32768, rms_norm_eps: 1e-6, head_dim: 128 },
    fixed: { ...SILU, ...NO_WINDOW },
  },
  {
    architecture: 'qwen3moe',
    className: 'Qwen3MoeForCausalLM',
    modelType: 'qwen3_moe',
    names: QWEN3_MOE_NAMES,
    keys: [...SIZES, ...SPARSE],
    defaults: { max_position_embeddings: 32768, rms_norm_eps: 1e-6 },
    fixed: { ...SILU, ...NO_WINDOW, ...EVERY_LAYER_SPARSE, norm_topk_prob: [true] },
  },
  {
    architecture: 'gemma',
    className: 'GemmaForCausalLM',
    modelType: 'gemma',
    names: LLAMA_NAMES,
    keys: SIZES,
    defaults: { max_position_embeddings: 8192, rms_norm_eps: 1e-6, head_dim: 256, tie_word_embeddings: true },
    fixed: GELU,
    normOffset: 1,
  },
  {
    architecture: 'gemma2',
    className: 'Gemma2ForCausalLM',
    modelType: 'gemma2',
    names: GEMMA2_NAMES,
    keys: [
      ...SIZES,
      WINDOW,
      optional(f32('attn_logit_softcapping', 'attn_logit_softcapping')),
      optional(f32('final_logit_softcapping', 'final_logit_softcapping')),
    ],
    defaults: {
      max_position_embeddings: 8192,
      rms_norm_eps: 1e-6,
      head_dim: 256,
      sliding_window: 4096,
      query_pre_attn_scalar: 256,
      attn_logit_softcapping: 50,
      final_logit_softcapping: 30,
      tie_word_embeddings: true,
    },
    fixed: GELU,
    normOffset: 1,
    fullAttentionEvery: 2,
    layersScaledByDim: 46,
  },
  {
    architecture: 'gemma3',
    className: 'Gemma3ForCausalLM',
    modelType: 'gemma3_text',
    names: GEMMA3_NAMES,
    keys: [...SIZES, WINDOW, optional(f32('final_logit_softcapping', 'final_logit_softcapping'))],
    defaults: {
      max_position_embeddings: 131072,
      rms_norm_eps: 1e-6,
      rope_theta: 1e6,
      head_dim: 256,
      sliding_window: 4096,
      query_pre_attn_scalar: 256,
      tie_word_embeddings: true,
    },
    fixed: { ...GELU, rope_local_base_freq: [10000], sliding_window_pattern: [6], attn_logit_softcapping: [null] },
    normOffset: 1,
    fullAttentionEvery: 6,
    layersScaledByDim: 62,
  },
  {
    architecture: 'phi3',
    className: 'Phi3ForCausalLM',
    modelType: 'phi3',
    names: PHI3_NAMES,
    keys: [...SIZES, WINDOW, optional(u32('rope.scaling.original_context_length', 'original_max_position_embeddings'))],
    defaults: { max_position_embeddings: 4096, original_max_position_embeddings: 4096, rms_norm_eps: 1e-5 },
    fixed: SILU,
  },
  {
    architecture: 'olmo2',
    className: 'Olmo2ForCausalLM',
    modelType: 'olmo2',
    names: OLMO2_NAMES,
    keys: SIZES,
    defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-5 },
    fixed: SILU,
  },
  {
    architecture: 'smollm3',
    className: 'SmolLM3ForCausalLM',
    modelType: 'smollm3',
    names: LLAMA_NAMES,
    keys: SIZES,
    defaults: { max_position_embeddings: 32768, rms_norm_eps: 1e-6, rope_theta: 2e6, tie_word_embeddings: true },
    fixed: { ...SILU, ...NO_WINDOW, no_rope_layer_interval: [4] },
    isInterleaved: true,
    noRotaryEvery: 4,
  },
  {
    architecture: 'gpt2',
    className: 'GPT2LMHeadModel',
    modelType: 'gpt2',
    names: GPT2_NAMES,
    keys: [
      u32('block_count', 'n_layer'),
      u32('context_length', 'n_positions'),
      u32('embedding_length', 'n_embd'),
      optional(u32('feed_forward_length', 'n_inner')),
      u32('attention.head_count', 'n_head'),
      f32('attention.layer_norm_epsilon', 'layer_norm_epsilon'),
    ],
    defaults: { n_positions: 1024, layer_norm_epsilon: 1e-5, tie_word_embeddings: true },
    fixed: {
      activation_function: ['gelu_new', 'gelu_pytorch_tanh'],
      scale_attn_weights: [true],
      scale_attn_by_inverse_layer_idx: [false],
    },
    turned: ['blk.*.attn_qkv', 'blk.*.attn_output', 'blk.*.ffn_up', 'blk.*.ffn_down'],
  },
];
