/** The steps of sampling that cut the vocabulary down to the tokens among which one is drawn. */
import { selectTop } from './top-selection.ts';

/** Tokens still in play. Its memory is kept from token to token. */
export interface Candidates {
  /** Logits `[vocabSize]` f32. */
  scores: Float32Array;
  /** The highest of them. */
  peak: number;
  /** The first `count` are in play, best first; where `isWhole`, all tokens are and `ids` is not filled in. */
  ids: Int32Array;
  count: number;
  isWhole: boolean;
}

/** Leaves the same candidates or fewer, never none. */
export type CutStep = (candidates: Candidates) => void;

/** Where the selection for top-p alone starts; it grows eightfold until the sum is reached. */
const FIRST_NUCLEUS = 64;

function selectBest(candidates: Candidates, count: number): void {
  selectTop(candidates.scores, count, candidates.ids);
  candidates.count = count;
  candidates.isWhole = false;
}

/** Keeps the `k` best. */
export function topKStep(k: number): CutStep | null {
  if (k === 0) return null;
  return (candidates) => {
    if (k < candidates.scores.length) selectBest(candidates, k);
  };
}

/** Keeps the fewest best whose share of the sum over all candidates reaches `p` (Holtzman et al. 2019). */
export function topPStep(p: number): CutStep | null {
  if (p === 1) return null;
  return (candidates) => {
    const { scores, ids, peak, isWhole, count: limit } = candidates;
    const weight = (i: number): number => Math.exp(scores[i]! - peak);
    let total = 0;
    for (let i = 0; i < limit; i++) total += weight(isWhole ? i : ids[i]!);
    const target = p * total;
    for (let size = isWhole ? Math.min(FIRST_NUCLEUS, limit) : limit; ; size = Math.min(size * 8, limit)) {
      if (isWhole) selectBest(candidates, size);
      for (let i = 0, sum = 0; i < size; i++) {
        sum += weight(ids[i]!);
        if (sum < target) continue;
        candidates.count = i + 1;
        return;
      }
      if (size === limit) return;
    }
  };
}

/** Keeps what is at least `share` as likely as the best (Nguyen et al. 2024). */
export function minPStep(share: number): CutStep | null {
  if (share === 0) return null;
  return (candidates) => {
    const { scores, ids, isWhole } = candidates;
    const floor = candidates.peak + Math.log(share);
    let count = 0;
    for (let i = 0; i < candidates.count; i++) {
      const id = isWhole ? i : ids[i]!;
      if (scores[id]! >= floor) ids[count++] = id;
    }
    candidates.count = count;
    candidates.isWhole = false;
  };
}
