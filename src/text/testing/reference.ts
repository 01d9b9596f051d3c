/** What the makers' own libraries give for nasty texts (`reference/tokens.json`), with the vocabularies it was made with. */
import { readFileSync } from 'node:fs';

interface Pieces {
  readonly tokens: readonly string[];
  readonly scores: readonly number[];
  readonly types: readonly number[];
}

/** Ids of each text, and what they decode to where that is not the text. */
interface Encoded {
  readonly vocabulary: 'bytes' | 'llama' | 'gemma' | 'unigram';
  readonly ids: readonly (readonly number[])[];
  readonly decoded: Readonly<Record<number, string>>;
}

interface EncodedByDefinition extends Encoded {
  readonly name: string;
  readonly definition: { readonly model: object };
  /** Ids of the text "a" with what the tokenizer puts around it. */
  readonly framed: readonly number[];
}

export interface Reference {
  readonly texts: readonly string[];
  readonly vocabularies: {
    readonly bytes: { readonly tokens: string; readonly merges: readonly string[] };
    readonly llama: Pieces;
    readonly gemma: Pieces;
    readonly unigram: Pieces;
  };
  readonly merges: { readonly llama: readonly string[]; readonly gemma: readonly string[] };
  readonly tokenizers: readonly EncodedByDefinition[];
  readonly sentencePieces: readonly (Encoded & { readonly vocabulary: 'llama' | 'gemma' })[];
}

/** Reads the file. */
export function readReference(): Reference {
  return JSON.parse(readFileSync(new URL('../reference/tokens.json', import.meta.url), 'utf8'));
}

const table = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));

/** The tokenizer.json of a case. */
export function tokenizerJsonOf(reference: Reference, { vocabulary, definition }: EncodedByDefinition): object {
  const { vocabularies, merges } = reference;
  const pieceBpe = { type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true };
  const { unigram } = vocabularies;
  const models = {
    bytes: () => ({ vocab: table(vocabularies.bytes.tokens.split(' ')), merges: vocabularies.bytes.merges }),
    llama: () => ({ ...pieceBpe, vocab: table(vocabularies.llama.tokens), merges: merges.llama }),
    gemma: () => ({ ...pieceBpe, vocab: table(vocabularies.gemma.tokens), merges: merges.gemma }),
    unigram: () => ({
      type: 'Unigram',
      unk_id: 0,
      vocab: unigram.tokens.map((token, id) => [token, unigram.scores[id]]),
    }),
  };
  return { ...definition, model: { ...models[vocabulary](), ...definition.model } };
}

/** GGUF metadata of SentencePiece's pieces, as llama.cpp's converter writes them: user-defined ones with plain spaces. */
export function pieceMetadata(reference: Reference, name: 'llama' | 'gemma'): Map<string, unknown> {
  const { tokens, scores, types } = reference.vocabularies[name];
  const isUserDefined = (id: number) => types[id] === 4;
  return new Map<string, unknown>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', tokens.map((token, id) => (isUserDefined(id) ? token.replaceAll('\u2581', ' ') : token))],
    ['tokenizer.ggml.scores', Float32Array.from(scores)],
    ['tokenizer.ggml.token_type', Int32Array.from(types)],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
    ['tokenizer.ggml.unknown_token_id', 0],
    ['tokenizer.ggml.add_bos_token', true],
    ['tokenizer.ggml.add_space_prefix', name === 'llama'],
  ]);
}
