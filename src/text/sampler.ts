/**
 * Chooses the next token from logits. Steps in the order of llama.cpp's default chain, which differs from Hugging Face's in
 * that temperature comes last and so does not widen what top-p and min-p keep:
 * repetition penalty, top-k, top-p, min-p, temperature, draw.
 */
import { BitloomError } from '../ir/error.ts';
import { selectTop } from './top-selection.ts';
import { Xoshiro128 } from './xoshiro.ts';

/** How to choose. The defaults draw from the model's own distribution. */
export interface SamplerOptions {
  /** Divides the logits before drawing; 0 takes the most likely token (greedy). Default: 1. */
  readonly temperature?: number | undefined;
  /** Keeps the k most likely tokens; 0 keeps all. Default: 0. */
  readonly topK?: number | undefined;
  /** Keeps the fewest most likely tokens whose probabilities sum to this (Holtzman et al. 2019). Default: 1, all. */
  readonly topP?: number | undefined;
  /** Keeps tokens at least this share as likely as the most likely one (Nguyen et al. 2024). Default: 0, all. */
  readonly minP?: number | undefined;
  /** Weakens tokens of the history: positive logits are divided by it, others multiplied (Keskar et al. 2019). Default: 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Integer from 0 to 2^53 - 1; the same seed, options and logits give the same tokens. Default: a random one. */
  readonly seed?: number | undefined;
}

/** Chooses tokens, one call for each. Belongs to one sequence: its random numbers move on with every draw. */
export interface Sampler {
  /** The seed in use, also where it was chosen at random. */
  readonly seed: number;
  /**
   * Returns the chosen token id. `logits` `[vocabSize]` f32, left unchanged; `history`: ids for the repetition penalty.
   * Throws: BAD_WEIGHTS if a logit is NaN or +Infinity, or none is finite.
   */
  sample(logits: Float32Array, history?: ArrayLike<number>): number;
}

/** Where the selection for top-p alone starts; it grows eightfold until the sum is reached. */
const FIRST_NUCLEUS = 64;

/** Makes a sampler. Throws: INVALID_ARGUMENT for options outside their ranges. */
export function createSampler(options: SamplerOptions = {}): Sampler {
  return new TruncatingSampler(options);
}

class TruncatingSampler implements Sampler {
  readonly seed: number;
  readonly #temperature: number;
  readonly #topK: number;
  readonly #topP: number;
  readonly #minP: number;
  readonly #penalty: number;
  readonly #random: Xoshiro128;
  // Scratch of one vocabulary's size, kept from token to token.
  #penalised = new Float32Array(0);
  #kept = new Int32Array(0);
  #weights = new Float64Array(0);

  constructor(options: SamplerOptions) {
    const { temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, seed = randomSeed() } = options;
    requireOption('temperature', temperature, temperature >= 0 && temperature < Infinity, 'a number from 0');
    requireOption('topK', topK, Number.isSafeInteger(topK) && topK >= 0, 'an integer from 0');
    requireOption('topP', topP, topP >= 0 && topP <= 1, 'a number from 0 to 1');
    requireOption('minP', minP, minP >= 0 && minP <= 1, 'a number from 0 to 1');
    const isPenalty = repetitionPenalty > 0 && repetitionPenalty < Infinity;
    requireOption('repetitionPenalty', repetitionPenalty, isPenalty, 'a number above 0');
    requireOption('seed', seed, Number.isSafeInteger(seed) && seed >= 0, 'an integer from 0 to 2^53 - 1');
    this.seed = seed;
    this.#temperature = temperature;
    this.#topK = topK;
    this.#topP = topP;
    this.#minP = minP;
    this.#penalty = repetitionPenalty;
    this.#random = new Xoshiro128(seed);
  }

  sample(logits: Float32Array, history: ArrayLike<number> = []): number {
    const scores = this.#penalty === 1 ? logits : this.#penalise(logits, history);
    const best = indexOfMax(scores);
    if (this.#temperature === 0 || this.#topK === 1) return best;
    this.#reserve(scores.length);
    const peak = scores[best]!;
    return this.#draw(scores, peak, this.#truncate(scores, peak));
  }

  #reserve(size: number): void {
    if (this.#kept.length >= size) return;
    this.#kept = new Int32Array(size);
    this.#weights = new Float64Array(size);
  }

  /** Copies the logits with the penalty on every token of the history, once however often it occurs. */
  #penalise(logits: Float32Array, history: ArrayLike<number>): Float32Array {
    if (this.#penalised.length !== logits.length) this.#penalised = new Float32Array(logits.length);
    const scores = this.#penalised;
    scores.set(logits);
    for (let i = 0; i < history.length; i++) {
      const logit = logits[history[i]!];
      // From the untouched logit each time, so that repeats change nothing.
      if (logit !== undefined) scores[history[i]!] = logit > 0 ? logit / this.#penalty : logit * this.#penalty;
    }
    return scores;
  }

  /** Fills `#kept` with the candidates and returns how many there are. */
  #truncate(scores: Float32Array, peak: number): number {
    const floor = this.#minP === 0 ? -Infinity : peak + Math.log(this.#minP);
    const limit = this.#topK === 0 ? scores.length : Math.min(this.#topK, scores.length);
    if (limit === scores.length && this.#topP === 1) return this.#keepAbove(scores, floor);
    let count = this.#keepNucleus(scores, peak, limit);
    while (count > 1 && scores[this.#kept[count - 1]!]! < floor) count--;
    return count;
  }

  #keepAbove(scores: Float32Array, floor: number): number {
    let count = 0;
    for (let i = 0; i < scores.length; i++) if (scores[i]! >= floor) this.#kept[count++] = i;
    return count;
  }

  /** Keeps the `limit` best, largest first, and of these the fewest that reach top-p of their sum. */
  #keepNucleus(scores: Float32Array, peak: number, limit: number): number {
    const kept = this.#kept;
    const isWhole = limit === scores.length;
    let size = isWhole ? Math.min(FIRST_NUCLEUS, limit) : limit;
    selectTop(scores, size, kept);
    if (this.#topP === 1) return size;
    let total = 0;
    if (isWhole) for (let i = 0; i < limit; i++) total += Math.exp(scores[i]! - peak);
    else for (let i = 0; i < size; i++) total += Math.exp(scores[kept[i]!]! - peak);
    const target = this.#topP * total;
    for (;;) {
      for (let i = 0, sum = 0; i < size; i++) {
        sum += Math.exp(scores[kept[i]!]! - peak);
        if (sum >= target) return i + 1;
      }
      if (size === limit) return size;
      size = Math.min(size * 8, limit);
      selectTop(scores, size, kept);
    }
  }

  #draw(scores: Float32Array, peak: number, count: number): number {
    const weights = this.#weights;
    let total = 0;
    for (let i = 0; i < count; i++) {
      const weight = Math.exp((scores[this.#kept[i]!]! - peak) / this.#temperature);
      weights[i] = weight;
      total += weight;
    }
    let left = this.#random.nextUnit() * total;
    let chosen = 0;
    for (let i = 0; i < count; i++) {
      if (weights[i]! === 0) continue;
      chosen = i;
      left -= weights[i]!;
      if (left < 0) break;
    }
    return this.#kept[chosen]!;
  }
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

function requireOption(name: string, value: number, isValid: boolean, range: string): void {
  if (isValid) return;
  throw new BitloomError('INVALID_ARGUMENT', `${name} is ${value}; it must be ${range}`, { name, value });
}

/** Index of the largest logit, the first of equals. */
function indexOfMax(scores: Float32Array): number {
  let best = -1;
  let peak = -Infinity;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    if (score > peak) {
      peak = score;
      best = i;
    } else if (Number.isNaN(score)) throw badLogits(`logit ${i} is NaN`, { index: i });
  }
  if (best < 0) throw badLogits('no logit is above -Infinity', { vocabSize: scores.length });
  if (peak === Infinity) throw badLogits(`logit ${best} is +Infinity`, { index: best });
  return best;
}

function badLogits(what: string, details: Readonly<Record<string, unknown>>): BitloomError {
  return new BitloomError(
    'BAD_WEIGHTS',
    `the model gives no usable prediction: ${what}; its weights are damaged, or overflow in the number format in use`,
    details,
  );
}
