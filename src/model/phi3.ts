/** Phi-3, Phi-3.5 and Phi-4-mini: Llama with matrices side by side and positions stretched pair by pair. */
import {
  attention,
  fusedFeedForward,
  linear,
  preNormLayer,
  readActivation,
  readRotary,
  readSizes,
  readWindows,
  standardDecoder,
} from './block/index.ts';
import type { ModelFamily } from './family.ts';

export const phi3: ModelFamily = {
  name: 'Phi-3, Phi-3.5 and Phi-4-mini',
  architectures: ['Phi3ForCausalLM'],
  source: 'Abdin et al. 2024 (Phi-3 Technical Report); Ding et al. 2024 (LongRoPE)',
  differences: 'one matrix for queries, keys and values, one for gate and up; longrope; part of a head may turn',
  defaults: {
    max_position_embeddings: 4096,
    original_max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    sliding_window: null,
    tie_word_embeddings: false,
  },
  fixed: { attention_bias: false, mlp_bias: false, lm_head_bias: false },
  create(config) {
    const sizes = readSizes(config);
    const { dim, ffnDim, nHeads, nKvHeads, headDim } = sizes;
    const rotary = readRotary(config, headDim);
    const activation = readActivation(config);
    const windows = readWindows(config, sizes.nLayers, () => config.sliding_window !== null);
    return standardDecoder(config, sizes, {
      layer: (i, prefix) =>
        preNormLayer(
          prefix,
          sizes,
          attention({
            nHeads,
            nKvHeads,
            headDim,
            rotary,
            options: windows[i]!,
            projections: { fused: linear(`${prefix}self_attn.qkv_proj`, (nHeads + 2 * nKvHeads) * headDim, dim) },
            output: linear(`${prefix}self_attn.o_proj`, dim, nHeads * headDim),
          }),
          fusedFeedForward(
            {
              gateUp: linear(`${prefix}mlp.gate_up_proj`, 2 * ffnDim, dim),
              down: linear(`${prefix}mlp.down_proj`, dim, ffnDim),
            },
            activation,
          ),
        ),
    });
  },
};
