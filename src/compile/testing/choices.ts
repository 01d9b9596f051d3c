/** A source of choices read from a list of numbers, so that fast-check can shrink what they decide. */

/** Draws choices; an exhausted list goes on with zeros, which are the simplest choices. */
export class Choices {
  readonly #numbers: readonly number[];
  #next = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  /** 0 .. count - 1. */
  below(count: number): number {
    const drawn = this.#numbers[this.#next++] ?? 0;
    return drawn % count;
  }

  flip(): boolean {
    return this.below(2) === 1;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** Deterministic numbers in 0 .. 2^32 - 1 (xorshift32), for contents of tensors. */
export function numbersFrom(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
