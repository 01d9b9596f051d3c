/** Decisions read from a list of numbers, so that fast-check can shrink what they lead to, and a seed stands for a list. */

/** Deterministic numbers in 0 .. 2^32 - 1 (xorshift32). */
export function numbersFrom(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const LARGEST = 1e4;

/** The decisions that a seed stands for: often few, seldom many. */
export function decisionsOf(seed: number, most = 1000): number[] {
  const next = numbersFrom(seed);
  const part = (): number => (next() % most) / most;
  return Array.from({ length: 20 + Math.floor(most * part() * part()) }, () => next() % LARGEST);
}

/** Draws decisions; a list that ends decides 0, which is always the simplest. */
export class Tape {
  readonly #decisions: readonly number[];
  #at = 0;

  constructor(decisions: readonly number[]) {
    this.#decisions = decisions;
  }

  /** 0 .. count - 1. */
  below(count: number): number {
    return (this.#decisions[this.#at++] ?? 0) % count;
  }

  /** low .. high. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True once in `count` times, never on an ended list. */
  once(count: number): boolean {
    return this.below(count) === count - 1;
  }

  flip(): boolean {
    return this.once(2);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  get hasEnded(): boolean {
    return this.#at >= this.#decisions.length;
  }
}
