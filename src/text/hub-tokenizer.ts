/** The typed face of `@huggingface/tokenizers`, which ships types that Node's module resolution cannot follow. */
import { Tokenizer } from '@huggingface/tokenizers';
import { preTokenizerOf, wordExpressions } from './pre-tokenizer.ts';
import { badTokenizer, type TokenizerJson } from './tokenizer-json.ts';

/** What bitloom uses of the library. */
export interface HubTokenizer {
  /** The vocabulary, by id; shared between tokenizers that differ in their added tokens only. */
  model: { readonly vocab: readonly (string | undefined)[] };
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/**
 * Opens a tokenizer. The decoder is left out: bitloom spells tokens itself, so that streams can be cut anywhere.
 * `model`: a vocabulary to share instead of building it again.
 * Throws: BAD_TOKENIZER with the library's reason.
 */
export function openHubTokenizer(
  json: TokenizerJson,
  config: Readonly<Record<string, unknown>>,
  model?: HubTokenizer['model'],
): HubTokenizer {
  // In this form the library reads \s and \d as the Rust tokenizers do (U+0085, U+FEFF, digits of all scripts).
  const expressions = wordExpressions(json.pre_tokenizer);
  const preTokenizer = expressions === null ? json.pre_tokenizer : preTokenizerOf(expressions);
  const definition = {
    ...json,
    model: model === undefined ? json.model : { type: 'BPE', vocab: {}, merges: [] },
    pre_tokenizer: preTokenizer,
    decoder: null,
  };
  const hub = guarded('be read', () => new Tokenizer(definition, config) as HubTokenizer);
  if (model !== undefined) hub.model = model;
  return hub;
}

/**
 * Encodes a text; an id is undefined where the vocabulary has no token.
 * Throws: BAD_TOKENIZER if a part of the tokenizer that the library did not check fails at work.
 */
export function encodeWithHub(hub: HubTokenizer, text: string, addsSpecial: boolean): (number | undefined)[] {
  return guarded('encode', () => hub.encode(text, { add_special_tokens: addsSpecial }).ids);
}

function guarded<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw badTokenizer(`the tokenizer cannot ${what}: ${reason}; its files are malformed`, {}, cause);
  }
}
