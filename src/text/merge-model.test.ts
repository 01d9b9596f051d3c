import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MergeOptions, rankedMerges, scoredMerges } from './merge-model.ts';
import { UNKNOWN } from './text-model.ts';

const options: MergeOptions = { unknownId: null, fusesUnknown: false, fallsBackToBytes: false, takesWholeWords: false };

/** Joins the best pair, leftmost of equals, until none is left: the definition, one pass over the word for each join. */
function slowly(word: string, rank: (left: string, right: string) => number): string[] {
  const symbols = [...word];
  for (;;) {
    const ranks = symbols.slice(1).map((right, at) => rank(symbols[at]!, right));
    const best = Math.min(...ranks.filter((each) => each >= 0));
    const at = ranks.indexOf(best);
    if (at < 0) return symbols;
    symbols.splice(at, 2, symbols[at]! + symbols[at + 1]!);
  }
}

const letters = ['a', 'b', '🙂'];
/** Vocabularies closed under their parts: each piece is made of two that come before it. */
const vocabularies = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 40 }).map((joins) =>
  joins.reduce<string[]>((tokens, [left, right]) => {
    const joined = tokens[left % tokens.length]! + tokens[right % tokens.length]!;
    return joined.length > 12 || tokens.includes(joined) ? tokens : tokens.concat(joined);
  }, letters),
);
const words = fc.array(fc.constantFrom(...letters), { maxLength: 60 }).map((parts) => parts.join(''));

describe('merging', () => {
  test('by score joins the highest first, the leftmost of equal ones', () => {
    const scored = vocabularies.chain((tokens) =>
      fc.tuple(
        fc.constant(tokens),
        fc.array(fc.integer({ min: -5, max: 0 }), { minLength: tokens.length, maxLength: tokens.length }),
      ),
    );
    fc.assert(
      fc.property(scored, words, ([tokens, scores], word) => {
        const rank = (left: string, right: string) => -(scores[tokens.indexOf(left + right)] ?? 1);
        const expected = slowly(word, rank).map((symbol) => tokens.indexOf(symbol));
        expect(scoredMerges(tokens, scores, options).encode([word])).toEqual(expected);
      }),
    );
  });

  test('by list joins the earliest first', () => {
    const listed = vocabularies.chain((tokens) => {
      const splits = tokens.flatMap((token) =>
        [...token].map((_, cut): [string, string] => [token.slice(0, cut), token.slice(cut)]),
      );
      const merges = splits.filter((parts) => parts.every((part) => tokens.includes(part)));
      return fc.tuple(fc.constant(tokens), fc.shuffledSubarray(merges));
    });
    fc.assert(
      fc.property(listed, words, ([tokens, merges], word) => {
        const rank = (left: string, right: string) => merges.findIndex(([l, r]) => l === left && r === right);
        const expected = slowly(word, rank).map((symbol) => tokens.indexOf(symbol));
        const list = { merges: merges.map((parts) => parts.join(' ')), separator: ' ' };
        expect(rankedMerges(tokens, list, options).encode([word])).toEqual(expected);
      }),
    );
  });

  test('takes as many steps for a long run as its length asks for', () => {
    const tokens = ['a', 'aa', 'aaaa', 'aaaaaaaa'];
    const ids = scoredMerges(tokens, [0, -1, -2, -3], options).encode(['a'.repeat(300_001)]);
    expect([ids.length, ids[0], ids.at(-1)]).toEqual([37_501, 3, 0]);
  });
});

describe('what has no token', () => {
  const bytes = ['<0xE2>', '<0x82>', '<0xAC>'];
  const encode = (tokens: readonly string[], change: Partial<MergeOptions>, word: string) =>
    scoredMerges(
      tokens,
      tokens.map(() => 0),
      { ...options, ...change },
    ).encode([word]);

  test('is spelt in bytes if all of them are tokens', () => {
    expect(encode(['?', 'a', ...bytes], { fallsBackToBytes: true, unknownId: 0 }, 'a€')).toEqual([1, 2, 3, 4]);
    expect(encode(['?', 'a', ...bytes], { fallsBackToBytes: true, unknownId: 0 }, 'aé€')).toEqual([1, 0, 2, 3, 4]);
  });

  test('is unknown, a run of it once or each time', () => {
    expect(encode(['?', 'a'], { unknownId: 0, fusesUnknown: true }, 'xxaxx')).toEqual([0, 1, 0]);
    expect(encode(['?', 'a'], { unknownId: 0 }, 'xxa')).toEqual([0, 0, 1]);
    expect(encode(['a'], {}, 'ax')).toEqual([0, UNKNOWN]);
  });

  test('is spelt character by character where a merge makes no token', () => {
    const model = rankedMerges(['a', 'b'], { merges: ['a b'], separator: ' ' }, options);
    expect(model.encode(['ab'])).toEqual([0, 1]);
  });

  test('a whole word that is a token goes before merges', () => {
    const merges = { merges: ['b c'], separator: ' ' };
    const tokens = ['a', 'b', 'c', 'bc', 'abc'];
    expect(rankedMerges(tokens, merges, options).encode(['abc'])).toEqual([0, 3]);
    expect(rankedMerges(tokens, merges, { ...options, takesWholeWords: true }).encode(['abc', 'ab'])).toEqual([
      4, 0, 1,
    ]);
  });
});
