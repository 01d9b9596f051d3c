/** A seeded generator of random numbers: xoshiro128** (Blackman and Vigna, 2018), seeded by splitmix32. */

/** Deterministic random numbers; the same seed gives the same numbers on every machine. */
export class Xoshiro128 {
  readonly #state = new Uint32Array(4);

  /** `seed`: an integer from 0 to 2^53 - 1. */
  constructor(seed: number) {
    let counter = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) >>> 0;
    for (let i = 0; i < 4; i++) {
      counter = (counter + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      this.#state[i] = mixed ^ (mixed >>> 15);
    }
  }

  /** Returns the next 32 random bits as an unsigned integer. */
  nextUint32(): number {
    const state = this.#state;
    const scrambled = Math.imul(state[1]!, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = state[1]! << 9;
    state[2]! ^= state[0]!;
    state[3]! ^= state[1]!;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= shifted;
    state[3] = (state[3]! << 11) | (state[3]! >>> 21);
    return result;
  }

  /** Returns a number from 0 up to, not including, 1, with 53 random bits. */
  nextUnit(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}
