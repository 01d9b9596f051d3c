/** Token ids in, text out, piece by piece: what comes out is always whole characters. */
import type { TokenText } from './tokenizer.ts';

/**
 * Turns a stream of token ids into text. Bytes that may be the beginning of a character wait for the rest;
 * bytes that can no longer become one turn into U+FFFD, exactly as when all of them are decoded at once.
 */
export class Detokenizer {
  readonly #tokens: TokenText;
  readonly #skipsSpecial: boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #leadingSpaces: number;

  /** `leadingSpaces`: spaces to drop at the start of the text, as tokenisers that put one there ask for. */
  constructor(tokens: TokenText, skipsSpecial: boolean, leadingSpaces: number) {
    this.#tokens = tokens;
    this.#skipsSpecial = skipsSpecial;
    this.#leadingSpaces = leadingSpaces;
  }

  /** Takes the next token and returns the text that is certain now; often one token's, at times none. */
  push(id: number): string {
    if (this.#skipsSpecial && this.#tokens.isSpecial(id)) return '';
    return this.#trimStart(this.#decoder.decode(this.#tokens.idToBytes(id), { stream: true }));
  }

  /** Ends the text: an unfinished character becomes U+FFFD. The detokenizer can be used for a new text then. */
  flush(): string {
    return this.#trimStart(this.#decoder.decode());
  }

  #trimStart(text: string): string {
    while (this.#leadingSpaces > 0 && text !== '') {
      if (!text.startsWith(' ')) this.#leadingSpaces = 0;
      else {
        text = text.slice(1);
        this.#leadingSpaces--;
      }
    }
    return text;
  }
}
