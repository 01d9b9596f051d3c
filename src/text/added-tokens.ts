/**
 * Added tokens: those that are found in a text before the model sees it, such as `<|end|>`. Which match is taken, and what
 * the flags mean, is as in Hugging Face's tokenizers (Rust): the leftmost, of those the longest.
 */
import type { AddedToken } from './tokenizer-json.ts';

/** A piece of a text: an added token, or what lies between two. */
export type TextSection = string | AddedToken;

const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const ENDS_IN_WORD = new RegExp(`${WORD}$`, 'u');
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const SPACE = /\p{White_Space}/u;

/** Finds added tokens in texts. */
export class AddedTokenFinder {
  readonly #tokens: ReadonlyMap<string, AddedToken>;
  /** By the first unit of a token: the lengths of those tokens, longest first. */
  readonly #lengths = new Map<string, number[]>();

  /** `tokens` by the text to look for: a token's own, or its normalised form. */
  constructor(tokens: Iterable<readonly [text: string, token: AddedToken]>) {
    this.#tokens = new Map(tokens);
    for (const text of this.#tokens.keys()) {
      if (text === '') continue;
      const lengths = this.#lengths.get(text[0]!);
      if (lengths === undefined) this.#lengths.set(text[0]!, [text.length]);
      else if (!lengths.includes(text.length)) lengths.push(text.length);
    }
    for (const lengths of this.#lengths.values()) lengths.sort((a, b) => b - a);
  }

  /** Cuts a text at its added tokens, control tokens among them only if `takesSpecial`. No section is empty. */
  cut(text: string, takesSpecial: boolean): TextSection[] {
    const sections: TextSection[] = [];
    let done = 0;
    let at = 0;
    while (at < text.length) {
      const length = this.#lengthAt(text, at, takesSpecial);
      if (length === 0) {
        at++;
        continue;
      }
      const token = this.#tokens.get(text.slice(at, at + length))!;
      let start = at;
      at += length;
      if (token.single_word && touchesWord(text, start, at)) continue;
      if (token.lstrip) while (start > done && SPACE.test(text[start - 1]!)) start--;
      if (token.rstrip) while (at < text.length && SPACE.test(text[at]!)) at++;
      if (start > done) sections.push(text.slice(done, start));
      sections.push(token);
      done = at;
    }
    if (done < text.length) sections.push(text.slice(done));
    return sections;
  }

  /** Length of the longest token at an offset; 0 for none. */
  #lengthAt(text: string, at: number, takesSpecial: boolean): number {
    for (const length of this.#lengths.get(text[at]!) ?? []) {
      const token = this.#tokens.get(text.slice(at, at + length));
      if (token !== undefined && (takesSpecial || !token.special)) return length;
    }
    return 0;
  }
}

/** Whether a word goes on to the left of `start` or to the right of `end`. Two units hold the character on either side. */
function touchesWord(text: string, start: number, end: number): boolean {
  return (
    ENDS_IN_WORD.test(text.slice(Math.max(0, start - 2), start)) || STARTS_WITH_WORD.test(text.slice(end, end + 2))
  );
}
