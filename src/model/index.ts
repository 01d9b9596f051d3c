/** Model architectures by the names that checkpoints give them. */
import { BitloomError } from '../ir/error.ts';
import type { ConfigRecord } from './config-reader.ts';
import type { CausalModel, ModelFamily } from './family.ts';
import { llama } from './llama.ts';

export type { ConfigRecord } from './config-reader.ts';
export type { CausalModel, LayerCache, ModelFamily, StepInput, TensorSpec } from './family.ts';

const families: readonly ModelFamily[] = [llama];

/** The model that a `config.json` record describes. Throws UNSUPPORTED_ARCHITECTURE naming what is supported. */
export function createModel(config: ConfigRecord): CausalModel {
  const named = config.architectures;
  const names: unknown[] = Array.isArray(named) ? named : [];
  const family = families.find((f) => f.architectures.some((name) => names.includes(name)));
  if (family === undefined) {
    const supported = families.flatMap((f) => f.architectures).join(', ');
    throw new BitloomError(
      'UNSUPPORTED_ARCHITECTURE',
      `architecture ${JSON.stringify(named) ?? 'absent'} is not supported; supported: ${supported}`,
      { architectures: named },
    );
  }
  return family.create(config);
}
