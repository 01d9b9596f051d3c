/** For tests: a family's weights in a number format of GGUF, held to the same weights as floats. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { collect } from '../format/file.fixture.ts';
import {
  checkpointToGguf,
  ggufPieces,
  memorySource,
  openGguf,
  openSafetensors,
  readTensor,
  rowCount,
  safetensorsPieces,
} from '../format/index.ts';
import { isPacked } from '../ir/dtype.ts';
import { familyCheckpoint } from '../model/testing/index.ts';
import { pack, unpack } from '../quant/index.ts';
import { tokenizerToGguf } from '../text/index.ts';
import { load } from './index.ts';

const tokenizerJson = JSON.parse(
  readFileSync(new URL('../../assets/tiny/tokenizer.json', import.meta.url), 'utf8'),
) as unknown;
const tokenizer = tokenizerToGguf({ tokenizerJson, modelVocabSize: 4096 });
const sizes = { vocab_size: 4096, hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1, head_dim: 64 };

/** A family's checkpoint as GGUF in a format, and the same file with its values as F32. */
async function packedAndPlain(family: string, format: string): Promise<[Uint8Array, Uint8Array]> {
  const { config, tensors } = familyCheckpoint(family, sizes);
  const file = await openSafetensors(memorySource(await collect(safetensorsPieces(tensors))));
  const options = {
    format: (name: string) => (name.startsWith('blk') ? format : 'F32'),
    name: family,
    metadata: tokenizer,
  };
  const packed = await collect(ggufPieces(checkpointToGguf(file, config, options)));
  const read = await openGguf(memorySource(packed));
  const floats = await Promise.all(
    [...read.tensors.values()].map(async (entry) => {
      const bytes = new Uint8Array(entry.byteLength);
      await readTensor(entry, bytes);
      const columns = entry.shape.at(-1)!;
      const data = pack('f32', unpack(entry.element, bytes, rowCount(entry), columns), columns);
      return { ...entry, element: 'f32' as const, data };
    }),
  );
  const types = [...read.metadata].map(([key, value]) => [key, { type: read.metadataTypes.get(key)!, value }] as const);
  return [packed, await collect(ggufPieces({ metadata: new Map(types), tensors: floats }))];
}

async function logitsOf(gguf: Uint8Array) {
  await using model = await load(gguf, { device: 'wasm', kvCacheType: 'f32', contextLength: 8, threads: 1 });
  return { logits: await model.logits([7, 300, 41]), formats: model.info.formats };
}

/** Loads a family's checkpoint in a format, its embeddings as floats. */
export async function expectFormat(family: string, format: string): Promise<void> {
  const [packed, plain] = await packedAndPlain(family, format);
  const { tensors } = await openGguf(memorySource(packed));
  expect([...tensors.values()].filter((entry) => isPacked(entry.element)).length).toBeGreaterThan(6);
  const expected = await logitsOf(plain);
  const found = await logitsOf(packed);
  expect(found.formats).toContain(`${format}x4`);
  // Activations meet packed weights as int8 codes, whose error is some 1 % of the largest.
  const largest = Math.max(...expected.logits.map(Math.abs));
  expect(Math.max(...found.logits.map((x, i) => Math.abs(x - expected.logits[i]!))) / largest).toBeLessThan(0.04);
}
