/** GPT-2: learned positions, LayerNorm, biases everywhere, matrices that checkpoints store as [in, out]. */
import { BitloomError } from '../ir/error.ts';
import { nn, numpy as np } from '../tensor/index.ts';
import {
  attention,
  decoder,
  type Embedding,
  layerNorm,
  linear,
  plainFeedForward,
  readActivation,
  sharing,
  tokenEmbedding,
} from './block/index.ts';
import { booleanField, choiceField, positiveField, sizeField } from './config-reader.ts';
import type { CausalModel, ModelFamily, TensorSpec } from './family.ts';

const PREFIX = 'transformer.';

/** Rows of the token table plus rows of the position table. */
function positionedEmbedding(vocabSize: number, contextLength: number, dim: number): Embedding {
  const table = tokenEmbedding(`${PREFIX}wte`, vocabSize, dim);
  const positions = `${PREFIX}wpe.weight`;
  return {
    tensors: [...table.tensors, { name: positions, shape: [contextLength, dim] }],
    apply: (weights, step) => np.add(table.apply(weights, step), nn.embedding(weights(positions), step.positions)),
  };
}

/** The first checkpoints have names without the prefix. */
const withShortName = (spec: TensorSpec): TensorSpec =>
  spec.name.startsWith(PREFIX) ? { ...spec, otherNames: [spec.name.slice(PREFIX.length)] } : spec;

export const gpt2: ModelFamily = {
  name: 'GPT-2',
  architectures: ['GPT2LMHeadModel'],
  source: 'Radford et al. 2019 (Language Models are Unsupervised Multitask Learners)',
  differences: 'learned positions, LayerNorm, biases, no gates, queries, keys and values side by side',
  defaults: {
    activation_function: 'gelu_new',
    n_positions: 1024,
    layer_norm_epsilon: 1e-5,
    conv1d_layout: 'in_out', // 'out_in' in GGUF files, whose writers have transposed them
    tie_word_embeddings: true,
  },
  fixed: { scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false, add_cross_attention: false },
  create(config): CausalModel {
    const [dim, nHeads] = [sizeField(config, 'n_embd'), sizeField(config, 'n_head')];
    const [vocabSize, contextLength] = [sizeField(config, 'vocab_size'), sizeField(config, 'n_positions')];
    const ffnDim = sizeField(config, 'n_inner', 4 * dim);
    const nLayers = sizeField(config, 'n_layer', undefined, 4096);
    const eps = positiveField(config, 'layer_norm_epsilon');
    const activation = readActivation(config, 'activation_function');
    const isTransposed = choiceField(config, 'conv1d_layout', ['in_out', 'out_in'], 'in_out') === 'in_out';
    const project = (name: string, outFeatures: number, inFeatures: number) =>
      linear(name, outFeatures, inFeatures, { hasBias: true, isTransposed });
    if (dim % nHeads !== 0)
      throw new BitloomError('BAD_FILE', `config: n_embd ${dim} is no multiple of n_head ${nHeads}`);
    const isTied = booleanField(config, 'tie_word_embeddings', true);
    const model = decoder({
      vocabSize,
      contextLength,
      embedding: positionedEmbedding(vocabSize, contextLength, dim),
      layers: Array.from({ length: nLayers }, (_, i) => {
        const prefix = `${PREFIX}h.${i}.`;
        return {
          beforeAttention: layerNorm(`${prefix}ln_1`, dim, eps),
          attention: attention({
            nHeads,
            nKvHeads: nHeads,
            headDim: dim / nHeads,
            rotary: null,
            projections: { fused: project(`${prefix}attn.c_attn`, 3 * dim, dim) },
            output: project(`${prefix}attn.c_proj`, dim, dim),
          }),
          beforeFeedForward: layerNorm(`${prefix}ln_2`, dim, eps),
          feedForward: plainFeedForward(
            { up: project(`${prefix}mlp.c_fc`, ffnDim, dim), down: project(`${prefix}mlp.c_proj`, dim, ffnDim) },
            activation,
          ),
        };
      }),
      finalNorm: layerNorm(`${PREFIX}ln_f`, dim, eps),
      head: isTied ? sharing(linear(`${PREFIX}wte`, vocabSize, dim)) : linear('lm_head', vocabSize, dim),
    });
    return { ...model, tensors: model.tensors.map(withShortName) };
  },
};
