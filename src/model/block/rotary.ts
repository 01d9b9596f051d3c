/** Rotary positions as configurations describe them: base, share of the head that turns, context extension. */
import { BitloomError } from '../../ir/error.ts';
import { ROPE_STYLES, type RopeScaling, ropeFrequencies } from '../../ir/rope.ts';
import { nn, numpy as np, type Tensor } from '../../tensor/index.ts';
import {
  booleanField,
  type ConfigRecord,
  choiceField,
  numbersField,
  positiveField,
  recordField,
  sizeField,
} from '../config-reader.ts';
import type { StepInput } from '../family.ts';

/** Turns heads [rows, nHeads, headDim] f32 by their positions. */
export interface Rotary {
  turnQueries(q: Tensor, step: StepInput): Tensor;
  turnKeys(k: Tensor, step: StepInput): Tensor;
}

/** How a model's positions reach beyond the context that it was trained on. */
interface Extension {
  /** Depends on the positions in use for longrope alone. */
  scaling(contextLength: number): RopeScaling;
  /** Factor on both queries and keys. */
  readonly attentionFactor: number;
}

const TYPES = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope', 'su', 'factors'] as const;

/** The record that says how positions are scaled; later configurations put the base into it too. */
function scalingRecord(config: ConfigRecord): ConfigRecord {
  const record = recordField(config, 'rope_scaling') ?? recordField(config, 'rope_parameters') ?? {};
  const nested = Object.keys(record).find(
    (key) => typeof record[key] === 'object' && !Array.isArray(record[key]) && record[key] !== null,
  );
  if (nested === undefined) return record;
  throw new BitloomError(
    'UNSUPPORTED_FEATURE',
    `config: positions by kind of layer ('${nested}') are not supported here`,
    {
      key: nested,
    },
  );
}

const trainedContext = (config: ConfigRecord, scaling: ConfigRecord): number =>
  sizeField(
    scaling,
    'original_max_position_embeddings',
    sizeField(config, 'original_max_position_embeddings', sizeField(config, 'max_position_embeddings')),
  );

/** YaRN's temperature of attention as a factor. Source: Peng et al. 2023, 3.4. */
const yarnFactor = (factor: number, strength: number): number =>
  factor <= 1 ? 1 : 0.1 * strength * Math.log(factor) + 1;

function yarn(config: ConfigRecord, scaling: ConfigRecord): Extension {
  const originalContext = trainedContext(config, scaling);
  const factor = positiveField(scaling, 'factor', sizeField(config, 'max_position_embeddings') / originalContext);
  const hasStrengths = Boolean(scaling.mscale) && Boolean(scaling.mscale_all_dim);
  const usual = hasStrengths
    ? yarnFactor(factor, positiveField(scaling, 'mscale')) /
      yarnFactor(factor, positiveField(scaling, 'mscale_all_dim'))
    : yarnFactor(factor, 1);
  const frequencies: RopeScaling = {
    kind: 'yarn',
    factor,
    originalContext,
    fastTurns: positiveField(scaling, 'beta_fast', 32),
    slowTurns: positiveField(scaling, 'beta_slow', 1),
    isTruncated: booleanField(scaling, 'truncate', true),
  };
  return { scaling: () => frequencies, attentionFactor: positiveField(scaling, 'attention_factor', usual) };
}

/** Factors by pair, one list for sequences within the trained context and one beyond. Source: Ding et al. 2024 (LongRoPE). */
function longrope(config: ConfigRecord, scaling: ConfigRecord, pairs: number): Extension {
  const originalContext = trainedContext(config, scaling);
  const factor = sizeField(config, 'max_position_embeddings') / originalContext;
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext));
  const [short, long] = [numbersField(scaling, 'short_factor', pairs), numbersField(scaling, 'long_factor', pairs)];
  return {
    scaling: (contextLength) => ({ kind: 'factors', factors: contextLength > originalContext ? long : short }),
    attentionFactor: positiveField(scaling, 'attention_factor', usual),
  };
}

function extension(config: ConfigRecord, pairs: number): Extension {
  const scaling = scalingRecord(config);
  const type = choiceField(scaling, 'rope_type' in scaling ? 'rope_type' : 'type', TYPES, 'default');
  const fixed = (frequencies: RopeScaling): Extension => ({ scaling: () => frequencies, attentionFactor: 1 });
  switch (type) {
    case 'default':
    case 'dynamic': // changes frequencies beyond the trained context only, where the engine does not go
      return fixed({ kind: 'none' });
    case 'linear':
      return fixed({ kind: type, factor: positiveField(scaling, 'factor') });
    case 'factors':
      return fixed({ kind: type, factors: numbersField(scaling, 'factors', pairs) });
    case 'llama3':
      return fixed({
        kind: type,
        factor: positiveField(scaling, 'factor'),
        lowFrequencyFactor: positiveField(scaling, 'low_freq_factor'),
        highFrequencyFactor: positiveField(scaling, 'high_freq_factor'),
        originalContext: trainedContext(config, scaling),
      });
    case 'yarn':
      return yarn(config, scaling);
    case 'longrope':
    case 'su':
      return longrope(config, scaling, pairs);
  }
}

/** Positions that a configuration allows: those trained, times the extension's factor. */
export function contextLength(config: ConfigRecord): number {
  const declared = sizeField(config, 'max_position_embeddings');
  const scaling = scalingRecord(config);
  const type = scaling.rope_type ?? scaling.type;
  if (type !== 'yarn' || typeof scaling.original_max_position_embeddings !== 'number') return declared;
  return Math.max(declared, Math.floor(trainedContext(config, scaling) * positiveField(scaling, 'factor', 1)));
}

/**
 * Reads `rope_theta`, `rope_scaling`, `partial_rotary_factor` and `rope_style` ('interleaved' in GGUF files of some
 * families). Throws BAD_FILE, UNSUPPORTED_FEATURE.
 */
export function readRotary(config: ConfigRecord, headDim: number): Rotary {
  const record = {
    rope_theta: config.rope_theta,
    partial_rotary_factor: config.partial_rotary_factor,
    ...scalingRecord(config),
  };
  const base = positiveField(record, 'rope_theta', 10000);
  const share = positiveField(record, 'partial_rotary_factor', 1);
  const rotaryDim = Math.floor(headDim * share);
  if (rotaryDim % 2 !== 0 || rotaryDim === 0 || share > 1) {
    const message = `config: 'partial_rotary_factor' ${share} of heads of ${headDim} does not give pairs that turn`;
    throw new BitloomError('BAD_FILE', message, { share, headDim });
  }
  const style = choiceField(config, 'rope_style', ROPE_STYLES, 'half');
  const { scaling, attentionFactor } = extension(config, rotaryDim / 2);
  const limit = sizeField(config, 'max_position_embeddings');
  const turn = (x: Tensor, step: StepInput): Tensor =>
    nn.rope(x, step.positions, style, ropeFrequencies(rotaryDim, base, scaling(step.contextLength ?? limit)));
  // The factor is on queries and keys; scores are the same with its square on the queries alone.
  const gain = attentionFactor ** 2;
  const gains = () => np.where(np.less(np.arange(headDim), rotaryDim), gain, 1);
  return {
    turnKeys: turn,
    turnQueries: (q, step) => turn(gain === 1 ? q : np.multiply(q, gains()), step),
  };
}
