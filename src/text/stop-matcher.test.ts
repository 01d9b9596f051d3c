import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StopMatcher } from './index.ts';

interface Outcome {
  readonly text: string;
  readonly stopped: string | null;
}

function run(stops: readonly string[], pieces: readonly string[]): Outcome {
  const matcher = new StopMatcher(stops);
  let text = '';
  for (const piece of pieces) {
    const match = matcher.push(piece);
    text += match.text;
    if (match.stopped !== null) return { text, stopped: match.stopped };
  }
  return { text: text + matcher.flush(), stopped: null };
}

/** The same by searching ever longer beginnings of the whole text. */
function search(stops: readonly string[], whole: string): Outcome {
  for (let end = 0; end <= whole.length; end++) {
    const found = stops.filter((stop) => whole.slice(0, end).endsWith(stop));
    if (found.length === 0) continue;
    const stopped = found.reduce((a, b) => (b.length > a.length ? b : a));
    return { text: whole.slice(0, end - stopped.length), stopped };
  }
  return { text: whole, stopped: null };
}

describe('stop strings', () => {
  const letters = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
    fc.string({ unit: fc.constantFrom('a', 'b', '🙂'), minLength, maxLength });

  test('are found as in the whole text, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(letters(1, 5), { maxLength: 4 }),
        fc.array(letters(0, 6), { maxLength: 8 }),
        (stops, pieces) => {
          expect(run(stops, pieces)).toEqual(search(stops, pieces.join('')));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('nothing is let through that could still become a stop string, and all else is', () => {
    fc.assert(
      fc.property(fc.array(letters(1, 4), { maxLength: 3 }), letters(0, 12), (stops, text) => {
        const matcher = new StopMatcher(stops);
        const match = matcher.push(text);
        if (match.stopped !== null) return;
        const held = text.slice(match.text.length);
        const prefixes = stops.flatMap((stop) => Array.from({ length: stop.length }, (_, end) => stop.slice(0, end)));
        const longest = prefixes
          .filter((prefix) => text.endsWith(prefix))
          .reduce((a, b) => (b.length > a.length ? b : a), '');
        expect(held).toBe(longest);
        expect(matcher.flush()).toBe(held);
      }),
      { numRuns: 400 },
    );
  });

  test('the one complete first wins, of equals the longest', () => {
    expect(run(['abcd', 'bc'], ['xabcd'])).toEqual({ text: 'xa', stopped: 'bc' });
    expect(run(['c', 'abc'], ['xa', 'bcd'])).toEqual({ text: 'x', stopped: 'abc' });
  });

  test('after a stop everything is swallowed', () => {
    const matcher = new StopMatcher(['\n\n']);
    expect(matcher.push('one\n')).toEqual({ text: 'one', stopped: null });
    expect(matcher.push('\ntwo')).toEqual({ text: '', stopped: '\n\n' });
    expect(matcher.push('three')).toEqual({ text: '', stopped: '\n\n' });
    expect(matcher.flush()).toBe('');
  });

  test('must have characters, whole ones', () => {
    expect(() => new StopMatcher(['a', ''])).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => new StopMatcher(['\ud83d'])).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
