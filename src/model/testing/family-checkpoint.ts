/** Small checkpoints of every family, made of a formula: the same weights here and in scripts/reference/model_families.py. */
import type { TensorSource } from '../../format/index.ts';
import { type ConfigRecord, createModel, type TensorSpec } from '../index.ts';
import cases from './cases.json' with { type: 'json' };

/** A configuration to test, by name: `llama`, `qwen2-window`, … */
export interface FamilyCase {
  readonly name: string;
  readonly config: ConfigRecord;
}

export const familyCases: readonly FamilyCase[] = cases;

/** FNV-1a of a text's characters, 32 bits. */
const hashOf = (text: string): number =>
  [...text].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), 0x811c9dc5);

/** A number from -1 to below 1 for each place, of 24 random bits (the finalizer of MurmurHash3). */
function noise(seed: number, place: number): number {
  let x = (seed + Math.imul(place, 0x9e3779b9)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 8) / 2 ** 23 - 1;
}

/** Norms are near 1 (near 0 where the model adds 1), embeddings from -1 to 1, all else from -1/4 to 1/4. */
function valueRange(name: string, isOffsetFromOne: boolean): { centre: number; width: number } {
  if (/(norm|ln_\w)\.weight$/.test(name)) return { centre: isOffsetFromOne ? 0 : 1, width: 0.25 };
  return { centre: 0, width: /(embed_tokens|wte|wpe)\.weight$/.test(name) ? 1 : 0.25 };
}

/** The values of the file's tensor `name`, in the file's order. */
export function formulaValues(name: string, count: number, config: ConfigRecord): Float32Array {
  const { centre, width } = valueRange(name, String(config.architectures).startsWith('Gemma'));
  const seed = hashOf(name);
  return Float32Array.from({ length: count }, (_, i) => centre + width * noise(seed, i));
}

/** A tensor as Hugging Face files hold it: experts apart, GPT-2's matrices [in, out]. */
function storedTensors(spec: TensorSpec, config: ConfigRecord): TensorSource[] {
  const shape = spec.stackOf ? spec.shape.slice(1) : spec.isTransposed ? spec.shape.toReversed() : spec.shape;
  const count = shape.reduce((n, d) => n * d, 1);
  return (spec.stackOf ?? [spec.name]).map((name) => ({
    name,
    element: 'f32',
    shape,
    data: new Uint8Array(formulaValues(name, count, config).buffer),
  }));
}

/** The checkpoint of a case: its `config.json` with `overrides`, and its tensors in Hugging Face's layout. */
export function familyCheckpoint(
  name: string,
  overrides: ConfigRecord = {},
): { config: ConfigRecord; tensors: readonly TensorSource[] } {
  const config = { ...familyCases.find((one) => one.name === name)!.config, ...overrides };
  return { config, tensors: createModel(config).tensors.flatMap((spec) => storedTensors(spec, config)) };
}
