/** Mixtral: Mistral with experts in every layer. */
import {
  mixtureOfExperts,
  mostExperts,
  preNormLayer,
  readActivation,
  readRotary,
  readSizes,
  readWindows,
  standardAttention,
  standardDecoder,
} from './block/index.ts';
import { sizeField } from './config-reader.ts';
import type { ModelFamily } from './family.ts';

export const mixtral: ModelFamily = {
  name: 'Mixtral',
  architectures: ['MixtralForCausalLM'],
  source: 'Jiang et al. 2024 (Mixtral of Experts)',
  differences: 'Mistral with experts, whose weights are scaled to a sum of 1',
  defaults: {
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    rope_theta: 1e6,
    sliding_window: null,
    num_local_experts: 8,
    num_experts_per_tok: 2,
    tie_word_embeddings: false,
  },
  create(config) {
    const sizes = readSizes(config);
    const rotary = readRotary(config, sizes.headDim);
    const activation = readActivation(config);
    const windows = readWindows(config, sizes.nLayers, () => config.sliding_window !== null);
    const nExperts = sizeField(config, 'num_local_experts', undefined, mostExperts(sizes.nLayers));
    const nChosen = sizeField(config, 'num_experts_per_tok', undefined, nExperts);
    return standardDecoder(config, sizes, {
      layer: (i, prefix) =>
        preNormLayer(
          prefix,
          sizes,
          standardAttention(`${prefix}self_attn.`, sizes, { rotary, options: windows[i]! }),
          mixtureOfExperts({
            dim: sizes.dim,
            ffnDim: sizes.ffnDim,
            nExperts,
            nChosen,
            isNormalized: true,
            activation,
            router: `${prefix}block_sparse_moe.gate`,
            prefix: `${prefix}block_sparse_moe.experts.`,
            names: { gate: 'w1', up: 'w3', down: 'w2' },
          }),
        ),
    });
  },
};
