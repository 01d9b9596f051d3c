/** The `config.json` record that the metadata of a GGUF file stands for, and where the file has each tensor. */
import { BitloomError } from '../ir/error.ts';
import { badFile } from './byte-source.ts';
import type { GgufFile } from './gguf.ts';
import { GGUF_FAMILIES, type GgufFamily, type KeyPair } from './gguf-families.ts';
import { GgufKeys } from './gguf-keys.ts';
import { ggufName } from './gguf-names.ts';
import type { JsonRecord } from './json.ts';
import { type TensorEntry, tensorEntry } from './tensor-file.ts';

/** The row for a file. Throws UNSUPPORTED_ARCHITECTURE, BAD_FILE. */
export function familyOfGguf(file: GgufFile): GgufFamily {
  const architecture = file.metadata.get('general.architecture');
  const rows = GGUF_FAMILIES.filter((family) => family.architecture === architecture);
  if (rows.length === 0) {
    const known = [...new Set(GGUF_FAMILIES.map((family) => family.architecture))].join(', ');
    throw new BitloomError(
      'UNSUPPORTED_ARCHITECTURE',
      `${file.name} has the architecture "${String(architecture)}"; GGUF files of ${known} are supported`,
      { architecture: String(architecture) },
    );
  }
  if (rows.length === 1) return rows[0]!;
  // Llama's name stands for those that have its layers too: a mixture of experts, or a window.
  const keys = new GgufKeys(file, 'llama');
  const modelType =
    (keys.number('expert_count') ?? 0) > 0 ? 'mixtral' : keys.has('attention.sliding_window') ? 'mistral' : 'llama';
  return rows.find((family) => family.modelType === modelType)!;
}

/** Hugging Face's `rope_scaling`; null where positions are not scaled. */
async function ropeScaling(file: GgufFile, keys: GgufKeys): Promise<JsonRecord | null> {
  if (file.tensors.has('rope_factors_long.weight')) {
    return {
      rope_type: 'longrope',
      long_factor: await keys.floats('rope_factors_long.weight'),
      short_factor: await keys.floats('rope_factors_short.weight'),
      original_max_position_embeddings: keys.needed('rope.scaling.original_context_length'),
      attention_factor: keys.number('rope.scaling.attn_factor') ?? 1,
    };
  }
  if (file.tensors.has('rope_freqs.weight'))
    return { rope_type: 'factors', factors: await keys.floats('rope_freqs.weight') };
  const linear = keys.number('rope.scale_linear');
  const kind = keys.text('rope.scaling.type') ?? (linear === undefined ? 'none' : 'linear');
  if (kind === 'none' || kind === 'longrope') return null; // longrope's factors are tensors
  const factor = keys.number('rope.scaling.factor') ?? linear ?? 1;
  if (kind !== 'yarn') return { rope_type: kind, factor };
  const usual = 0.1 * Math.log(factor) + 1; // Peng et al. 2023 (YaRN), 3.4; GGUF's is a factor on it
  return {
    rope_type: kind,
    factor,
    original_max_position_embeddings:
      keys.number('rope.scaling.original_context_length') ?? keys.needed('context_length'),
    beta_fast: keys.number('rope.scaling.yarn_beta_fast') ?? 32,
    beta_slow: keys.number('rope.scaling.yarn_beta_slow') ?? 1,
    attention_factor: usual * (keys.number('rope.scaling.attn_factor') ?? 1),
  };
}

/** Rotary and head sizes. Throws UNSUPPORTED_FEATURE where values differ in size from keys, or neighbours turn in part. */
function heads(file: GgufFile, keys: GgufKeys, family: GgufFamily): JsonRecord {
  const count = keys.needed('attention.head_count');
  const dim = keys.needed('embedding_length');
  const headDim = keys.number('attention.key_length') ?? dim / count;
  const rotaryDim = keys.number('rope.dimension_count') ?? headDim;
  const hasOtherValues = (keys.number('attention.value_length') ?? headDim) !== headDim;
  if (hasOtherValues || rotaryDim > headDim || (family.isInterleaved && rotaryDim !== headDim)) {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `${file.name} rotates ${rotaryDim} of ${headDim} elements a head, or has values of another size; that is not supported for ${family.architecture}`,
      { rotaryDim, headDim },
    );
  }
  return {
    head_dim: headDim,
    num_key_value_heads: keys.number('attention.head_count_kv') ?? count,
    ...(rotaryDim === headDim ? {} : { partial_rotary_factor: rotaryDim / headDim }),
    ...('query_pre_attn_scalar' in family.defaults
      ? { query_pre_attn_scalar: keys.number('block_count') === family.layersScaledByDim ? dim / count : headDim }
      : {}),
  };
}

function readKey(file: GgufFile, keys: GgufKeys, { gguf, isOptional, columnsOf = '' }: KeyPair): number | undefined {
  const found = keys.number(gguf) ?? file.tensors.get(columnsOf)?.shape.at(-1);
  return found === undefined && !isOptional ? keys.needed(gguf) : found;
}

/**
 * The `config.json` record that a GGUF file stands for. What the file has otherwise than Hugging Face's files is said by
 * keys of its own: `rope_style: 'interleaved'` (rotary pairs are neighbouring rows), `rms_norm_offset: 0` (norms hold all
 * that they multiply by), `conv1d_layout: 'out_in'` (matrices as everywhere else). Throws BAD_FILE, UNSUPPORTED_ARCHITECTURE, UNSUPPORTED_FEATURE.
 */
export async function configOfGguf(file: GgufFile): Promise<JsonRecord> {
  const family = familyOfGguf(file);
  const keys = new GgufKeys(file, family.architecture);
  const read = family.keys.map((pair) => [pair.config, readKey(file, keys, pair)] as const);
  const hasRotary = family.keys.some(({ config }) => config === 'rope_theta');
  const fixed = Object.entries(family.fixed).map(([key, values]) => [key, values[0]]);
  const isTrue = (key: string, tensor: string) => (file.tensors.has(tensor) ? { [key]: true } : {});
  return {
    architectures: [family.className],
    model_type: family.modelType,
    ...family.defaults,
    ...Object.fromEntries(fixed),
    ...(hasRotary
      ? { ...heads(file, keys, family), rope_theta: 10000, rope_scaling: await ropeScaling(file, keys) }
      : {}),
    ...Object.fromEntries(read.filter(([, value]) => value !== undefined)),
    ...(family.isInterleaved ? { rope_style: 'interleaved' } : {}),
    ...(family.normOffset === undefined ? {} : { rms_norm_offset: 0 }),
    ...(family.turned === undefined ? {} : { conv1d_layout: 'out_in' }),
    ...isTrue('mlp_bias', 'blk.0.ffn_gate.bias'),
    ...(hasRotary ? isTrue('attention_bias', 'blk.0.attn_output.bias') : {}),
    vocab_size: tensorEntry(file, 'token_embd.weight').shape[0],
    tie_word_embeddings: !file.tensors.has('output.weight'),
  };
}

/** The names by which an architecture may ask for a tensor. */
export interface TensorNames {
  readonly name: string;
  readonly otherNames?: readonly string[];
  readonly stackOf?: readonly string[];
}

/** The tensor of a GGUF file for one that Hugging Face's files have; stacks of experts by what they are made of. Throws MISSING_TENSOR. */
export function ggufTensor(file: GgufFile, family: GgufFamily, wanted: TensorNames): TensorEntry {
  const { name, otherNames = [], stackOf = [] } = wanted;
  const names = [name, ...otherNames, ...stackOf.slice(0, 1)].flatMap(
    (known) => ggufName(family.names, known)?.name ?? [],
  );
  return tensorEntry(file, names.find((known) => file.tensors.has(known)) ?? names[0] ?? name);
}

/** The row for the names that config.json's `architectures` has. Throws UNSUPPORTED_ARCHITECTURE, BAD_FILE. */
export function familyOfConfig(config: JsonRecord): GgufFamily {
  const { architectures } = config;
  if (!Array.isArray(architectures)) throw badFile({ name: 'config.json' }, 'has no list "architectures"');
  const found = GGUF_FAMILIES.find(({ className }) => architectures.includes(className));
  if (found !== undefined) return found;
  const known = GGUF_FAMILIES.map(({ className }) => className).join(', ');
  throw new BitloomError(
    'UNSUPPORTED_ARCHITECTURE',
    `models of ${architectures.join(', ')} cannot be written as GGUF; these can: ${known}`,
    { architectures },
  );
}
