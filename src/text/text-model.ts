/** What turns words into tokens, whichever kind of vocabulary it is. */

/** Stands for text that the vocabulary has no token for. */
export const UNKNOWN = -1;

/** A vocabulary at work. */
export interface TextModel {
  /** Tokens by id; holes have no text. */
  readonly tokens: readonly (string | undefined)[];
  idOf(token: string): number | undefined;
  /** Ids of the words' tokens; UNKNOWN where there is none. */
  encode(words: readonly string[]): number[];
}
