/** What a `config.json` says as GGUF metadata, and the refusal of what GGUF has no key for. */
import { BitloomError } from '../ir/error.ts';
import { badFile } from './byte-source.ts';
import type { GgufFamily, KeyPair } from './gguf-families.ts';
import { ropeContent, ropeOf } from './gguf-rope.ts';
import { f32Value, type MetadataInput } from './gguf-writer.ts';
import type { JsonRecord } from './json.ts';
import type { TensorSource } from './tensor-file.ts';

const wrong = (key: string, wanted: string, value: unknown): BitloomError =>
  badFile({ name: 'config.json' }, `"${key}" must be ${wanted}, not ${JSON.stringify(value) ?? 'absent'}`, { key });

/** A configuration with its family's defaults filled in. Throws UNSUPPORTED_FEATURE for what GGUF has no key for. */
function completed(family: GgufFamily, given: JsonRecord): JsonRecord {
  const stated = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined));
  const config: JsonRecord = { ...family.defaults, ...stated };
  const refuse = (key: string, wanted: string) => {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `config.json has "${key}": ${JSON.stringify(given[key])}; GGUF files of ${family.architecture} stand for ${wanted}`,
      { key },
    );
  };
  for (const [key, values] of Object.entries(family.fixed)) {
    const isKnown = values.some((value) => JSON.stringify(value) === JSON.stringify(stated[key]));
    if (key in stated && !isKnown) refuse(key, JSON.stringify(values[0]));
  }
  const perLayer = (key: string, every: number | undefined, last: unknown, others: unknown) => {
    const list = given[key];
    if (every === undefined || !Array.isArray(list)) return;
    if (!list.every((entry, i) => entry === ((i + 1) % every === 0 ? last : others)))
      refuse(key, `every ${every}th layer alone being ${last}`);
  };
  perLayer('layer_types', family.fullAttentionEvery, 'full_attention', 'sliding_attention');
  perLayer('no_rope_layers', family.noRotaryEvery, 0, 1);
  return config;
}

const size = (config: JsonRecord, key: string, fallback?: number): number => {
  const value = config[key] ?? fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
  throw wrong(key, 'a whole number above 0', value);
};

function keyValue(config: JsonRecord, { config: key, type, isOptional }: KeyPair): MetadataInput | undefined {
  const value = config[key];
  if (value === undefined && isOptional) return undefined;
  if (type === 'u32') return size(config, key);
  if (typeof value === 'number' && value > 0) return f32Value(value);
  throw wrong(key, 'a number above 0', value);
}

interface HeadKeys {
  readonly headDim: number;
  readonly rotaryDim: number;
  readonly metadata: readonly (readonly [string, MetadataInput])[];
}

/** Head sizes as keys; GPT-2 has none of them. */
function headMetadata(family: GgufFamily, config: JsonRecord): HeadKeys {
  if (family.architecture === 'gpt2') return { headDim: 0, rotaryDim: 0, metadata: [] };
  const [dim, heads] = [size(config, 'hidden_size'), size(config, 'num_attention_heads')];
  const headDim = size(config, 'head_dim', dim / heads);
  const share = config.partial_rotary_factor ?? 1;
  const rotaryDim = Math.floor(headDim * Number(share));
  if (!(rotaryDim > 0 && rotaryDim <= headDim)) throw wrong('partial_rotary_factor', 'above 0 and at most 1', share);
  const scalar = size(config, 'num_hidden_layers') === family.layersScaledByDim ? dim / heads : headDim;
  if ((config.query_pre_attn_scalar ?? scalar) !== scalar) {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `config.json has "query_pre_attn_scalar": ${String(config.query_pre_attn_scalar)}; GGUF has no key for it and readers take ${scalar}`,
    );
  }
  const key = (name: string) => `${family.architecture}.${name}`;
  return {
    headDim,
    rotaryDim,
    metadata: [
      [key('attention.key_length'), headDim],
      [key('attention.value_length'), headDim],
      [key('rope.dimension_count'), rotaryDim],
    ],
  };
}

/** What a configuration becomes in GGUF. */
export interface GgufMetadata {
  readonly metadata: readonly (readonly [string, MetadataInput])[];
  /** Factors of rotary positions are tensors. */
  readonly tensors: readonly TensorSource[];
  readonly headDim: number;
  /** The output matrix is the embedding table. */
  readonly isTied: boolean;
}

/** Throws BAD_FILE, and UNSUPPORTED_FEATURE for what GGUF files of the family cannot say. */
export function ggufMetadata(family: GgufFamily, config: JsonRecord): GgufMetadata {
  const full = completed(family, config);
  const { headDim, rotaryDim, metadata: headKeys } = headMetadata(family, full);
  const isRotary = rotaryDim > 0;
  const values: JsonRecord = isRotary
    ? { ...full, rope_theta: ropeOf(full).theta }
    : { ...full, n_inner: full.n_inner ?? 4 * size(full, 'n_embd') };
  const keys = family.keys.flatMap((pair): [string, MetadataInput][] => {
    const value = keyValue(values, pair);
    return value === undefined ? [] : [[`${family.architecture}.${pair.gguf}`, value]];
  });
  const rope = isRotary ? ropeContent(full, family.architecture, rotaryDim) : { metadata: [], tensors: [] };
  const vocabulary: [string, MetadataInput][] = [[`${family.architecture}.vocab_size`, size(full, 'vocab_size')]];
  return {
    metadata: [...keys, ...headKeys, ...(isRotary ? vocabulary : []), ...rope.metadata],
    tensors: rope.tensors,
    headDim,
    isTied: full.tie_word_embeddings === true,
  };
}
