/**
 * Vocabularies in GGUF metadata (keys `tokenizer.ggml.*`), read into a tokenizer: byte-level merges ("gpt2") and
 * SentencePiece's pieces with scores ("llama").
 * Source: the GGUF specification and llama.cpp's vocabulary loader, whose defaults apply where keys are absent.
 */
import { BitloomError } from '../ir/error.ts';
import { SPACE_SIGN } from './gguf-pieces.ts';
import { mergeList } from './json-vocabulary.ts';
import { rankedMerges, scoredMerges, type TokenList } from './merge-model.ts';
import type { TextModel } from './text-model.ts';
import { createTokenizer, type Tokenizer, TURN_ENDS } from './tokenizer.ts';
import { type AddedToken, badTokenizer, type TokenizerJson } from './tokenizer-json.ts';
import { preTokenizerOf, WORD_CUTS, type WordCut, wordCutByName } from './word-cut.ts';

/** Values of `tokenizer.ggml.token_type`. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Reads typed values from GGUF metadata under `tokenizer.ggml.`. */
class TokenizerKeys {
  readonly #metadata: ReadonlyMap<string, unknown>;

  constructor(metadata: ReadonlyMap<string, unknown>) {
    this.#metadata = metadata;
  }

  #wrong(name: string, expected: string): BitloomError {
    return badTokenizer(`tokenizer.ggml.${name} is not ${expected}; the GGUF file is malformed`, { key: name });
  }

  #get(name: string): unknown {
    return this.#metadata.get(`tokenizer.ggml.${name}`);
  }

  text(name: string): string | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'string') return value;
    throw this.#wrong(name, 'a string');
  }

  flag(name: string): boolean | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.#wrong(name, 'a boolean');
  }

  id(name: string): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const id = Number(value);
    if ((typeof value === 'number' || typeof value === 'bigint') && Number.isSafeInteger(id) && id >= 0) return id;
    throw this.#wrong(name, 'a token id');
  }

  strings(name: string): readonly string[] {
    const value = this.#get(name);
    if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value;
    throw this.#wrong(name, 'a list of strings');
  }

  integers(name: string, length: number): ArrayLike<number> | undefined {
    return this.#get(name) === undefined ? undefined : this.#list(name, length, Number.isInteger);
  }

  numbers(name: string, length: number): ArrayLike<number> {
    return this.#list(name, length, (entry) => typeof entry === 'number' && !Number.isNaN(entry));
  }

  #list(name: string, length: number, isGood: (entry: unknown) => boolean): ArrayLike<number> {
    const value = this.#get(name);
    const isList = Array.isArray(value) || ArrayBuffer.isView(value);
    const list = value as ArrayLike<number>;
    if (isList && list.length === length && Array.from(list).every(isGood)) return list;
    throw this.#wrong(name, `a list of ${length} numbers, one for each token`);
  }
}

/**
 * Which of a vocabulary's tokens are added ones. Tokens without text are none at all; the ends of turns are control
 * tokens even where the file has them as text, as Gemma's do.
 */
function addedTokens(tokens: readonly string[], types: ArrayLike<number> | undefined): AddedToken[] {
  const added: AddedToken[] = [];
  for (let id = 0; id < tokens.length; id++) {
    const content = tokens[id]!;
    const type = types?.[id];
    const special = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown || TURN_ENDS.has(content);
    if (content === '' || !(special || type === TOKEN_TYPE.userDefined)) continue;
    added.push({ id, content, special, lstrip: false, rstrip: false, single_word: false, normalized: false });
  }
  return added;
}

/** What the two kinds of vocabulary differ in. */
interface Vocabulary {
  readonly model: TextModel;
  readonly steps: Pick<TokenizerJson, 'normalizer' | 'pre_tokenizer' | 'decoder'>;
  /** Values where the file is silent. */
  readonly defaults: { readonly addsBos: boolean; readonly bosId: number | null; readonly eosId: number | null };
}

type VocabularyReader = (keys: TokenizerKeys, tokens: TokenList, types: ArrayLike<number> | undefined) => Vocabulary;

/** Byte-level merges, with a named way of cutting words. */
const readMerges: VocabularyReader = (keys, tokens) => {
  const cut = readWordCut(keys);
  return {
    model: rankedMerges(tokens, mergeList(keys.strings('merges')), {
      unknownId: null,
      fusesUnknown: false,
      fallsBackToBytes: false,
      takesWholeWords: cut.ignoresMerges,
    }),
    steps: { normalizer: null, pre_tokenizer: preTokenizerOf(cut.expressions), decoder: { type: 'ByteLevel' } },
    defaults: { addsBos: cut.addsBos, bosId: null, eosId: null },
  };
};

/** SentencePiece's pieces with scores: no words are cut, a space is put in front of each text unless the file says no. */
const readPieces: VocabularyReader = (keys, tokens, types) => {
  const unknownId = keys.id('unknown_token_id') ?? Array.from(types ?? []).indexOf(TOKEN_TYPE.unknown);
  const model = scoredMerges(tokens, keys.numbers('scores', tokens.length), {
    unknownId: unknownId < 0 ? null : unknownId,
    fusesUnknown: true,
    fallsBackToBytes: true,
    takesWholeWords: false,
  });
  const hasSpaceInFront = keys.flag('add_space_prefix') ?? true;
  const prepend = { type: 'Prepend', prepend: SPACE_SIGN };
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: SPACE_SIGN };
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 };
  const decoders = [{ type: 'Replace', pattern: { String: SPACE_SIGN }, content: ' ' }, { type: 'ByteFallback' }];
  return {
    model,
    steps: {
      normalizer: { type: 'Sequence', normalizers: hasSpaceInFront ? [prepend, replace] : [replace] },
      pre_tokenizer: null,
      decoder: { type: 'Sequence', decoders: hasSpaceInFront ? [...decoders, strip] : decoders },
    },
    defaults: { addsBos: true, bosId: 1, eosId: 2 },
  };
};

/** Kinds of vocabulary by `tokenizer.ggml.model`. */
const KINDS: ReadonlyMap<string, VocabularyReader> = new Map([
  ['gpt2', readMerges],
  ['llama', readPieces],
]);

function readWordCut(keys: TokenizerKeys): WordCut {
  const pre = keys.text('pre') ?? 'default';
  const cut = wordCutByName(pre);
  if (cut) return cut;
  const known = WORD_CUTS.flatMap(({ names }) => names);
  throw new BitloomError(
    'UNSUPPORTED_FEATURE',
    `the GGUF file cuts words in the manner of ${JSON.stringify(pre)}; supported are ${known.join(', ')}`,
    { pre, supported: known },
  );
}

function readKind(keys: TokenizerKeys): VocabularyReader {
  const model = keys.text('model');
  const reader = KINDS.get(model ?? '');
  if (reader) return reader;
  const supported = [...KINDS.keys()];
  throw new BitloomError(
    'UNSUPPORTED_FEATURE',
    `the GGUF file has a vocabulary of kind ${JSON.stringify(model ?? null)}; ${supported.join(' and ')} are supported here, others by a tokenizer.json beside the file`,
    { model, supported },
  );
}

/** Tokens by id; padding rows may have no text, and then are no tokens. Throws: BAD_TOKENIZER for a text with two ids. */
function readTokens(keys: TokenizerKeys): { texts: readonly string[]; tokens: TokenList } {
  const texts = keys.strings('tokens');
  const known = new Map<string, number>();
  const tokens = texts.map((text, id) => {
    if (text === '') return undefined;
    const first = known.get(text);
    if (first !== undefined) {
      throw badTokenizer(`token ${JSON.stringify(text)} has two ids in the GGUF file, ${first} and ${id}`, {
        token: text,
      });
    }
    known.set(text, id);
    return text;
  });
  return { texts, tokens };
}

/**
 * Makes a tokenizer from GGUF metadata (key to value; lists as arrays or typed arrays, numbers as number or bigint).
 * Throws: UNSUPPORTED_FEATURE for other kinds of vocabulary and unknown word cuts, naming the supported;
 * BAD_TOKENIZER for malformed values.
 */
export function tokenizerFromGguf(metadata: ReadonlyMap<string, unknown>): Tokenizer {
  const keys = new TokenizerKeys(metadata);
  const read = readKind(keys);
  const { texts, tokens } = readTokens(keys);
  const types = keys.integers('token_type', tokens.length);
  const { model, steps, defaults } = read(keys, tokens, types);
  const added = addedTokens(texts, types);
  const eosIds = ['eos_token_id', 'eot_token_id', 'eom_token_id'].flatMap((name) => keys.id(name) ?? []);
  return createTokenizer({
    json: { ...steps, added_tokens: isPhi3(metadata) ? withPhi3Spaces(added) : added, post_processor: null },
    model,
    bos: keys.id('bos_token_id') ?? defaults.bosId,
    eosToken: null,
    eosIds: eosIds.length === 0 && defaults.eosId !== null ? [defaults.eosId] : eosIds,
    addsBos: keys.flag('add_bos_token') ?? defaults.addsBos,
    addsEos: keys.flag('add_eos_token') ?? false,
  });
}

/** Phi-3's control tokens take the white space after them, which GGUF has no key for; llama.cpp knows them by name. */
const isPhi3 = (metadata: ReadonlyMap<string, unknown>): boolean =>
  /phi-?3/i.test(String(metadata.get('general.name') ?? ''));

const withPhi3Spaces = (tokens: readonly AddedToken[]): AddedToken[] =>
  tokens.map((token) => ({ ...token, rstrip: !['<unk>', '<s>', '<|endoftext|>'].includes(token.content) }));
