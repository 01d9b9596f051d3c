/**
 * Chooses the next token from logits, by a list of steps in the order of llama.cpp's default chain: logit bias,
 * repetition, frequency and presence penalties, top-k, top-p, min-p, temperature, draw. It differs from Hugging Face's
 * order in that temperature comes last and so does not widen what top-p and min-p keep.
 */
import { BitloomError } from '../ir/error.ts';
import { type Candidates, type CutStep, minPStep, topKStep, topPStep } from './candidates.ts';
import { biasStep, type LogitBias, type LogitStep, occurrenceStep, repetitionStep } from './logit-step.ts';
import { Xoshiro128 } from './xoshiro.ts';

/** How to choose. The defaults draw from the model's own distribution. All of it can be cloned to a worker. */
export interface SamplerOptions {
  /** Added to the logits of token ids before all else; -Infinity bans a token. A Map or a record. */
  readonly logitBias?: LogitBias | undefined;
  /** Weakens tokens of prompt and reply: positive logits are divided by it, others multiplied (Keskar et al. 2019). Default: 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Subtracted from a token's logit for each time it was generated, from -2 to 2, as in OpenAI's API. Default: 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Subtracted from the logit of each token that was generated, from -2 to 2, as in OpenAI's API. Default: 0. */
  readonly presencePenalty?: number | undefined;
  /** Keeps the k most likely tokens; 0 keeps all. Default: 0. */
  readonly topK?: number | undefined;
  /** Keeps the fewest most likely tokens whose probabilities sum to this (Holtzman et al. 2019). Default: 1, all. */
  readonly topP?: number | undefined;
  /** Keeps tokens at least this share as likely as the most likely one (Nguyen et al. 2024). Default: 0, all. */
  readonly minP?: number | undefined;
  /** Divides the logits before drawing; 0 takes the most likely token (greedy). Default: 1. */
  readonly temperature?: number | undefined;
  /** Integer from 0 to 2^53 - 1; the same seed, options and logits give the same tokens. Default: a random one. */
  readonly seed?: number | undefined;
}

/** Chooses tokens, one call for each. Belongs to one sequence: its random numbers move on with every draw. */
export interface Sampler {
  /** The seed in use, also where it was chosen at random. */
  readonly seed: number;
  /**
   * Returns the chosen token id. `logits` `[vocabSize]` f32, left unchanged; `history`: ids for the penalties, of which
   * those from index `generatedFrom` on were generated.
   * Throws: BAD_WEIGHTS if a logit is NaN or +Infinity, or none is finite; INVALID_ARGUMENT if the bias bans all tokens.
   */
  sample(logits: Float32Array, history?: ArrayLike<number>, generatedFrom?: number): number;
}

/** Numeric options: default, what is allowed, and that in words. */
const NUMBERS = {
  repetitionPenalty: [1, (x: number) => x > 0 && x < Infinity, 'a number above 0'],
  frequencyPenalty: [0, (x: number) => x >= -2 && x <= 2, 'a number from -2 to 2'],
  presencePenalty: [0, (x: number) => x >= -2 && x <= 2, 'a number from -2 to 2'],
  topK: [0, (x: number) => Number.isSafeInteger(x) && x >= 0, 'an integer from 0'],
  topP: [1, (x: number) => x >= 0 && x <= 1, 'a number from 0 to 1'],
  minP: [0, (x: number) => x >= 0 && x <= 1, 'a number from 0 to 1'],
  temperature: [1, (x: number) => x >= 0 && x < Infinity, 'a number from 0'],
  seed: [undefined, (x: number) => Number.isSafeInteger(x) && x >= 0, 'an integer from 0 to 2^53 - 1'],
} as const;

type NumberName = keyof typeof NUMBERS;

function readNumber(options: SamplerOptions, name: NumberName): number {
  const [usual, isValid, range] = NUMBERS[name];
  const value = options[name] ?? usual ?? randomSeed();
  if (typeof value === 'number' && isValid(value)) return value;
  throw new BitloomError('INVALID_ARGUMENT', `${name} is ${value}; it must be ${range}`, { name, value });
}

const isStep = <T>(step: T | null): step is T => step !== null;

/**
 * Makes a sampler. `vocabSize`: number of logits there will be, where it is known.
 * Throws: INVALID_ARGUMENT for options outside their ranges.
 */
export function createSampler(options: SamplerOptions = {}, vocabSize?: number): Sampler {
  return new StepSampler(options, vocabSize);
}

class StepSampler implements Sampler {
  readonly seed: number;
  readonly #temperature: number;
  readonly #logitSteps: readonly LogitStep[];
  readonly #cutSteps: readonly CutStep[];
  readonly #random: Xoshiro128;
  // Scratch of one vocabulary's size, kept from token to token.
  #changed = new Float32Array(0);
  #weights = new Float64Array(0);
  readonly #candidates: Candidates = {
    scores: this.#changed,
    peak: 0,
    ids: new Int32Array(0),
    count: 0,
    isWhole: true,
  };

  constructor(options: SamplerOptions, vocabSize: number | undefined) {
    const number = (name: NumberName): number => readNumber(options, name);
    this.#logitSteps = [
      biasStep(options.logitBias, vocabSize),
      repetitionStep(number('repetitionPenalty')),
      occurrenceStep(number('frequencyPenalty'), number('presencePenalty')),
    ].filter(isStep);
    this.#cutSteps = [topKStep(number('topK')), topPStep(number('topP')), minPStep(number('minP'))].filter(isStep);
    this.#temperature = number('temperature');
    this.seed = number('seed');
    this.#random = new Xoshiro128(this.seed);
  }

  sample(logits: Float32Array, history: ArrayLike<number> = [], generatedFrom = 0): number {
    const scores = this.#change(logits, history, generatedFrom);
    const best = indexOfMax(scores, logits);
    if (this.#temperature === 0) return best;
    this.#reserve(scores.length);
    const candidates = this.#candidates;
    candidates.scores = scores;
    candidates.peak = scores[best]!;
    candidates.count = scores.length;
    candidates.isWhole = true;
    for (const cut of this.#cutSteps) cut(candidates);
    return this.#draw(candidates);
  }

  #reserve(size: number): void {
    if (this.#weights.length >= size) return;
    this.#candidates.ids = new Int32Array(size);
    this.#weights = new Float64Array(size);
  }

  /** The logits as the logit steps leave them: a copy where there are any. */
  #change(logits: Float32Array, ids: ArrayLike<number>, generatedFrom: number): Float32Array {
    if (this.#logitSteps.length === 0) return logits;
    if (this.#changed.length !== logits.length) this.#changed = new Float32Array(logits.length);
    this.#changed.set(logits);
    for (const step of this.#logitSteps) step(this.#changed, { ids, generatedFrom });
    return this.#changed;
  }

  #draw({ scores, peak, ids, count, isWhole }: Candidates): number {
    const weights = this.#weights;
    let total = 0;
    for (let i = 0; i < count; i++) {
      const weight = Math.exp((scores[isWhole ? i : ids[i]!]! - peak) / this.#temperature);
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
    return isWhole ? chosen : ids[chosen]!;
  }
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Index of the largest score, the first of equals. `logits`: the model's own, to tell whose fault it is where none is. */
function indexOfMax(scores: Float32Array, logits: Float32Array): number {
  let best = -1;
  let peak = -Infinity;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    if (score > peak) {
      peak = score;
      best = i;
    } else if (Number.isNaN(score)) throw badLogits(`logit ${i} is NaN`, { index: i });
  }
  if (best < 0 && logits.some((logit) => logit > -Infinity))
    throw new BitloomError('INVALID_ARGUMENT', 'logitBias bans every token that the model can give; leave one');
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
