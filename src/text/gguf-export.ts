/** Tokenizers written as GGUF metadata, the inverse of reading them (`gguf-vocabulary.ts`), for llama.cpp's loader. */
import { BitloomError } from '../ir/error.ts';
import { pieceScores, SPACE_SIGN, spaceInFront } from './gguf-pieces.ts';
import { TOKEN_TYPE } from './gguf-vocabulary.ts';
import { mergeList, tokenizerFromJson } from './json-vocabulary.ts';
import {
  badTokenizer,
  isRecord,
  readTokenizerJson,
  specialTokenText,
  type TokenizerJson,
  tokenList,
} from './tokenizer-json.ts';
import { wordCutByExpressions, wordExpressions } from './word-cut.ts';

/** Values of GGUF metadata that describe a tokenizer: string, u32, bool, list of strings, list of i32, list of f32. */
export type GgufTokenizerValue = string | number | boolean | readonly string[] | Int32Array | Float32Array;

type Entries = readonly (readonly [key: string, value: GgufTokenizerValue | null | undefined])[];

const refuse = (what: string): BitloomError =>
  new BitloomError('UNSUPPORTED_FEATURE', `the tokenizer cannot be written to GGUF: ${what}`);

/** Byte-level merges, and the name of the way of cutting words. */
function mergeEntries(json: TokenizerJson): Entries {
  const { model, normalizer } = json;
  // Unicode normalisation has no key in GGUF; llama.cpp's own converter drops NFC too.
  if (normalizer !== null && !(isRecord(normalizer) && normalizer.type === 'NFC')) {
    throw refuse('it normalises text in a way that GGUF has no key for');
  }
  const expressions = wordExpressions(json.pre_tokenizer);
  const cut = expressions && wordCutByExpressions(expressions, model.ignore_merges === true);
  if (!cut) throw refuse('llama.cpp has no name for its way of cutting words');
  const { merges, separator } = mergeList(model.merges);
  return [
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', cut.names[0]!],
    ['tokenizer.ggml.merges', merges.map((merge) => merge.replace(separator, ' '))],
  ];
}

/** SentencePiece's pieces. Spaces in the user's tokens are real ones, since llama.cpp looks for them in the text as it is. */
function pieceEntries(json: TokenizerJson, tokens: string[], types: Int32Array): Entries {
  const hasSpaceInFront = spaceInFront(json);
  if (hasSpaceInFront === null) throw refuse('it treats spaces in a way that GGUF has no key for');
  const isAdded = new Set(json.added_tokens.map(({ content }) => content));
  const pieces = tokens.filter((token, id) => types[id] === TOKEN_TYPE.normal && !isAdded.has(token));
  const scores = pieceScores(json.model, new Set(pieces));
  const values = Float32Array.from(tokens, (token) => scores.get(token) ?? LOWEST_SCORE);
  for (const [id, token] of tokens.entries()) {
    if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = TOKEN_TYPE.byte;
    if (types[id] === TOKEN_TYPE.userDefined) tokens[id] = token.replaceAll(SPACE_SIGN, ' ');
  }
  const unknown = tokens.indexOf(String(json.model.unk_token));
  if (unknown >= 0) types[unknown] = TOKEN_TYPE.unknown;
  return [
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.pre', 'default'],
    ['tokenizer.ggml.scores', values],
    ['tokenizer.ggml.unknown_token_id', unknown < 0 ? null : unknown],
    ['tokenizer.ggml.add_space_prefix', hasSpaceInFront],
  ];
}

/** Score of tokens that no merge makes. */
const LOWEST_SCORE = -1e6;

/** Tokens by id, and what makes the entries of the kind that the tokenizer is. */
function openKind(json: TokenizerJson): { vocabulary: ReturnType<typeof tokenList>; entries: typeof pieceEntries } {
  const { model, decoder } = json;
  const isByteLevel = isRecord(decoder) && decoder.type === 'ByteLevel';
  if (model.type === 'BPE' && isRecord(model.vocab) && (isByteLevel || model.byte_fallback === true)) {
    return { vocabulary: tokenList(model.vocab), entries: isByteLevel ? mergeEntries : pieceEntries };
  }
  throw refuse('only vocabularies of merges can, byte-level or with a fall-back to bytes');
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
  const { vocabulary, entries: kindEntries } = openKind(json);
  const tokenizer = tokenizerFromJson(source.tokenizerJson, source.tokenizerConfig, source.generationConfig);
  if (tokenizer.vocabSize > source.modelVocabSize) {
    throw badTokenizer(
      `the tokenizer has ${tokenizer.vocabSize} tokens, more than the model's ${source.modelVocabSize} rows`,
    );
  }
  const tokens = Array.from({ length: source.modelVocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(source.modelVocabSize).fill(TOKEN_TYPE.unused);
  for (const [id, token] of vocabulary.entries()) {
    if (token === undefined) continue;
    tokens[id] = token;
    types[id] = TOKEN_TYPE.normal;
  }
  for (const { id, content, special } of json.added_tokens) {
    tokens[id] = content;
    types[id] = special ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
  }
  const padToken = isRecord(source.tokenizerConfig) ? specialTokenText(source.tokenizerConfig, 'pad_token') : null;
  const entries: Entries = [
    ...kindEntries(json, tokens, types),
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', types],
    ['tokenizer.ggml.bos_token_id', tokenizer.bosId],
    ['tokenizer.ggml.eos_token_id', tokenizer.eosId],
    ['tokenizer.ggml.padding_token_id', padToken === null ? null : tokenizer.tokenToId(padToken)],
    ['tokenizer.ggml.add_bos_token', tokenizer.addsBos],
    ['tokenizer.ggml.add_eos_token', tokenizer.addsEos],
    ['tokenizer.chat_template', source.chatTemplate],
  ];
  return new Map(entries.filter((entry): entry is [string, GgufTokenizerValue] => entry[1] != null));
}
