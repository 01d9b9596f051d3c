/** The embedded model as a GGUF file in any format, written where a page's server finds it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkpointToGguf, ggufPieces, memorySource, openSafetensors } from '../../src/format/index.ts';
import { chatTemplateOfConfig, tokenizerToGguf } from '../../src/text/index.ts';

const TINY = fileURLToPath(new URL('../../assets/tiny/', import.meta.url));
const json = (name: string): Record<string, unknown> => JSON.parse(readFileSync(join(TINY, name), 'utf8'));

export interface GgufFile {
  readonly folder: string;
  readonly path: string;
  remove(): void;
}

/** Writes `model.gguf`, its matrices in `format`. */
export async function writeTinyGguf(format: string): Promise<GgufFile> {
  const metadata = tokenizerToGguf({
    tokenizerJson: json('tokenizer.json'),
    tokenizerConfig: json('tokenizer_config.json'),
    generationConfig: json('generation_config.json'),
    chatTemplate: chatTemplateOfConfig(json('tokenizer_config.json')),
    modelVocabSize: 4096,
  });
  const weights = await openSafetensors(memorySource(readFileSync(join(TINY, 'model.safetensors'))));
  const content = checkpointToGguf(weights, json('config.json'), { format, name: 'tiny', metadata });
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-gguf-'));
  const path = join(folder, 'model.gguf');
  await writeFile(path, ggufPieces(content));
  return { folder, path, remove: () => rmSync(folder, { recursive: true }) };
}
