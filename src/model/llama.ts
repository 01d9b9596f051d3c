/** Llama 2 and 3, and the checkpoints that are Llamas in all but name (TinyLlama, SmolLM 1 and 2). */
import {
  preNormLayer,
  readActivation,
  readRotary,
  readSizes,
  standardAttention,
  standardDecoder,
  standardFeedForward,
} from './block/index.ts';
import { booleanField } from './config-reader.ts';
import type { ModelFamily } from './family.ts';

export const llama: ModelFamily = {
  name: 'Llama 2 and 3, TinyLlama, SmolLM 1 and 2',
  architectures: ['LlamaForCausalLM'],
  source: 'Touvron et al. 2023 (LLaMA); Grattafiori et al. 2024 (The Llama 3 Herd of Models)',
  differences: 'the plain one: norms before attention and SwiGLU, grouped queries, rotary positions',
  defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-6, tie_word_embeddings: false },
  fixed: { rope_interleaved: false },
  create(config) {
    const sizes = readSizes(config);
    const rotary = readRotary(config, sizes.headDim);
    const activation = readActivation(config);
    const hasBias = booleanField(config, 'attention_bias', false);
    const hasMlpBias = booleanField(config, 'mlp_bias', false);
    return standardDecoder(config, sizes, {
      layer: (_, prefix) =>
        preNormLayer(
          prefix,
          sizes,
          standardAttention(`${prefix}self_attn.`, sizes, { rotary, hasBias, hasOutputBias: hasBias }),
          standardFeedForward(`${prefix}mlp.`, sizes, activation, hasMlpBias),
        ),
    });
  },
};
