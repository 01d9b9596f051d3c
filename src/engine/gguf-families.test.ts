/** Families written to GGUF and read back give the logits of their safetensors. All of them, and in llama.cpp: tests/. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { collect } from '../format/file.fixture.ts';
import {
  checkpointToGguf,
  ggufPieces,
  memoryFiles,
  memorySource,
  openSafetensors,
  safetensorsPieces,
} from '../format/index.ts';
import { familyCheckpoint } from '../model/testing/index.ts';
import { tokenizerToGguf } from '../text/index.ts';
import { load, type ModelSource } from './index.ts';

const tiny = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../assets/tiny/${name}`, import.meta.url)));
const tokenizerJson = JSON.parse(new TextDecoder().decode(tiny('tokenizer.json'))) as unknown;
const tokens = [5, 4, 40, 17, 9, 2];

async function logits(source: ModelSource): Promise<Float32Array> {
  await using model = await load(source, { device: 'interpreter', kvCacheType: 'f32', contextLength: 16 });
  return await model.logits(tokens);
}

/** [case, what differs from it] */
const cases: readonly (readonly [name: string, overrides?: Readonly<Record<string, unknown>>])[] = [
  ['llama-tied-biased'],
  ['llama-3.1'],
  ['mixtral'],
  ['qwen2.5-yarn'],
  ['smollm3', { no_rope_layers: [1, 1, 1, 0, 1], num_hidden_layers: 5 }],
  ['gemma3', { sliding_window_pattern: 6 }],
  ['phi4-long'],
  ['olmo2'],
  ['qwen2-moe'],
  ['gpt2'],
];

test.each(cases.map(([name, overrides = {}]) => ({ name, overrides })))('$name', async ({ name, overrides }) => {
  const { config, tensors } = familyCheckpoint(name, { vocab_size: 4096, ...overrides });
  const weights = await collect(safetensorsPieces(tensors));
  const metadata = tokenizerToGguf({ tokenizerJson, modelVocabSize: 4096 });
  const file = await openSafetensors(memorySource(weights));
  const gguf = await collect(ggufPieces(checkpointToGguf(file, config, { format: 'F32', name, metadata })));
  const files = {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'tokenizer.json': tiny('tokenizer.json'),
    'model.safetensors': weights,
  };
  const [expected, found] = [await logits(memoryFiles(files)), await logits(gguf)];
  const largest = Math.max(...expected.map(Math.abs));
  expect(Math.max(...found.map((x, i) => Math.abs(x - expected[i]!))) / largest).toBeLessThan(2e-5);
});
