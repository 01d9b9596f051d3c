/** The passes, in the order in which they run. */
import { eliminateCommonSubexpressions } from './cse.ts';
import { decompose } from './decompose.ts';
import { foldConstants } from './fold.ts';
import { movePackedAsBytes } from './packed-views.ts';
import type { Pass } from './pass.ts';
import { simplify } from './simplify.ts';

export { decompose, eliminateCommonSubexpressions, foldConstants, movePackedAsBytes, simplify };

/**
 * Decomposition first, so that the rest sees primitives; packed moves before simplification, which then
 * removes their bitcasts; common sub-expressions last, over what the others made equal.
 */
export const DEFAULT_PASSES: readonly Pass[] = [
  decompose,
  movePackedAsBytes,
  foldConstants,
  simplify,
  eliminateCommonSubexpressions,
];
