/**
 * GPT-2-style vocabularies in GGUF metadata (keys `tokenizer.ggml.*`), read into a tokenizer and written from one.
 * Source: the GGUF specification and llama.cpp's vocabulary loader, whose defaults apply where keys are absent.
 */
import { BitloomError } from '../ir/error.ts';
import { tokenizerFromJson } from './json-vocabulary.ts';
import {
  preTokenizerOf,
  WORD_CUTS,
  type WordCut,
  wordCutByExpressions,
  wordCutByName,
  wordExpressions,
} from './pre-tokenizer.ts';
import { createTokenizer, type Tokenizer } from './tokenizer.ts';
import {
  type AddedToken,
  badTokenizer,
  isRecord,
  readTokenizerJson,
  specialTokenText,
  type TokenizerJson,
} from './tokenizer-json.ts';

/** Values of `tokenizer.ggml.token_type`. */
const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5 } as const;

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
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const isList = Array.isArray(value) || ArrayBuffer.isView(value);
    const list = value as ArrayLike<number>;
    if (isList && list.length === length && Array.from(list).every((entry) => Number.isInteger(entry))) return list;
    throw this.#wrong(name, `a list of ${length} integers, one for each token`);
  }
}

function readWordCut(keys: TokenizerKeys): WordCut {
  const model = keys.text('model');
  if (model !== 'gpt2') {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `the GGUF file has a vocabulary of kind ${JSON.stringify(model ?? null)}; "gpt2" is supported here, others by a tokenizer.json beside the file`,
      { model },
    );
  }
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

function readVocabulary(keys: TokenizerKeys, cut: WordCut): TokenizerJson {
  const tokens = keys.strings('tokens');
  const merges = keys.strings('merges');
  const types = keys.integers('token_type', tokens.length);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  if (Object.keys(vocab).length !== tokens.length) {
    const id = tokens.findIndex((token, index) => vocab[token] !== index);
    const token = tokens[id]!;
    throw badTokenizer(`token ${JSON.stringify(token)} has two ids in the GGUF file, ${id} and ${vocab[token]}`, {
      token,
    });
  }
  const wrong = merges.find((merge) => merge.split(' ').length !== 2);
  if (wrong !== undefined) throw badTokenizer(`the merge ${JSON.stringify(wrong)} is not two tokens with one space`);
  const added = tokens.flatMap((content, id): AddedToken[] => {
    const type = types?.[id];
    if (content === '' || type === undefined) return [];
    if (type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown) return [{ id, content, special: true }];
    return type === TOKEN_TYPE.userDefined ? [{ id, content, special: false }] : [];
  });
  return {
    model: { type: 'BPE', vocab, merges, ignore_merges: cut.ignoresMerges },
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: preTokenizerOf(cut.expressions),
    post_processor: null,
    decoder: { type: 'ByteLevel' },
  };
}

/**
 * Makes a tokenizer from GGUF metadata (key to value; lists as arrays or typed arrays, integers as number or bigint).
 * Throws: UNSUPPORTED_FEATURE for other kinds of vocabulary and unknown word cuts, naming the supported;
 * BAD_TOKENIZER for malformed values.
 */
export function tokenizerFromGguf(metadata: ReadonlyMap<string, unknown>): Tokenizer {
  const keys = new TokenizerKeys(metadata);
  const cut = readWordCut(keys);
  const eosIds = ['eos_token_id', 'eot_token_id', 'eom_token_id'].flatMap((name) => keys.id(name) ?? []);
  return createTokenizer({
    json: readVocabulary(keys, cut),
    config: {},
    bosId: keys.id('bos_token_id') ?? null,
    eosToken: null,
    eosIds,
    addsBos: keys.flag('add_bos_token') ?? cut.addsBos,
    addsEos: keys.flag('add_eos_token') ?? false,
  });
}

/** Values of GGUF metadata that describe a tokenizer: string, u32, bool, list of strings, list of i32. */
export type GgufTokenizerValue = string | number | boolean | readonly string[] | Int32Array;

function requireGgufForm(json: TokenizerJson): WordCut {
  const { model, normalizer, decoder } = json;
  const refuse = (what: string): BitloomError =>
    new BitloomError('UNSUPPORTED_FEATURE', `the tokenizer cannot be written to GGUF: ${what}`);
  if (model.type !== 'BPE' || !isRecord(model.vocab) || !isRecord(decoder) || decoder.type !== 'ByteLevel') {
    throw refuse('only byte-level BPE vocabularies can');
  }
  // Unicode normalisation has no key in GGUF; llama.cpp's own converter drops NFC too.
  if (normalizer !== null && !(isRecord(normalizer) && normalizer.type === 'NFC')) {
    throw refuse('it normalises text in a way that GGUF has no key for');
  }
  const expressions = wordExpressions(json.pre_tokenizer);
  const cut = expressions && wordCutByExpressions(expressions, model.ignore_merges === true);
  if (!cut) throw refuse('llama.cpp has no name for its way of cutting words');
  return cut;
}

/** What `tokenizerToGguf` reads, and how many rows the model has. */
export interface GgufTokenizerSource {
  readonly tokenizerJson: unknown;
  readonly tokenizerConfig?: unknown;
  readonly generationConfig?: unknown;
  /** Source of the chat template, or null. */
  readonly chatTemplate?: string | null;
  /** Rows of the model's embedding; rows without a token are listed as unused. */
  readonly modelVocabSize: number;
}

/**
 * Writes a tokenizer.json as GGUF metadata with which llama.cpp tokenises in the same way.
 * Throws: UNSUPPORTED_FEATURE if GGUF cannot express it; BAD_TOKENIZER if it is malformed or larger than the model.
 */
export function tokenizerToGguf(source: GgufTokenizerSource): Map<string, GgufTokenizerValue> {
  const json = readTokenizerJson(source.tokenizerJson);
  const cut = requireGgufForm(json);
  const tokenizer = tokenizerFromJson(source.tokenizerJson, source.tokenizerConfig, source.generationConfig);
  if (tokenizer.vocabSize > source.modelVocabSize) {
    throw badTokenizer(
      `the tokenizer has ${tokenizer.vocabSize} tokens, more than the model's ${source.modelVocabSize} rows`,
    );
  }
  const tokens = Array.from({ length: source.modelVocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(source.modelVocabSize).fill(TOKEN_TYPE.unused);
  for (const [token, id] of Object.entries(json.model.vocab as Record<string, number>)) {
    tokens[id] = token;
    types[id] = TOKEN_TYPE.normal;
  }
  for (const { id, content, special } of json.added_tokens) {
    tokens[id] = content;
    types[id] = special ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
  }
  const padToken = isRecord(source.tokenizerConfig) ? specialTokenText(source.tokenizerConfig, 'pad_token') : null;
  const merges = json.model.merges as readonly (string | readonly string[])[];
  const entries = new Map<string, GgufTokenizerValue | null | undefined>([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', cut.names[0]!],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', types],
    ['tokenizer.ggml.merges', merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')))],
    ['tokenizer.ggml.bos_token_id', tokenizer.bosId],
    ['tokenizer.ggml.eos_token_id', tokenizer.eosId],
    ['tokenizer.ggml.padding_token_id', padToken === null ? null : tokenizer.tokenToId(padToken)],
    ['tokenizer.ggml.add_bos_token', tokenizer.addsBos],
    ['tokenizer.ggml.add_eos_token', tokenizer.addsEos],
    ['tokenizer.chat_template', source.chatTemplate],
  ]);
  const present = [...entries].filter((entry): entry is [string, GgufTokenizerValue] => entry[1] != null);
  return new Map(present);
}
