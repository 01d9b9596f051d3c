/**
 * Merges of SentencePiece-like vocabularies as GGUF has them: a score for each piece. tokenizer.json lists every way of making a
 * piece, ordered by the scores that its makers had; the order gives scores again.
 */
import { BitloomError } from '../ir/error.ts';
import { mergeList } from './json-vocabulary.ts';
import { canonicalSteps } from './pre-tokenizer.ts';
import { isRecord, type TokenizerJson } from './tokenizer-json.ts';

/** How SentencePiece writes a space. */
export const SPACE_SIGN = '\u2581';

const isSpaceStep = (step: unknown): boolean =>
  isRecord(step) &&
  step.type === 'Replace' &&
  isRecord(step.pattern) &&
  step.pattern.String === ' ' &&
  step.content === SPACE_SIGN;

const isPrependStep = (step: unknown): boolean =>
  isRecord(step) && step.type === 'Prepend' && step.prepend === SPACE_SIGN;

/**
 * Whether a tokenizer puts a space in front of texts; null if it does what SentencePiece does not. The ways that exist
 * differ in texts that begin with a space or follow a control token, where SentencePiece itself always puts one.
 */
export function spaceInFront({ normalizer, pre_tokenizer: preTokenizer }: TokenizerJson): boolean | null {
  const list = isRecord(normalizer) && Array.isArray(normalizer.normalizers) ? normalizer.normalizers : [normalizer];
  const cuts = canonicalSteps(preTokenizer);
  const [first] = cuts;
  if (normalizer === null) {
    const isMetaspace = cuts.length === 1 && first?.type === 'Metaspace' && first.replacement === SPACE_SIGN;
    return isMetaspace ? first.prepend_scheme !== 'never' : null;
  }
  if (!isSpaceStep(list.at(-1)) || list.length > 2) return null;
  // Cutting at spaces does nothing where none is left.
  const cutsNothing = cuts.every((step) => step.type === 'Split' && step.pattern.Regex === SPACES_MERGED);
  if (!cutsNothing || (list.length === 2 && !isPrependStep(list[0]))) return null;
  return list.length === 2;
}

/** Gemma's pre-tokenizer in canonical form. */
const SPACES_MERGED = '(?:(?! )[\\s\\S])*(?: )';

/**
 * Scores by piece: the earlier its first merge, the higher.
 * Throws: UNSUPPORTED_FEATURE if the merges leave out a way of making a piece, which scores cannot say.
 */
export function pieceScores(model: TokenizerJson['model'], tokens: ReadonlySet<string>): Map<string, number> {
  const { merges, separator } = mergeList(model.merges);
  const known = new Set(merges);
  const scores = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const piece = merge.replace(separator, '');
    if (!scores.has(piece)) scores.set(piece, -rank);
  }
  for (const token of tokens) {
    for (let cut = 1; cut < token.length; cut++) {
      const [left, right] = [token.slice(0, cut), token.slice(cut)];
      if (!tokens.has(left) || !tokens.has(right) || known.has(left + separator + right)) continue;
      throw new BitloomError(
        'UNSUPPORTED_FEATURE',
        `the tokenizer cannot be written to GGUF: it never joins ${JSON.stringify(left)} and ${JSON.stringify(right)}, which a score for each piece cannot say`,
        { left, right },
      );
    }
  }
  return scores;
}
