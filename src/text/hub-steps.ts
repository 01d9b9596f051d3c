/** The typed face of `@huggingface/tokenizers`, which ships types that Node's module resolution cannot follow. */
import { Tokenizer } from '@huggingface/tokenizers';
import { BitloomError } from '../ir/error.ts';
import { canonicalSteps } from './pre-tokenizer.ts';
import { type TextModel, UNKNOWN } from './text-model.ts';
import { badTokenizer, isRecord, type TokenizerJson } from './tokenizer-json.ts';

/** What bitloom uses of the library: the steps, not what binds them. */
interface Library {
  readonly normalizer: ((text: string) => string) | null;
  readonly pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  readonly model: LibraryModel;
  readonly post_processor: ((tokens: string[], pair: null, addsSpecial: boolean) => { tokens: string[] }) | null;
}
interface LibraryModel {
  (words: readonly string[]): string[];
  readonly vocab: readonly (string | undefined)[];
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  readonly unk_token_id: number | undefined;
}

/** The steps of a tokenizer.json around its model. */
export interface TextSteps {
  normalize(text: string): string;
  /** Cuts a text into words; `isStart`: nothing lies before it. */
  words(text: string, isStart: boolean): string[];
  /** Tokens that the post-processor puts around a text. */
  readonly frame: { readonly prefix: readonly string[]; readonly suffix: readonly string[] };
}

/** Normalizers that the library has. */
const NORMALIZERS = new Set(
  'NFC NFD NFKC NFKD Sequence Replace Prepend Strip StripAccents Lowercase BertNormalizer Precompiled'.split(' '),
);
/** Stands for the text where the post-processor is asked what it puts around it. */
const TEXT = '\0text';
const NO_MODEL = { type: 'BPE', vocab: {}, merges: [] };

/**
 * Opens the steps around a tokenizer's model. Decoding is not among them: bitloom spells tokens itself, so that streams can
 * be cut anywhere.
 * Throws: UNSUPPORTED_FEATURE for steps that are unknown, BAD_TOKENIZER with the library's reason for malformed ones.
 */
export function openTextSteps(json: Omit<TokenizerJson, 'model'>): TextSteps {
  const { normalizer, pre_tokenizer: cutter, post_processor: framer } = open({ ...json, model: NO_MODEL }, {});
  const tokens = guarded('frame a text', () => framer?.([TEXT], null, true).tokens ?? [TEXT]);
  const at = tokens.indexOf(TEXT);
  return {
    normalize: (text) => (normalizer === null ? text : guarded('normalise', () => normalizer(text))),
    words(text, isStart) {
      return cutter === null ? [text] : guarded('cut words', () => cutter(text, { section_index: isStart ? 0 : 1 }));
    },
    frame: { prefix: tokens.slice(0, Math.max(0, at)), suffix: tokens.slice(at + 1) },
  };
}

/** Opens a model other than merges: `Unigram` or `WordPiece`. Throws: BAD_TOKENIZER. */
export function openHubModel(json: TokenizerJson, config: Readonly<Record<string, unknown>>): TextModel {
  const steps = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null };
  const { model } = open({ ...steps, model: json.model }, config);
  const idOf = (token: string) => model.tokens_to_ids.get(token);
  return {
    tokens: model.vocab,
    idOf,
    encode: (words) =>
      guarded('encode', () => model(words)).map((token) => idOf(token) ?? model.unk_token_id ?? UNKNOWN),
  };
}

function open(json: Omit<TokenizerJson, 'decoder'>, config: Readonly<Record<string, unknown>>): Library {
  const preTokenizer =
    json.pre_tokenizer === null ? null : { type: 'Sequence', pretokenizers: canonicalSteps(json.pre_tokenizer) };
  const definition = {
    ...json,
    added_tokens: [],
    normalizer: literalReplacements(json.normalizer),
    pre_tokenizer: preTokenizer,
    decoder: null,
  };
  return guarded('be read', () => new Tokenizer(definition, config) as unknown as Library);
}

/** The library reads `$` in a replacement as JavaScript does; here it stands for itself. */
function literalReplacements(normalizer: unknown): unknown {
  if (!isRecord(normalizer)) return normalizer;
  const { type, normalizers, content } = normalizer;
  if (typeof type === 'string' && !NORMALIZERS.has(type)) {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `the tokenizer normalises text by ${JSON.stringify(type)}, which is not supported`,
      {
        type,
        supported: [...NORMALIZERS],
      },
    );
  }
  if (Array.isArray(normalizers)) return { ...normalizer, normalizers: normalizers.map(literalReplacements) };
  return typeof content === 'string' ? { ...normalizer, content: content.replaceAll('$', '$$$$') } : normalizer;
}

function guarded<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw badTokenizer(`the tokenizer cannot ${what}: ${reason}; its files are malformed`, {}, cause);
  }
}
