/**
 * Pair merging: the model of byte-level vocabularies, which list their merges, and of SentencePiece's "bpe" ones, which
 * give each piece a score. Sources: Sennrich, Haddow and Birch, 2016 (BPE); Kudo and Richardson, 2018 (SentencePiece).
 */
import { type TextModel, UNKNOWN } from './text-model.ts';

/** Rank of joining two neighbours: the lowest goes first, of equal ones the leftmost; -1 if they stay apart. */
type JoinRule = (left: string, right: string) => number;

/** What a vocabulary of merges does besides merging. */
export interface MergeOptions {
  /** Token for what the vocabulary cannot spell; null where there is none. */
  readonly unknownId: number | null;
  /** A run of unknown characters is one unknown token. */
  readonly fusesUnknown: boolean;
  /** Characters without a token are spelt in tokens `<0xNN>` of their UTF-8 bytes, where all of these exist. */
  readonly fallsBackToBytes: boolean;
  /** A word that is a token is taken whole, whatever the merges say. */
  readonly takesWholeWords: boolean;
}

/** Tokens by id; holes have no text. */
export type TokenList = readonly (string | undefined)[];

const idsOf = (tokens: TokenList): Map<string, number> => {
  const ids = new Map<string, number>();
  for (let id = 0; id < tokens.length; id++) {
    const token = tokens[id];
    if (token !== undefined) ids.set(token, id);
  }
  return ids;
};

/** Merges, the first to be made first, each the text of two tokens around a separator. */
export interface MergeList {
  readonly merges: readonly string[];
  readonly separator: string;
}

/** Makes the model of a list of merges. */
export function rankedMerges(tokens: TokenList, { merges, separator }: MergeList, options: MergeOptions): TextModel {
  const ranks = new Map<string, number>();
  for (let rank = 0; rank < merges.length; rank++) ranks.set(merges[rank]!, rank);
  return new MergeModel(tokens, idsOf(tokens), (left, right) => ranks.get(left + separator + right) ?? -1, options);
}

/** Makes the model of a list of scores, one a token: neighbours that spell a token may join, the highest score first. */
export function scoredMerges(tokens: TokenList, scores: ArrayLike<number>, options: MergeOptions): TextModel {
  const ids = idsOf(tokens);
  const sorted = Float64Array.from(scores).sort();
  const rankOf = Int32Array.from(scores, (score) => countAbove(sorted, score));
  const rule: JoinRule = (left, right) => {
    const id = ids.get(left + right);
    return id === undefined ? -1 : rankOf[id]!;
  };
  return new MergeModel(tokens, ids, rule, options);
}

/** How many of the ascending numbers are greater than `value`. */
function countAbove(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return sorted.length - low;
}

/** Words up to this length are remembered, up to this many. */
const CACHED = { length: 48, words: 20_000 } as const;
/** A place in the queue is one number, rank first, so that plain comparison orders by rank and then by position. */
const POSITIONS = 2 ** 29;

class MergeModel implements TextModel {
  readonly tokens: TokenList;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #rule: JoinRule;
  readonly #options: MergeOptions;
  readonly #byteIds: readonly (number | undefined)[];
  readonly #cache = new Map<string, readonly number[]>();
  readonly #encoder = new TextEncoder();

  constructor(tokens: TokenList, ids: ReadonlyMap<string, number>, rule: JoinRule, options: MergeOptions) {
    this.tokens = tokens;
    this.#ids = ids;
    this.#rule = rule;
    this.#options = options;
    const byteToken = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    this.#byteIds = options.fallsBackToBytes ? Array.from({ length: 256 }, (_, byte) => ids.get(byteToken(byte))) : [];
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  encode(words: readonly string[]): number[] {
    const ids: number[] = [];
    for (const word of words) {
      for (const id of this.#encodeWord(word)) ids.push(id);
    }
    return ids;
  }

  #encodeWord(word: string): readonly number[] {
    const known = this.#cache.get(word);
    if (known !== undefined) return known;
    const whole = this.#options.takesWholeWords ? this.#ids.get(word) : undefined;
    const ids = whole === undefined ? this.#merge(word) : [whole];
    if (word.length <= CACHED.length) {
      if (this.#cache.size >= CACHED.words) this.#cache.clear();
      this.#cache.set(word, ids);
    }
    return ids;
  }

  #merge(word: string): number[] {
    const starts: number[] = [];
    let offset = 0;
    for (const character of word) {
      starts.push(offset);
      offset += character.length;
    }
    starts.push(offset);
    const next = joinNeighbours(word, starts, this.#rule);
    const ids: number[] = [];
    for (let at = 0; at < next.length; at = next[at]!) {
      const symbol = word.slice(starts[at]!, starts[next[at]!]!);
      const id = this.#ids.get(symbol);
      if (id !== undefined) ids.push(id);
      else for (const character of symbol) this.#spell(character, ids);
    }
    return ids;
  }

  /** Spells a character: by its token, in bytes, else as unknown. */
  #spell(character: string, into: number[]): void {
    const { fallsBackToBytes, unknownId, fusesUnknown } = this.#options;
    const own = this.#ids.get(character);
    const bytes = fallsBackToBytes ? Array.from(this.#encoder.encode(character), (byte) => this.#byteIds[byte]) : [];
    if (own !== undefined) into.push(own);
    else if (bytes.length > 0 && !bytes.includes(undefined)) into.push(...(bytes as number[]));
    else if (unknownId === null) into.push(UNKNOWN);
    else if (!fusesUnknown || into.at(-1) !== unknownId) into.push(unknownId);
  }
}

/**
 * Joins neighbouring symbols of a word until no rule applies; at first each character is one, and symbol `i` spells
 * `word.slice(starts[i], starts[next[i]])`. Returns `next`, by which the symbols that remain are found from 0 on.
 * O(n log n): a queue holds each pair that may join; one whose symbols have changed since is known by its rank.
 */
function joinNeighbours(word: string, starts: readonly number[], rule: JoinRule): number[] {
  const count = starts.length - 1;
  const next = Array.from({ length: count }, (_, at) => at + 1);
  const previous = Array.from({ length: count + 1 }, (_, at) => at - 1);
  const ranks = new Array<number>(count).fill(-1);
  const queue = new NumberHeap();
  const consider = (at: number): void => {
    const right = next[at]!;
    const middle = starts[right]!;
    const rank = right < count ? rule(word.slice(starts[at]!, middle), word.slice(middle, starts[next[right]!]!)) : -1;
    ranks[at] = rank;
    if (rank >= 0) queue.push(rank * POSITIONS + at);
  };
  for (let at = 0; at < count; at++) consider(at);
  for (let place = queue.pop(); place !== undefined; place = queue.pop()) {
    const at = place % POSITIONS;
    if (ranks[at] !== (place - at) / POSITIONS) continue;
    const right = next[at]!;
    next[at] = next[right]!;
    previous[next[right]!] = at;
    ranks[right] = -1;
    consider(at);
    if (previous[at]! >= 0) consider(previous[at]!);
  }
  return next;
}

/** A queue of numbers, the smallest first. */
class NumberHeap {
  readonly #heap: number[] = [];

  push(value: number): void {
    const heap = this.#heap;
    let hole = heap.length;
    heap.push(value);
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (heap[parent]! <= value) break;
      heap[hole] = heap[parent]!;
      hole = parent;
    }
    heap[hole] = value;
  }

  pop(): number | undefined {
    const heap = this.#heap;
    const [top, last] = [heap[0], heap.pop()];
    if (heap.length === 0 || last === undefined) return top;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = last;
    return top;
  }
}
