/** For tests: writes Llama checkpoints of a few thousand weights, whole or with a named fault. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collect } from '../format/file.fixture.ts';
import {
  checkpointToGguf,
  ggufPieces,
  memorySource,
  openSafetensors,
  safetensorsPieces,
  type TensorSource,
} from '../format/index.ts';
import { hostTensor } from '../ir/host-tensor.ts';
import { createModel } from '../model/index.ts';
import { chatTemplateOfConfig, tokenizerToGguf } from '../text/index.ts';

const TINY = new URL('../../assets/tiny/', import.meta.url).pathname;
const json = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(TINY, name), 'utf8')) as Record<string, unknown>;

export const smallConfig = {
  ...json('config.json'),
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 96,
};

/** Pseudo-random weights between -0.2 and 0.2, the same for the same name. */
function weights(name: string, count: number): Float32Array {
  let state = [...name].reduce((hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 0x01000193), 0x811c9dc5);
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state / 2 ** 31) * 0.2;
  });
}

export interface Faults {
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes the list of tensors before it is written. */
  readonly tensors?: (tensors: TensorSource[]) => TensorSource[];
}

async function safetensorsBytes(tensors: Faults['tensors'] = (list) => list): Promise<Uint8Array> {
  const specs = createModel(smallConfig).tensors;
  const sources = specs.map(({ name, shape }): TensorSource => {
    const count = shape.reduce((n, d) => n * d, 1);
    const values = shape.length === 1 ? new Float32Array(count).fill(1) : weights(name, count);
    return { name, element: 'f32', shape, data: hostTensor('f32', shape, values).bytes };
  });
  return collect(safetensorsPieces(tensors(sources)));
}

/** A folder that is deleted by `remove`. */
export interface TemporaryModel {
  readonly folder: string;
  remove(): void;
}

function temporaryFolder(): TemporaryModel {
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-test-'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A Hugging Face folder with a small model. */
export async function writeSmallModel(faults: Faults = {}): Promise<TemporaryModel> {
  const model = temporaryFolder();
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'])
    cpSync(join(TINY, name), join(model.folder, name));
  const bytes = await safetensorsBytes(faults.tensors);
  writeFileSync(join(model.folder, 'config.json'), JSON.stringify({ ...smallConfig, ...faults.config }));
  writeFileSync(join(model.folder, 'model.safetensors'), bytes);
  return model;
}

/** The same model as a GGUF file in a weight format, `small.gguf`. */
export async function writeSmallGguf(format: string): Promise<TemporaryModel> {
  const model = temporaryFolder();
  const file = await openSafetensors(memorySource(await safetensorsBytes()));
  const metadata = tokenizerToGguf({
    tokenizerJson: json('tokenizer.json'),
    tokenizerConfig: json('tokenizer_config.json'),
    generationConfig: json('generation_config.json'),
    modelVocabSize: 4096,
    chatTemplate: chatTemplateOfConfig(json('tokenizer_config.json')),
  });
  const content = checkpointToGguf(file, smallConfig, { format, name: 'small', metadata });
  writeFileSync(join(model.folder, 'small.gguf'), await collect(ggufPieces(content)));
  return model;
}
