/** Watches a stream of text for stop strings, and lets no part of one through. */
import { BitloomError } from '../ir/error.ts';
import { requireWellFormed } from './utf8.ts';

/** What a push let through. */
export interface StopMatch {
  /** Text that is certain not to belong to a stop string. */
  readonly text: string;
  /** The stop string that was met, or null. */
  readonly stopped: string | null;
}

/** Length of the longest proper prefix of `pattern[0..i]` that is also its suffix, for each i (Knuth, Morris, Pratt 1977). */
function borders(pattern: string): Int32Array {
  const border = new Int32Array(pattern.length);
  for (let i = 1, length = 0; i < pattern.length; i++) {
    while (length > 0 && pattern[i] !== pattern[length]) length = border[length - 1]!;
    if (pattern[i] === pattern[length]) length++;
    border[i] = length;
  }
  return border;
}

/**
 * Finds the stop string that is complete first; of several that end together, the longest. The outcome does not
 * depend on how the text is cut into pushes. Text that may yet become a stop string is held back.
 * Throws: INVALID_ARGUMENT for an empty or malformed stop string.
 */
export class StopMatcher {
  readonly #stops: readonly { readonly pattern: string; readonly border: Int32Array }[];
  /** Characters of each stop string that the end of the text matches. */
  readonly #matched: Int32Array;
  #held = '';
  #stopped: string | null = null;

  constructor(stops: readonly string[]) {
    const longestFirst = [...stops].sort((a, b) => b.length - a.length);
    this.#stops = longestFirst.map((pattern) => {
      if (pattern !== '') return { pattern: requireWellFormed(pattern, 'a stop string'), border: borders(pattern) };
      throw new BitloomError('INVALID_ARGUMENT', 'a stop string is empty; it would stop every reply at its start');
    });
    this.#matched = new Int32Array(this.#stops.length);
  }

  /** Takes more text; once stopped, everything is swallowed. */
  push(text: string): StopMatch {
    if (this.#stopped !== null) return { text: '', stopped: this.#stopped };
    const all = this.#held + text;
    for (let i = this.#held.length; i < all.length; i++) {
      const stop = this.#advance(all[i]!);
      if (stop === undefined) continue;
      this.#stopped = stop;
      this.#held = '';
      return { text: all.slice(0, i + 1 - stop.length), stopped: stop };
    }
    const certain = all.length - this.#matched.reduce((most, length) => Math.max(most, length), 0);
    this.#held = all.slice(certain);
    return { text: all.slice(0, certain), stopped: null };
  }

  /** Ends the stream and returns what was held back. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    this.#matched.fill(0);
    return text;
  }

  /** Moves every stop string on by one UTF-16 unit; returns the longest that is complete. */
  #advance(unit: string): string | undefined {
    let complete: string | undefined;
    for (const [index, { pattern, border }] of this.#stops.entries()) {
      let length = this.#matched[index]!;
      while (length > 0 && pattern[length] !== unit) length = border[length - 1]!;
      if (pattern[length] === unit) length++;
      this.#matched[index] = length;
      if (length === pattern.length) complete ??= pattern;
    }
    return complete;
  }
}
