/**
 * Text to token ids and back. Encoding is done by `@huggingface/tokenizers`; this file adds what a language model needs
 * around it: BOS and EOS, special tokens on request, exact bytes of every token, and refusal instead of lost text.
 */
import { BitloomError } from '../ir/error.ts';
import { Detokenizer } from './detokenizer.ts';
import { encodeWithHub, type HubTokenizer, openHubTokenizer } from './hub-tokenizer.ts';
import { wordExpressions } from './pre-tokenizer.ts';
import { type TokenSpelling, tokenSpelling } from './token-bytes.ts';
import { badTokenizer, type TokenizerJson } from './tokenizer-json.ts';
import { requireWellFormed } from './utf8.ts';

/** What a detokenizer asks about a token. */
export interface TokenText {
  isSpecial(id: number): boolean;
  idToBytes(id: number): Uint8Array;
}

/** Options of `encode`. */
export interface EncodeOptions {
  /** Put the tokens in front that the model expects at a start (BOS). Default: as the tokenizer says. */
  readonly addBos?: boolean | undefined;
  /** Put the tokens at the end that the tokenizer asks for there (EOS). Default: as the tokenizer says. */
  readonly addEos?: boolean | undefined;
  /** Read `<|end|>` and the like in the text as control tokens; false takes them as plain text. Default: true. */
  readonly parseSpecial?: boolean | undefined;
}

/** Options of `decode` and `detokenizer`. */
export interface DecodeOptions {
  /** Leave control tokens out of the text. Default: true. */
  readonly skipSpecial?: boolean | undefined;
  /** The text goes on after other text: a leading space is kept. Default: false. */
  readonly continues?: boolean | undefined;
}

/** Text to token ids and back, for one model. */
export interface Tokenizer extends TokenText {
  /** Highest token id plus one. A model may have more rows than this (padding), never fewer. */
  readonly vocabSize: number;
  readonly bosId: number | null;
  /** The token that `addEos` puts at the end. */
  readonly eosId: number | null;
  /** Tokens that end a reply, `eosId` among them; a model may have several. */
  readonly eosIds: ReadonlySet<number>;
  /** Texts of BOS and EOS, for chat templates; empty where there is none. */
  readonly bosToken: string;
  readonly eosToken: string;
  /** Whether `encode` puts BOS in front (EOS at the end) unless told otherwise. */
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  /**
   * Turns text into token ids; empty text gives only what `addBos` and `addEos` add.
   * Throws: INVALID_ARGUMENT for lone surrogates; BAD_TOKENIZER if the vocabulary cannot express the text.
   */
  encode(text: string, options?: EncodeOptions): number[];
  /** Turns token ids into text; incomplete characters become U+FFFD. Inverse of `encode` for byte-level vocabularies. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** Returns the id of a token written as in the vocabulary, or null. */
  tokenToId(token: string): number | null;
  /** Starts decoding a stream of ids. */
  detokenizer(options?: DecodeOptions): Detokenizer;
}

/** What a tokenizer is made of, whichever file it came from. */
export interface TokenizerParts {
  readonly json: TokenizerJson;
  /** tokenizer_config.json, for the library. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly bosId: number | null;
  readonly eosToken: string | null;
  readonly eosIds: readonly number[];
  /** Whether BOS and EOS are added; undefined leaves it to the post-processor of `json`. */
  readonly addsBos: boolean | undefined;
  readonly addsEos: boolean | undefined;
}

/** Control tokens that end a turn in the chat formats in use; models often list only one of theirs. */
const TURN_ENDS: readonly string[] = [
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|end_of_text|>',
];

/** Text whose encoding with and without special tokens shows what the post-processor adds. */
const PROBE = 'a';

/** Makes a tokenizer. Throws: BAD_TOKENIZER. */
export function createTokenizer(parts: TokenizerParts): Tokenizer {
  return new HubBackedTokenizer(parts);
}

class HubBackedTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly eosIds: ReadonlySet<number>;
  readonly bosToken: string;
  readonly eosToken: string;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly #hub: HubTokenizer;
  readonly #plainHub: HubTokenizer;
  readonly #spelling: TokenSpelling | null;
  readonly #added: ReadonlyMap<number, { readonly content: string; readonly special: boolean }>;
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];
  readonly #losesNothing: boolean;
  readonly #bytes: Uint8Array[] = [];

  constructor(parts: TokenizerParts) {
    const { json, config } = parts;
    this.#hub = openHubTokenizer(json, config);
    // Without the control tokens, for text that must not be read as control.
    const userTokens = json.added_tokens.filter((token) => !token.special);
    this.#plainHub = openHubTokenizer({ ...json, added_tokens: userTokens }, config, this.#hub.model);
    this.#added = new Map(json.added_tokens.map((token) => [token.id, token]));
    this.#spelling = tokenSpelling(json.decoder);
    this.vocabSize = this.#hub.model.vocab.length;

    const framed = this.#frameOfPostProcessor();
    this.bosId = this.#requireKnown(parts.bosId ?? framed.prefix[0] ?? null, 'BOS');
    const eosId = parts.eosToken === null ? (parts.eosIds[0] ?? null) : this.tokenToId(parts.eosToken);
    this.eosId = this.#requireKnown(eosId, 'EOS');
    this.eosIds = this.#collectEos(parts.eosIds);
    this.bosToken = this.#textOf(this.bosId);
    this.eosToken = parts.eosToken ?? this.#textOf(this.eosId);
    this.#prefix = framed.prefix.length > 0 ? framed.prefix : this.bosId === null ? [] : [this.bosId];
    this.#suffix = framed.suffix.length > 0 ? framed.suffix : this.eosId === null ? [] : [this.eosId];
    this.addsBos = (parts.addsBos ?? framed.prefix.length > 0) && this.#prefix.length > 0;
    this.addsEos = (parts.addsEos ?? framed.suffix.length > 0) && this.#suffix.length > 0;
    this.#losesNothing =
      this.#spelling?.isByteLevel === true &&
      json.normalizer === null &&
      wordExpressions(json.pre_tokenizer) !== null &&
      !json.added_tokens.some((token) => token.lstrip || token.rstrip);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    requireWellFormed(text, 'the text to encode');
    const hub = options.parseSpecial === false ? this.#plainHub : this.#hub;
    const ids = this.#runHub(hub, text, false);
    // The library leaves out what has no token; the bytes tell whether it did.
    if (this.#losesNothing && this.#sizeBytesOf(ids) !== new TextEncoder().encode(text).length) {
      throw this.#cannotExpress(text);
    }
    if (options.addBos ?? this.addsBos) ids.unshift(...this.#prefix);
    if (options.addEos ?? this.addsEos) ids.push(...this.#suffix);
    return ids;
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const detokenizer = this.detokenizer(options);
    const pieces: string[] = [];
    for (const id of ids) pieces.push(detokenizer.push(id));
    pieces.push(detokenizer.flush());
    return pieces.join('');
  }

  detokenizer(options: DecodeOptions = {}): Detokenizer {
    const leadingSpaces = options.continues ? 0 : (this.#spelling?.leadingSpaces ?? 0);
    return new Detokenizer(this, options.skipSpecial ?? true, leadingSpaces);
  }

  idToBytes(id: number): Uint8Array {
    const known = this.#bytes[id];
    if (known) return known;
    if (!Number.isInteger(id) || id < 0) {
      throw new BitloomError('INVALID_ARGUMENT', `${id} is not a token id; ids are integers from 0`, { id });
    }
    if (id >= this.vocabSize) return NO_BYTES; // a padding row of the model: no token, no text
    const token = this.#hub.id_to_token(id);
    const bytes =
      this.#added.has(id) || token === undefined ? new TextEncoder().encode(token ?? '') : this.#spell(token);
    this.#bytes[id] = bytes;
    return bytes;
  }

  isSpecial(id: number): boolean {
    return this.#added.get(id)?.special === true;
  }

  tokenToId(token: string): number | null {
    return this.#hub.token_to_id(token) ?? null;
  }

  #runHub(hub: HubTokenizer, text: string, addsSpecial: boolean): number[] {
    const ids = encodeWithHub(hub, text, addsSpecial);
    if (ids.includes(undefined)) throw this.#cannotExpress(text);
    return ids as number[];
  }

  #spell(token: string): Uint8Array {
    if (this.#spelling) return this.#spelling.bytesOf(token);
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      'this tokenizer has a decoder that cannot spell tokens one by one; byte-level and SentencePiece-style decoders can',
    );
  }

  #sizeBytesOf(ids: readonly number[]): number {
    return ids.reduce((sum, id) => sum + this.idToBytes(id).length, 0);
  }

  #textOf(id: number | null): string {
    return id === null ? '' : (this.#hub.id_to_token(id) ?? '');
  }

  #requireKnown(id: number | null, name: string): number | null {
    if (id === null || (id >= 0 && id < this.vocabSize)) return id;
    throw badTokenizer(`the ${name} token has the id ${id}, but the vocabulary ends at ${this.vocabSize - 1}`, { id });
  }

  #collectEos(ids: readonly number[]): ReadonlySet<number> {
    const all = new Set(ids);
    if (this.eosId !== null) all.add(this.eosId);
    for (const token of TURN_ENDS) {
      const id = this.tokenToId(token);
      if (id !== null && this.isSpecial(id)) all.add(id);
    }
    return all;
  }

  /** What the post-processor puts around a text. */
  #frameOfPostProcessor(): { prefix: readonly number[]; suffix: readonly number[] } {
    const plain = this.#runHub(this.#hub, PROBE, false);
    const framed = this.#runHub(this.#hub, PROBE, true);
    const start = plain.length === 0 ? framed.length : framed.indexOf(plain[0]!);
    return { prefix: framed.slice(0, start), suffix: framed.slice(start + plain.length) };
  }

  #cannotExpress(text: string): BitloomError {
    const start = JSON.stringify(text.slice(0, 40));
    return badTokenizer(
      `the vocabulary cannot express the text ${start}: some of its bytes have no token; the tokenizer is incomplete`,
      { vocabSize: this.vocabSize },
    );
  }
}

const NO_BYTES = new Uint8Array(0);

/**
 * Checks that a tokenizer belongs to a model of `modelVocabSize` rows. Models may have padding rows that no token
 * uses (up to 1,024, or a sixteenth of the rows); ids beyond the model's rows mean another model's tokenizer.
 * Throws: BAD_TOKENIZER with both sizes.
 */
export function requireVocabularyFit(tokenizer: Pick<Tokenizer, 'vocabSize'>, modelVocabSize: number): void {
  const { vocabSize } = tokenizer;
  const mostPadding = Math.max(1024, modelVocabSize / 16);
  if (vocabSize <= modelVocabSize && modelVocabSize - vocabSize <= mostPadding) return;
  throw badTokenizer(
    `the tokenizer has ${vocabSize} tokens and the model ${modelVocabSize} rows for them; they belong to different models`,
    { vocabSize, modelVocabSize },
  );
}
