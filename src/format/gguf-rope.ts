/** Rotary positions as GGUF has them: keys for linear scaling and YaRN, tensors of divisors for Llama 3 and longrope. */
import { BitloomError } from '../ir/error.ts';
import { type RopeScaling, ropeFrequencies } from '../ir/rope.ts';
import { badFile } from './byte-source.ts';
import { f32Value, type MetadataInput } from './gguf-writer.ts';
import { isRecord, type JsonRecord } from './json.ts';
import type { TensorSource } from './tensor-file.ts';

export interface RopeContent {
  readonly metadata: readonly (readonly [string, MetadataInput])[];
  readonly tensors: readonly TensorSource[];
}

/** `rope_theta` and `rope_scaling` of a configuration; later ones have both in `rope_parameters`. */
export function ropeOf(config: JsonRecord): { theta: number; scaling: JsonRecord } {
  const nested = isRecord(config.rope_parameters) ? config.rope_parameters : {};
  const parameters = isRecord(nested.full_attention) ? nested.full_attention : nested;
  const scaling = isRecord(config.rope_scaling) ? config.rope_scaling : parameters;
  const theta = config.rope_theta ?? parameters.rope_theta ?? 10000;
  if (typeof theta === 'number' && theta > 0) return { theta, scaling };
  throw badFile({ name: 'config.json' }, `"rope_theta" must be a number above 0, not ${JSON.stringify(theta)}`);
}

const list = (name: string, values: readonly number[]): TensorSource => {
  const data = new Uint8Array(4 * values.length);
  const view = new DataView(data.buffer);
  for (const [i, value] of values.entries()) view.setFloat32(4 * i, value, true);
  return { name, element: 'f32', shape: [values.length], data };
};

/** Reads fields of `rope_scaling`. */
class Scaling {
  readonly #record: JsonRecord;
  readonly #config: JsonRecord;

  constructor(record: JsonRecord, config: JsonRecord) {
    this.#record = record;
    this.#config = config;
  }

  number(key: string, fallback?: unknown): number {
    const value = this.#record[key] ?? fallback;
    if (typeof value === 'number' && value > 0) return value;
    throw badFile(
      { name: 'config.json' },
      `rope_scaling "${key}" must be a number above 0, not ${JSON.stringify(value)}`,
    );
  }

  numbers(key: string, count: number): number[] {
    const value = this.#record[key];
    if (Array.isArray(value) && value.length === count && value.every((n) => typeof n === 'number' && n > 0))
      return value;
    throw badFile({ name: 'config.json' }, `rope_scaling "${key}" must be ${count} numbers above 0`);
  }

  has(key: string): boolean {
    return typeof this.#record[key] === 'number';
  }

  isFalse(key: string): boolean {
    return this.#record[key] === false;
  }

  get originalContext(): number {
    const { original_max_position_embeddings: original, max_position_embeddings: most } = this.#config;
    return this.number('original_max_position_embeddings', original ?? most);
  }
}

function llama3(scaling: Scaling, rotaryDim: number, theta: number): TensorSource {
  const rule: RopeScaling = {
    kind: 'llama3',
    factor: scaling.number('factor'),
    lowFrequencyFactor: scaling.number('low_freq_factor'),
    highFrequencyFactor: scaling.number('high_freq_factor'),
    originalContext: scaling.originalContext,
  };
  const scaled = ropeFrequencies(rotaryDim, theta, rule);
  return list(
    'rope_freqs.weight',
    ropeFrequencies(rotaryDim, theta).map((frequency, i) => frequency / scaled[i]!),
  );
}

/** YaRN's factor on attention. Source: Peng et al. 2023 (YaRN), 3.4. */
const yarnStrength = (factor: number, scale = 1): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);

function yarn(scaling: Scaling, keys: string): [string, MetadataInput][] {
  if (scaling.isFalse('truncate'))
    throw new BitloomError('UNSUPPORTED_FEATURE', 'rope_scaling "truncate": false has no key in GGUF');
  const factor = scaling.number('factor');
  const usual =
    scaling.has('mscale') && scaling.has('mscale_all_dim')
      ? yarnStrength(factor, scaling.number('mscale')) / yarnStrength(factor, scaling.number('mscale_all_dim'))
      : yarnStrength(factor);
  // GGUF's factor is on top of what YaRN has by itself.
  const strength = scaling.number('attention_factor', usual) / yarnStrength(factor);
  return [
    [`${keys}.type`, 'yarn'],
    [`${keys}.factor`, f32Value(factor)],
    [`${keys}.original_context_length`, scaling.originalContext],
    [`${keys}.yarn_beta_fast`, f32Value(scaling.number('beta_fast', 32))],
    [`${keys}.yarn_beta_slow`, f32Value(scaling.number('beta_slow', 1))],
    [`${keys}.attn_factor`, f32Value(strength)],
  ];
}

function longrope(scaling: Scaling, config: JsonRecord, keys: string, pairs: number): RopeContent {
  const original = scaling.originalContext;
  const factor = Number(config.max_position_embeddings) / original;
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return {
    metadata: [
      [`${keys}.original_context_length`, original],
      [`${keys}.attn_factor`, f32Value(scaling.number('attention_factor', usual))],
    ],
    tensors: [
      list('rope_factors_long.weight', scaling.numbers('long_factor', pairs)),
      list('rope_factors_short.weight', scaling.numbers('short_factor', pairs)),
    ],
  };
}

/** Throws BAD_FILE, and UNSUPPORTED_FEATURE for kinds that GGUF has no words for. */
export function ropeContent(config: JsonRecord, architecture: string, rotaryDim: number): RopeContent {
  const { theta, scaling: record } = ropeOf(config);
  const scaling = new Scaling(record, config);
  const keys = `${architecture}.rope.scaling`;
  const kind = record.rope_type ?? record.type ?? 'default';
  switch (kind) {
    case 'default':
    case 'dynamic': // changes nothing within the trained context, beyond which no reader goes
      return { metadata: [], tensors: [] };
    case 'linear':
      return {
        metadata: [
          [`${keys}.type`, 'linear'],
          [`${keys}.factor`, f32Value(scaling.number('factor'))],
        ],
        tensors: [],
      };
    case 'yarn':
      return { metadata: yarn(scaling, keys), tensors: [] };
    case 'llama3':
      return { metadata: [], tensors: [llama3(scaling, rotaryDim, theta)] };
    case 'factors':
      return { metadata: [], tensors: [list('rope_freqs.weight', scaling.numbers('factors', rotaryDim / 2))] };
    case 'longrope':
    case 'su':
      return longrope(scaling, config, keys, rotaryDim / 2);
    default:
      throw new BitloomError(
        'UNSUPPORTED_FEATURE',
        `rope scaling "${String(kind)}" cannot be written to GGUF here; linear, yarn, llama3 and longrope can`,
      );
  }
}
