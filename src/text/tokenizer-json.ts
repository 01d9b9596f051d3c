/**
 * tokenizer.json (Hugging Face) as bitloom reads it: checked where a wrong value would do harm later,
 * passed on untouched where `@huggingface/tokenizers` gives it its meaning.
 */
import { BitloomError } from '../ir/error.ts';

/** A token that is found in the text before anything else looks at it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Control tokens: not text, dropped when shown to people. */
  readonly special: boolean;
  /** Takes the white space on its left, or right, with it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Is not found within a word. */
  readonly single_word: boolean;
  /** Is looked for in normalised text, in its own normalised form. */
  readonly normalized: boolean;
}

/** The parts of a tokenizer.json. */
export interface TokenizerJson {
  readonly model: Readonly<Record<string, unknown>>;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
}

/** Ids above this are refused: no vocabulary is near it, and a table of that many entries would exhaust memory. */
const MAX_TOKEN_ID = (1 << 24) - 1;

/** Says whether `value` is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Makes the error for a malformed tokenizer. */
export function badTokenizer(
  what: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): BitloomError {
  return new BitloomError('BAD_TOKENIZER', what, details, cause === undefined ? undefined : { cause });
}

function requireId(id: unknown, token: string): number {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) <= MAX_TOKEN_ID) return id as number;
  throw badTokenizer(
    `the tokenizer gives token ${JSON.stringify(token)} the id ${JSON.stringify(id)}; ids are integers from 0 to ${MAX_TOKEN_ID}`,
    { token, id },
  );
}

function readAddedToken(value: unknown, index: number): AddedToken {
  if (!isRecord(value) || typeof value.content !== 'string' || value.content === '') {
    throw badTokenizer(`added_tokens[${index}] of the tokenizer has no text in "content"`, { index });
  }
  const isSet = (name: string, otherwise = false): boolean => (value[name] ?? otherwise) === true;
  const special = isSet('special');
  return {
    id: requireId(value.id, value.content),
    content: value.content,
    special,
    lstrip: isSet('lstrip'),
    rstrip: isSet('rstrip'),
    single_word: isSet('single_word'),
    normalized: isSet('normalized', !special),
  };
}

/** The library takes a replacement without a usable pattern for none at all; such files are refused here. */
function requirePatterns(normalizer: unknown): void {
  if (!isRecord(normalizer)) return;
  const { type, pattern, normalizers } = normalizer;
  const text = isRecord(pattern) ? (pattern.Regex ?? pattern.String) : undefined;
  if (type === 'Replace' && typeof text !== 'string')
    throw badTokenizer('a Replace step of the tokenizer has no pattern');
  if (Array.isArray(normalizers)) normalizers.forEach(requirePatterns);
}

/** Tokens by id of a table of ids. Throws: BAD_TOKENIZER for ids that cannot be ids. */
export function tokenList(vocab: Readonly<Record<string, unknown>>): (string | undefined)[] {
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(vocab)) tokens[requireId(id, token)] = token;
  return tokens;
}

/**
 * Reads a parsed tokenizer.json.
 * Throws: BAD_TOKENIZER if it has no model, or added tokens that cannot be such.
 */
export function readTokenizerJson(value: unknown): TokenizerJson {
  if (!isRecord(value) || !isRecord(value.model)) {
    throw badTokenizer('the tokenizer has no "model" object; a tokenizer.json of Hugging Face tokenizers is needed');
  }
  const { model, added_tokens: added = [] } = value;
  if (!Array.isArray(added)) throw badTokenizer('"added_tokens" of the tokenizer is not a list');
  if (!isRecord(model.vocab) && !Array.isArray(model.vocab)) {
    throw badTokenizer('"model.vocab" of the tokenizer is neither a table nor a list');
  }
  requirePatterns(value.normalizer);
  return {
    model,
    added_tokens: added.map(readAddedToken),
    normalizer: value.normalizer ?? null,
    pre_tokenizer: value.pre_tokenizer ?? null,
    post_processor: value.post_processor ?? null,
    decoder: value.decoder ?? null,
  };
}

/** Text of a special token in tokenizer_config.json, where it is a string or an object with `content`. */
export function specialTokenText(config: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = config[name];
  if (typeof value === 'string') return value;
  return isRecord(value) && typeof value.content === 'string' ? value.content : null;
}
