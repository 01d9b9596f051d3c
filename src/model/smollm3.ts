/** SmolLM3: Llama whose every fourth layer knows no positions. */
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
import { booleanField, flagsField, sizeField } from './config-reader.ts';
import type { ModelFamily } from './family.ts';

export const smollm3: ModelFamily = {
  name: 'SmolLM3',
  architectures: ['SmolLM3ForCausalLM'],
  source: 'Bakouch et al. 2025 (SmolLM3); Yang et al. 2025 (RoPE to NoPE and Back Again)',
  differences: 'layers without rotary positions: those whose entry of `no_rope_layers` is 0',
  defaults: {
    max_position_embeddings: 32768,
    rms_norm_eps: 1e-6,
    rope_theta: 2e6,
    tie_word_embeddings: true,
  },
  create(config) {
    const sizes = readSizes(config);
    const rotary = readRotary(config, sizes.headDim);
    const activation = readActivation(config);
    const hasBias = booleanField(config, 'attention_bias', false);
    const hasMlpBias = booleanField(config, 'mlp_bias', false);
    const interval = sizeField(config, 'no_rope_layer_interval', 4);
    const turns = flagsField(config, 'no_rope_layers', sizes.nLayers) ?? [];
    const hasPositions = (i: number): boolean => turns[i] ?? (i + 1) % interval !== 0;
    const slides = booleanField(config, 'use_sliding_window', false);
    const windows = readWindows(slides ? config : {}, sizes.nLayers, (i) => slides && !hasPositions(i));
    return standardDecoder(config, sizes, {
      layer: (i, prefix) =>
        preNormLayer(
          prefix,
          sizes,
          standardAttention(`${prefix}self_attn.`, sizes, {
            rotary: hasPositions(i) ? rotary : null,
            hasBias,
            hasOutputBias: hasBias,
            options: windows[i]!,
          }),
          standardFeedForward(`${prefix}mlp.`, sizes, activation, hasMlpBias),
        ),
    });
  },
};
