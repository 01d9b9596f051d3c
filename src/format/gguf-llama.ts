/**
 * How a Llama checkpoint reads in GGUF and in Hugging Face terms: tensor names, configuration keys, and the order
 * of query and key rows. Source: the GGUF specification ("Standardized key-value pairs", "Standardized tensor names").
 */
import { BitloomError } from '../ir/error.ts';
import { badFile } from './byte-source.ts';
import type { GgufFile } from './gguf.ts';
import type { JsonRecord } from './json.ts';
import { readTensor, tensorEntry } from './tensor-file.ts';

/** Tensors of the whole model: [GGUF, Hugging Face]. */
const MODEL_NAMES = [
  ['token_embd', 'model.embed_tokens'],
  ['output_norm', 'model.norm'],
  ['output', 'lm_head'],
] as const;

/** Tensors of one layer, behind `blk.<n>.` and `model.layers.<n>.`. */
const LAYER_NAMES = [
  ['attn_norm', 'input_layernorm'],
  ['attn_q', 'self_attn.q_proj'],
  ['attn_k', 'self_attn.k_proj'],
  ['attn_v', 'self_attn.v_proj'],
  ['attn_output', 'self_attn.o_proj'],
  ['ffn_norm', 'post_attention_layernorm'],
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
] as const;

type Side = 0 | 1; // GGUF, Hugging Face
const LAYER_PREFIX = ['blk', 'model.layers'] as const;

function renamed(name: string, from: Side, to: Side): string | undefined {
  const [, layer, stem] =
    new RegExp(`^(?:${LAYER_PREFIX[from].replace('.', '\\.')}\\.(\\d+)\\.)?(.+)\\.weight$`).exec(name) ?? [];
  const row = (layer === undefined ? MODEL_NAMES : LAYER_NAMES).find((names) => names[from] === stem);
  if (row === undefined) return undefined;
  return `${layer === undefined ? '' : `${LAYER_PREFIX[to]}.${layer}.`}${row[to]}.weight`;
}

/** `blk.0.attn_q.weight` of `model.layers.0.self_attn.q_proj.weight`; undefined for names that a Llama has not. */
export const ggufTensorName = (name: string): string | undefined => renamed(name, 1, 0);

/** `model.layers.0.self_attn.q_proj.weight` of `blk.0.attn_q.weight`; undefined for names that a Llama has not. */
export const huggingFaceTensorName = (name: string): string | undefined => renamed(name, 0, 1);

/**
 * Row of a Hugging Face query or key matrix that is row `row` in GGUF. There a rotary pair is two neighbouring
 * rows of a head (2i, 2i + 1), in Hugging Face files the rows i and i + headDim / 2.
 */
export function huggingFaceRow(row: number, headDim: number): number {
  const within = row % headDim;
  return row - within + (within % 2) * (headDim / 2) + Math.floor(within / 2);
}

/** The inverse of `huggingFaceRow`. */
export function ggufRow(row: number, headDim: number): number {
  const within = row % headDim;
  const half = headDim / 2;
  return row - within + 2 * (within % half) + Math.floor(within / half);
}

/** Reads `llama.*` keys with their types checked. */
class LlamaKeys {
  readonly #file: GgufFile;

  constructor(file: GgufFile) {
    this.#file = file;
  }

  number(key: string): number | undefined {
    const value = this.#file.metadata.get(`llama.${key}`);
    if (value === undefined || typeof value === 'number') return value;
    const list = ArrayBuffer.isView(value) ? Array.from(value as ArrayLike<number | bigint>, Number) : [];
    if (list.length > 0 && list.every((entry) => entry === list[0])) return list[0];
    throw badFile(this.#file, `metadata "llama.${key}" is not one number`, { key });
  }

  needed(key: string): number {
    const value = this.number(key);
    if (value !== undefined) return value;
    throw badFile(this.#file, `lacks the metadata key "llama.${key}"`, { key });
  }

  text(key: string): string | undefined {
    const value = this.#file.metadata.get(`llama.${key}`);
    if (value === undefined || typeof value === 'string') return value;
    throw badFile(this.#file, `metadata "llama.${key}" is not a string`, { key });
  }
}

function requireLlama(file: GgufFile, keys: LlamaKeys): void {
  const architecture = file.metadata.get('general.architecture');
  if (architecture !== 'llama') {
    throw new BitloomError(
      'UNSUPPORTED_ARCHITECTURE',
      `${file.name} has the architecture "${String(architecture)}"; GGUF files of "llama" are supported`,
      { architecture: String(architecture) },
    );
  }
  if ((keys.number('expert_count') ?? 0) > 0) {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `${file.name} is a mixture of experts; dense Llama models are supported`,
    );
  }
}

/** Hugging Face's `rope_scaling`; null where positions are not scaled. */
async function ropeScaling(file: GgufFile, keys: LlamaKeys): Promise<JsonRecord | null> {
  if (file.tensors.has('rope_freqs.weight')) {
    const entry = tensorEntry(file, 'rope_freqs.weight');
    const factors = new Float32Array(entry.byteLength / 4);
    if (entry.element !== 'f32') throw badFile(file, 'rope_freqs.weight is not f32');
    await readTensor(entry, new Uint8Array(factors.buffer));
    return { rope_type: 'factors', factors: [...factors] };
  }
  const kind = keys.text('rope.scaling.type') ?? 'none';
  if (kind === 'none') return null;
  return { rope_type: kind, factor: keys.needed('rope.scaling.factor') };
}

/**
 * The `config.json` record that a Llama GGUF file stands for. Queries and keys stay in the file's order of rows,
 * which `rope_style: 'interleaved'` says. Throws BAD_FILE, UNSUPPORTED_ARCHITECTURE, UNSUPPORTED_FEATURE.
 */
export async function llamaConfigOfGguf(file: GgufFile): Promise<JsonRecord> {
  const keys = new LlamaKeys(file);
  requireLlama(file, keys);
  const heads = keys.needed('attention.head_count');
  const dim = keys.needed('embedding_length');
  const headDim = keys.number('attention.key_length') ?? dim / heads;
  const rotaryDim = keys.number('rope.dimension_count') ?? headDim;
  if (rotaryDim !== headDim || (keys.number('attention.value_length') ?? headDim) !== headDim) {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `${file.name} rotates ${rotaryDim} of ${headDim} elements a head, or has values of another size; whole equal heads are supported`,
    );
  }
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: dim,
    num_hidden_layers: keys.needed('block_count'),
    intermediate_size: keys.needed('feed_forward_length'),
    num_attention_heads: heads,
    num_key_value_heads: keys.number('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    max_position_embeddings: keys.needed('context_length'),
    rms_norm_eps: keys.needed('attention.layer_norm_rms_epsilon'),
    rope_theta: keys.number('rope.freq_base') ?? 10000,
    rope_scaling: await ropeScaling(file, keys),
    rope_style: 'interleaved',
    vocab_size: tensorEntry(file, 'token_embd.weight').shape[0],
    tie_word_embeddings: !file.tensors.has('output.weight'),
    hidden_act: 'silu',
  };
}
