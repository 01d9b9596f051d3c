/** Tokens of GGUF vocabularies as llama.cpp cuts them: every kind and every named cut, on nasty texts, control tokens read or not. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ggufPieces, type MetadataInput } from '../src/format/index.ts';
import { platform } from '../src/platform/index.ts';
import { tokenizerFromGguf, tokenizerToGguf } from '../src/text/index.ts';
import { pieceMetadata, readReference, tokenizerJsonOf } from '../src/text/testing/reference.ts';
import { WORD_CUTS } from '../src/text/word-cut.ts';

const peer = fileURLToPath(new URL('../bench/peers/node_modules/node-llama-cpp/dist/index.js', import.meta.url));
const reference = readReference();
/** llama.cpp takes a text up to its first NUL from here. */
const texts = reference.texts.filter((text) => text !== '' && !text.includes('\0'));

/** Cuts that llama.cpp only comes near to: it takes combining marks for no part of words, other than the models' own. */
const CUT_AT_MARKS = new Set(['tekken', 'gpt-4o', 'llama4']);

interface Vocabulary {
  tokenize(text: string, special: boolean): number[];
  dispose(): Promise<void>;
}
type Metadata = Map<string, unknown>;

/** The byte-level vocabulary under a named cut, with two control tokens and two of the user's. */
function mergeMetadata(pre: string): Metadata {
  const { tokens, merges } = reference.vocabularies.bytes;
  const added = ['<|begin_of_text|>', '<|eot_id|>', '<tool_call>', 'bab'];
  const all = [...tokens.split(' '), ...added];
  const firstAdded = all.length - added.length;
  const typeOf = (id: number) => (id < firstAdded ? 1 : id < firstAdded + 2 ? 3 : 4);
  return new Map<string, unknown>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', pre],
    ['tokenizer.ggml.tokens', all],
    ['tokenizer.ggml.token_type', Int32Array.from(all, (_, id) => typeOf(id))],
    ['tokenizer.ggml.merges', merges],
    ['tokenizer.ggml.bos_token_id', firstAdded],
    ['tokenizer.ggml.eos_token_id', firstAdded + 1],
  ]);
}

function phi3Metadata(): Metadata {
  const metadata = pieceMetadata(reference, 'llama');
  const more = ['<|endoftext|>', '<|user|>', '<|end|>', '<|assistant|>'];
  const tokens = [...reference.vocabularies.llama.tokens, ...more];
  const { scores, types } = reference.vocabularies.llama;
  metadata.set('general.name', 'Phi-3 small');
  metadata.set('tokenizer.ggml.tokens', tokens);
  metadata.set('tokenizer.ggml.scores', Float32Array.from([...scores, ...more.map(() => -1000)]));
  metadata.set('tokenizer.ggml.token_type', Int32Array.from([...types, ...more.map(() => 3)]));
  return metadata;
}

/** A tokenizer.json as bitloom writes it. */
function writtenMetadata(name: string): Metadata {
  const made = reference.tokenizers.find((each) => each.name === name)!;
  return tokenizerToGguf({ tokenizerJson: tokenizerJsonOf(reference, made), modelVocabSize: 1250 });
}

const cases: [name: string, metadata: Metadata][] = [
  ...WORD_CUTS.flatMap(({ names }) => names).map((name): [string, Metadata] => [name, mergeMetadata(name)]),
  ...['llama-2', 'gemma', 'olmo-2'].map((name): [string, Metadata] => [`written from ${name}`, writtenMetadata(name)]),
  ['pieces', pieceMetadata(reference, 'llama')],
  ['pieces without a space in front', pieceMetadata(reference, 'gemma')],
  ['pieces of Phi-3', phi3Metadata()],
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bitloom-vocabularies-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function openInPeer(metadata: Metadata): Promise<Vocabulary> {
  const about: [string, MetadataInput][] = [
    ['general.architecture', 'llama'],
    ['general.type', 'model'],
    ['llama.vocab_size', (metadata.get('tokenizer.ggml.tokens') as string[]).length],
  ];
  const path = join(folder, 'vocabulary.gguf');
  const content = { metadata: new Map([...about, ...(metadata as Map<string, MetadataInput>)]), tensors: [] };
  await platform.writeFile(path, ggufPieces(content));
  const { getLlama } = await import(peer);
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: 'disabled' });
  return llama.loadModel({ modelPath: path, vocabOnly: true });
}

describe.runIf(existsSync(peer))('node-llama-cpp tokenises alike', () => {
  it.each(cases)('%s', { timeout: 60_000 }, async (name, metadata) => {
    const theirs = await openInPeer(metadata);
    const ours = tokenizerFromGguf(metadata);
    for (const parseSpecial of [false, true]) {
      for (const text of texts) {
        if (CUT_AT_MARKS.has(name) && /\p{M}/u.test(text)) continue;
        const ids = ours.encode(text, { addBos: false, parseSpecial });
        expect([text, parseSpecial, ids]).toEqual([text, parseSpecial, theirs.tokenize(text, parseSpecial)]);
      }
    }
    await theirs.dispose();
  });
});
