/** Tokenizers written as GGUF metadata, the inverse of reading them (`gguf-vocabulary.ts`), for llama.cpp's loader. */
import { BitloomError } from '../ir/error.ts';
import { TOKEN_TYPE } from './gguf-vocabulary.ts';
import { tokenizerFromJson } from './json-vocabulary.ts';
import { badTokenizer, isRecord, readTokenizerJson, specialTokenText, type TokenizerJson } from './tokenizer-json.ts';
import { type WordCut, wordCutByExpressions, wordExpressions } from './word-cut.ts';

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
