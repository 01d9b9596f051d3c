/** Log-probabilities of tokens: what a model thought of the token that was chosen, and of the likeliest others. */
import { selectTop } from './top-selection.ts';

/** A token id with its natural logarithm of probability. */
export interface TokenProbability {
  readonly tokenId: number;
  readonly logprob: number;
}

/**
 * Log-softmax of the model's own logits `[vocabSize]` f32, before bias, penalties and temperature, at `tokenId` and
 * at the `topCount` likeliest tokens, likeliest first. Sums in f64 around the peak, so that no logit overflows.
 */
export function logProbabilities(
  logits: Float32Array,
  tokenId: number,
  topCount: number,
): { logprob: number; top: TokenProbability[] } {
  let peak = -Infinity;
  for (const logit of logits) if (logit > peak) peak = logit;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - peak);
  const norm = peak + Math.log(total);
  const count = Math.min(topCount, logits.length);
  const ids = new Int32Array(count);
  if (count > 0) selectTop(logits, count, ids);
  const top = Array.from(ids, (id) => ({ tokenId: id, logprob: logits[id]! - norm }));
  return { logprob: logits[tokenId]! - norm, top };
}
