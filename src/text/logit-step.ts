/**
 * The steps of sampling that change logits before tokens are cut and drawn: bias and penalties. Each is a function made
 * from its option, or null where the option changes nothing; the sampler runs the list in order.
 */
import { BitloomError } from '../ir/error.ts';

/** What is known when a token is chosen. */
export interface TokenHistory {
  /** Ids so far, the prompt's included. */
  readonly ids: ArrayLike<number>;
  /** Index in `ids` of the first generated one. */
  readonly generatedFrom: number;
}

/** Changes logits `[vocabSize]` f32 in place. */
export type LogitStep = (logits: Float32Array, history: TokenHistory) => void;

/** Additions to logits by token id; -Infinity bans a token. */
export type LogitBias = ReadonlyMap<number, number> | Readonly<Record<number, number>>;

/** Tells the first occurrence of each id in a pass over a history. */
class FirstOccurrences {
  #marks = new Int32Array(0);
  #pass = 0;

  begin(vocabSize: number): void {
    if (this.#marks.length < vocabSize) this.#marks = new Int32Array(vocabSize);
    this.#pass++;
  }

  /** False for ids seen in this pass and for ids outside the vocabulary. */
  isFirst(id: number): boolean {
    if (this.#marks[id] === undefined || this.#marks[id] === this.#pass) return false;
    this.#marks[id] = this.#pass;
    return true;
  }
}

/** Entries of a bias that change something. Throws INVALID_ARGUMENT for ids or values that cannot be. */
function biasEntries(bias: LogitBias): [number, number][] {
  const entries =
    bias instanceof Map ? [...bias.entries()] : Object.entries(bias).map(([id, value]) => [Number(id), value]);
  for (const [id, value] of entries as [number, number][]) {
    if (!Number.isSafeInteger(id) || id < 0)
      throw new BitloomError('INVALID_ARGUMENT', `logitBias names token ${id}; ids are integers from 0`, { id });
    if (typeof value !== 'number' || Number.isNaN(value) || value === Infinity) {
      const message = `logitBias of token ${id} is ${value}; it must be a finite number, or -Infinity to ban the token`;
      throw new BitloomError('INVALID_ARGUMENT', message, { id, value });
    }
  }
  return (entries as [number, number][]).filter(([, value]) => value !== 0);
}

/** Adds to the logits of some tokens. Throws INVALID_ARGUMENT, also when run, for ids that the vocabulary lacks. */
export function biasStep(bias: LogitBias | undefined, vocabSize: number | undefined): LogitStep | null {
  const entries = biasEntries(bias ?? {});
  const highest = entries.reduce((most, [id]) => Math.max(most, id), -1);
  const requireKnown = (size: number): void => {
    if (highest < size) return;
    const message = `logitBias names token ${highest}; the vocabulary has ${size}, ids from 0 to ${size - 1}`;
    throw new BitloomError('INVALID_ARGUMENT', message, { id: highest, vocabSize: size });
  };
  if (vocabSize !== undefined) requireKnown(vocabSize);
  if (entries.length === 0) return null;
  return (logits) => {
    requireKnown(logits.length);
    for (const [id, value] of entries) logits[id]! += value;
  };
}

/** Weakens each token of the history once: positive logits are divided, others multiplied (Keskar et al. 2019, CTRL). */
export function repetitionStep(penalty: number): LogitStep | null {
  if (penalty === 1) return null;
  const seen = new FirstOccurrences();
  return (logits, { ids }) => {
    seen.begin(logits.length);
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (seen.isFirst(id)) logits[id] = logits[id]! > 0 ? logits[id]! / penalty : logits[id]! * penalty;
    }
  };
}

/** Subtracts `frequency` for each time a token was generated, and `presence` once where it was. */
export function occurrenceStep(frequency: number, presence: number): LogitStep | null {
  if (frequency === 0 && presence === 0) return null;
  const seen = new FirstOccurrences();
  return (logits, { ids, generatedFrom }) => {
    seen.begin(logits.length);
    for (let i = generatedFrom; i < ids.length; i++) {
      const id = ids[i]!;
      logits[id]! -= seen.isFirst(id) ? frequency + presence : frequency;
    }
  };
}
