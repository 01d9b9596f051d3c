/**
 * Text to token ids and back: added tokens are found, the text between them is normalised and cut into words, a model
 * turns words into tokens. Around it: BOS and EOS, exact bytes of every token, and refusal instead of lost text.
 */
import { BitloomError } from '../ir/error.ts';
import { AddedTokenFinder } from './added-tokens.ts';
import { Detokenizer } from './detokenizer.ts';
import { openTextSteps, type TextSteps } from './hub-steps.ts';
import { type TextModel, UNKNOWN } from './text-model.ts';
import { type TokenSpelling, tokenSpelling } from './token-bytes.ts';
import { type AddedToken, badTokenizer, type TokenizerJson } from './tokenizer-json.ts';
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
  /** The steps around the model. */
  readonly json: Omit<TokenizerJson, 'model'>;
  readonly model: TextModel;
  /** BOS by its text or its id. */
  readonly bos: string | number | null;
  readonly eosToken: string | null;
  readonly eosIds: readonly number[];
  /** Whether BOS and EOS are added; undefined leaves it to the post-processor of `json`. */
  readonly addsBos: boolean | undefined;
  readonly addsEos: boolean | undefined;
}

/** Control tokens that end a turn in the chat formats in use; models often list only one of theirs. */
export const TURN_ENDS: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|end_of_text|>',
]);

/** Makes a tokenizer. Throws: BAD_TOKENIZER. */
export function createTokenizer(parts: TokenizerParts): Tokenizer {
  return new AssembledTokenizer(parts);
}

class AssembledTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly eosIds: ReadonlySet<number>;
  readonly bosToken: string;
  readonly eosToken: string;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly #model: TextModel;
  readonly #steps: TextSteps;
  readonly #spelling: TokenSpelling | null;
  readonly #addedById: ReadonlyMap<number, AddedToken>;
  readonly #addedByText: ReadonlyMap<string, AddedToken>;
  readonly #finder: AddedTokenFinder;
  /** Finds the tokens that are looked for in normalised text only. */
  readonly #normalizedFinder: AddedTokenFinder;
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];
  readonly #bytes: Uint8Array[] = [];

  constructor({ json, model, ...parts }: TokenizerParts) {
    this.#model = model;
    this.#steps = openTextSteps(json);
    this.#spelling = tokenSpelling(json.decoder);
    // A token that the model has keeps its id there, whatever the list of added tokens says.
    const added = json.added_tokens.map((token) => ({ ...token, id: model.idOf(token.content) ?? token.id }));
    this.#addedById = new Map(added.map((token) => [token.id, token]));
    this.#addedByText = new Map(added.map((token) => [token.content, token]));
    const isLate = (token: AddedToken) => token.normalized && json.normalizer !== null;
    const late = added.filter(isLate).map((token) => [this.#steps.normalize(token.content), token] as const);
    this.#finder = new AddedTokenFinder(added.filter((token) => !isLate(token)).map((token) => [token.content, token]));
    this.#normalizedFinder = new AddedTokenFinder(late);
    this.vocabSize = added.reduce((size, { id }) => Math.max(size, id + 1), model.tokens.length);

    const prefix = this.#idsOf(this.#steps.frame.prefix);
    const suffix = this.#idsOf(this.#steps.frame.suffix);
    this.bosId = this.#requireKnown(
      (typeof parts.bos === 'string' ? this.tokenToId(parts.bos) : parts.bos) ?? prefix[0] ?? null,
      'BOS',
    );
    const eosId = parts.eosToken === null ? (parts.eosIds[0] ?? null) : this.tokenToId(parts.eosToken);
    this.eosId = this.#requireKnown(eosId, 'EOS');
    this.eosIds = this.#collectEos(parts.eosIds);
    this.bosToken = this.#textOf(this.bosId);
    this.eosToken = parts.eosToken ?? this.#textOf(this.eosId);
    this.#prefix = prefix.length > 0 ? prefix : this.bosId === null ? [] : [this.bosId];
    this.#suffix = suffix.length > 0 ? suffix : this.eosId === null ? [] : [this.eosId];
    this.addsBos = (parts.addsBos ?? prefix.length > 0) && this.#prefix.length > 0;
    this.addsEos = (parts.addsEos ?? suffix.length > 0) && this.#suffix.length > 0;
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    requireWellFormed(text, 'the text to encode');
    const takesSpecial = options.parseSpecial ?? true;
    const ids: number[] = (options.addBos ?? this.addsBos) ? [...this.#prefix] : [];
    for (const [index, section] of this.#finder.cut(text, takesSpecial).entries()) {
      if (typeof section !== 'string') ids.push(section.id);
      else this.#encodeSection(section, index === 0, takesSpecial, ids);
    }
    if (ids.includes(UNKNOWN)) throw this.#cannotExpress(text);
    if (options.addEos ?? this.addsEos) ids.push(...this.#suffix);
    return ids;
  }

  /** Encodes what lies between two added tokens. */
  #encodeSection(text: string, isStart: boolean, takesSpecial: boolean, into: number[]): void {
    const sections = this.#normalizedFinder.cut(this.#steps.normalize(text), takesSpecial);
    for (const [index, section] of sections.entries()) {
      if (typeof section !== 'string') into.push(section.id);
      else for (const id of this.#model.encode(this.#steps.words(section, isStart && index === 0))) into.push(id);
    }
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
    const bytes = this.#spell(id);
    this.#bytes[id] = bytes;
    return bytes;
  }

  isSpecial(id: number): boolean {
    return this.#addedById.get(id)?.special === true;
  }

  tokenToId(token: string): number | null {
    return this.#addedByText.get(token)?.id ?? this.#model.idOf(token) ?? null;
  }

  #spell(id: number): Uint8Array {
    const added = this.#addedById.get(id)?.content;
    const token = added ?? this.#model.tokens[id];
    if (token === undefined) return NO_BYTES; // a padding row of the model: no token, no text
    // Control tokens, and all that are added to a byte-level vocabulary, are written as they read.
    if (added !== undefined && (this.isSpecial(id) || this.#spelling?.isByteLevel))
      return new TextEncoder().encode(token);
    if (this.#spelling) return this.#spelling.bytesOf(token);
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      'this tokenizer has a decoder that cannot spell tokens one by one; byte-level and SentencePiece-style decoders can',
    );
  }

  #textOf(id: number | null): string {
    return id === null ? '' : (this.#addedById.get(id)?.content ?? this.#model.tokens[id] ?? '');
  }

  #idsOf(tokens: readonly string[]): number[] {
    return tokens.map((token) => {
      const id = this.tokenToId(token);
      if (id !== null) return id;
      throw badTokenizer(`the tokenizer puts ${JSON.stringify(token)} around texts, which is no token`, { token });
    });
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

  #cannotExpress(text: string): BitloomError {
    const start = JSON.stringify(text.slice(0, 40));
    return badTokenizer(
      `the vocabulary cannot express the text ${start}: some of its characters have no token; the tokenizer is incomplete`,
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
