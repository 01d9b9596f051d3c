/** OLMo 2: Llama with norms behind each part instead of before it, and on whole queries and keys. */
import {
  readActivation,
  readRotary,
  readSizes,
  rmsNorm,
  standardAttention,
  standardDecoder,
  standardFeedForward,
} from './block/index.ts';
import { booleanField } from './config-reader.ts';
import type { ModelFamily } from './family.ts';

export const olmo2: ModelFamily = {
  name: 'OLMo 2',
  architectures: ['Olmo2ForCausalLM'],
  source: 'OLMo Team 2025 (2 OLMo 2 Furious)',
  differences: 'norms behind attention and feed-forward only, and on queries and keys over all heads',
  defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-5, tie_word_embeddings: false },
  create(config) {
    const sizes = readSizes(config);
    const { dim, nHeads, nKvHeads, headDim, eps } = sizes;
    const rotary = readRotary(config, headDim);
    const activation = readActivation(config);
    const hasBias = booleanField(config, 'attention_bias', false);
    return standardDecoder(config, sizes, {
      layer: (_, prefix) => ({
        attention: standardAttention(`${prefix}self_attn.`, sizes, {
          rotary,
          hasBias,
          hasOutputBias: hasBias,
          queryNorm: rmsNorm(`${prefix}self_attn.q_norm`, nHeads * headDim, eps),
          keyNorm: rmsNorm(`${prefix}self_attn.k_norm`, nKvHeads * headDim, eps),
        }),
        afterAttention: rmsNorm(`${prefix}post_attention_layernorm`, dim, eps),
        feedForward: standardFeedForward(`${prefix}mlp.`, sizes, activation),
        afterFeedForward: rmsNorm(`${prefix}post_feedforward_layernorm`, dim, eps),
      }),
    });
  },
};
