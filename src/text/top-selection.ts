/** The k largest of many scores without sorting them all: a heap of the best so far, whose root is the weakest. */

/** Whether the score at `a` ranks below that at `b`; of equal scores the higher index does. */
function ranksBelow(scores: Float32Array, a: number, b: number): boolean {
  const x = scores[a]!;
  const y = scores[b]!;
  return x < y || (x === y && a > b);
}

function siftDown(heap: Int32Array, size: number, start: number, scores: Float32Array): void {
  const moving = heap[start]!;
  let hole = start;
  for (;;) {
    let child = 2 * hole + 1;
    if (child >= size) break;
    if (child + 1 < size && ranksBelow(scores, heap[child + 1]!, heap[child]!)) child++;
    if (!ranksBelow(scores, heap[child]!, moving)) break;
    heap[hole] = heap[child]!;
    hole = child;
  }
  heap[hole] = moving;
}

/**
 * Writes the indices of the `k` largest scores into `into`, largest first, ties by index. O(n + m log k), where m is how
 * often a score beats the k best before it; allocates nothing.
 * `scores` `[n]` f32 without NaN; 1 <= k <= n; `into` has room for k.
 */
export function selectTop(scores: Float32Array, k: number, into: Int32Array): void {
  for (let i = 0; i < k; i++) into[i] = i;
  for (let i = (k >> 1) - 1; i >= 0; i--) siftDown(into, k, i, scores);
  let weakest = scores[into[0]!]!;
  for (let i = k; i < scores.length; i++) {
    if (scores[i]! > weakest) {
      into[0] = i;
      siftDown(into, k, 0, scores);
      weakest = scores[into[0]!]!;
    }
  }
  for (let size = k - 1; size > 0; size--) {
    const weak = into[0]!;
    into[0] = into[size]!;
    into[size] = weak;
    siftDown(into, size, 0, scores);
  }
}
