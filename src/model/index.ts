/** Model architectures by the names that checkpoints give them. */
import { BitloomError } from '../ir/error.ts';
import type { ConfigRecord } from './config-reader.ts';
import type { CausalModel, ModelFamily } from './family.ts';
import { gemma1, gemma2, gemma3 } from './gemma.ts';
import { gpt2 } from './gpt2.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { mixtral } from './mixtral.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { qwen2, qwen2Moe, qwen3, qwen3Moe } from './qwen.ts';
import { smollm3 } from './smollm3.ts';

export type { ConfigRecord } from './config-reader.ts';
export type {
  CacheSizes,
  CausalModel,
  LayerCache,
  ModelFamily,
  StepInput,
  TensorSpec,
  Weights,
} from './family.ts';

/** Every family: names, source, what is special. */
export const modelFamilies: readonly ModelFamily[] = [
  llama,
  mistral,
  mixtral,
  qwen2,
  qwen3,
  qwen2Moe,
  qwen3Moe,
  smollm3,
  gemma1,
  gemma2,
  gemma3,
  phi3,
  gpt2,
  olmo2,
];

/** Keys whose null says that there is no such thing; elsewhere null says nothing. */
const NULLABLE: ReadonlySet<string> = new Set(['sliding_window', 'attn_logit_softcapping', 'final_logit_softcapping']);

function withDefaults(family: ModelFamily, config: ConfigRecord): ConfigRecord {
  const said = Object.entries(config).filter(([key, value]) => value !== null || NULLABLE.has(key));
  return { ...family.defaults, ...Object.fromEntries(said) };
}

function requireFixed(family: ModelFamily, config: ConfigRecord): void {
  for (const [key, only] of Object.entries(family.fixed ?? {})) {
    const value = config[key] ?? only;
    if (value === only) continue;
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `config: '${key}' is ${JSON.stringify(value)}; ${family.name} is built for ${JSON.stringify(only)} alone`,
      { key, value },
    );
  }
}

/**
 * The model that a `config.json` record describes. Throws UNSUPPORTED_ARCHITECTURE naming what is supported,
 * UNSUPPORTED_FEATURE naming the key, BAD_FILE.
 */
export function createModel(config: ConfigRecord): CausalModel {
  const named = config.architectures;
  const names: unknown[] = Array.isArray(named) ? named : [];
  const family = modelFamilies.find((f) => f.architectures.some((name) => names.includes(name)));
  if (family === undefined) {
    const supported = modelFamilies.map((f) => `${f.architectures.join(', ')} (${f.name})`).join('; ');
    throw new BitloomError(
      'UNSUPPORTED_ARCHITECTURE',
      `architecture ${JSON.stringify(named) ?? 'absent'} is not supported; supported: ${supported}`,
      { architectures: named },
    );
  }
  requireFixed(family, config);
  return family.create(withDefaults(family, config));
}
