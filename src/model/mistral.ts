/** Mistral: Llama with a sliding window of attention in every layer. */
import {
  preNormLayer,
  readActivation,
  readRotary,
  readSizes,
  readWindows,
  standardAttention,
  standardDecoder,
  standardFeedForward,
} from './block/index.ts';
import type { ModelFamily } from './family.ts';

export const mistral: ModelFamily = {
  name: 'Mistral',
  architectures: ['MistralForCausalLM'],
  source: 'Jiang et al. 2023 (Mistral 7B)',
  differences: 'attention looks back `sliding_window` positions, or without end where that is null',
  defaults: {
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-6,
    sliding_window: 4096,
    tie_word_embeddings: false,
  },
  create(config) {
    const sizes = readSizes(config);
    const rotary = readRotary(config, sizes.headDim);
    const activation = readActivation(config);
    const windows = readWindows(config, sizes.nLayers, () => config.sliding_window !== null);
    return standardDecoder(config, sizes, {
      layer: (i, prefix) =>
        preNormLayer(
          prefix,
          sizes,
          standardAttention(`${prefix}self_attn.`, sizes, { rotary, options: windows[i]! }),
          standardFeedForward(`${prefix}mlp.`, sizes, activation),
        ),
    });
  },
};
