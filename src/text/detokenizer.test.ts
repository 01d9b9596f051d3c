import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Detokenizer } from './detokenizer.ts';
import { tokenizerFromGguf, tokenizerFromJson } from './index.ts';
import { pieceMetadata, readReference } from './testing/reference.ts';
import { anyText, tinyJson, tinyTokenizerJson } from './testing/tiny.ts';

const tiny = tokenizerFromJson(tinyTokenizerJson(), tinyJson('tokenizer_config.json'));
/** Ids of the tokens that stand for single bytes. */
const byteIds = Array.from({ length: 4096 }, (_, id) => id).filter((id) => tiny.idToBytes(id).length === 1);
const idOfByte = (byte: number): number => byteIds.find((id) => tiny.idToBytes(id)[0] === byte)!;

/** Pieces with scores; ids 0 to 2 are control tokens, 3 to 258 single bytes. */
const pieces = tokenizerFromGguf(pieceMetadata(readReference(), 'llama'));
/** What ids spell without control tokens. */
const spelt = (ids: readonly number[]): string =>
  ids.map((id) => (pieces.isSpecial(id) ? '' : String.fromCharCode(...pieces.idToBytes(id)))).join('');

function streamed(ids: readonly number[]): string[] {
  const stream = tiny.detokenizer({ skipSpecial: false });
  return [...ids.map((id) => stream.push(id)), stream.flush()];
}

describe('a stream of tokens', () => {
  test('gives the same text as all at once, for any ids', () => {
    const id = fc.oneof(fc.nat(4095), fc.constantFrom(...byteIds));
    fc.assert(
      fc.property(fc.array(id, { maxLength: 60 }), (ids) => {
        const bytes = Uint8Array.from(ids.flatMap((id) => [...tiny.idToBytes(id)]));
        const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
        expect(streamed(ids).join('')).toBe(whole);
        expect(tiny.decode(ids, { skipSpecial: false })).toBe(whole);
      }),
      { numRuns: 200 },
    );
  });

  test('gives the same text as all at once from SentencePiece-like pieces, whose first space is not part of it', () => {
    const id = fc.oneof(fc.nat(pieces.vocabSize - 1), fc.integer({ min: 3, max: 258 }));
    fc.assert(
      fc.property(fc.array(id, { maxLength: 40 }), (ids) => {
        const stream = pieces.detokenizer();
        const text = ids.map((id) => stream.push(id)).join('') + stream.flush();
        expect(text).toBe(pieces.decode(ids));
        expect(pieces.decode(ids, { continues: true })).toBe(/^ /.test(spelt(ids)) ? ` ${text}` : text);
      }),
      { numRuns: 200 },
    );
  });

  test('never splits a character', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const pieces = streamed(tiny.encode(text, { addBos: false }));
        expect(pieces.join('')).toBe(text);
        for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
        expect(pieces.join('').split('\ufffd')).toHaveLength(text.split('\ufffd').length);
      }),
      { numRuns: 150 },
    );
  });

  test('holds the bytes of a character back until they are complete', () => {
    const ids = [0xf0, 0x9f, 0x99, 0x82, 0x21].map(idOfByte);
    expect(streamed(ids)).toEqual(['', '', '', '🙂', '!', '']);
  });

  test('gives up on a character as soon as it cannot be completed, and at the end', () => {
    expect(streamed([0xe2, 0x82, 0x21].map(idOfByte))).toEqual(['', '', '\ufffd!', '']);
    expect(streamed([0xe2, 0x82].map(idOfByte))).toEqual(['', '', '\ufffd']);
    expect(streamed([idOfByte(0xe2), 3])).toEqual(['', '\ufffd<|end|>', '']);
  });

  test('starts anew after a flush', () => {
    const stream = tiny.detokenizer();
    stream.push(idOfByte(0xe2));
    expect(stream.flush()).toBe('\ufffd');
    expect(stream.push(idOfByte(0x41))).toBe('A');
  });

  test('drops leading spaces once, across pushes, only at the start', () => {
    const texts = [' ', ' ', 'a', ' ', 'b'];
    const tokens = { isSpecial: () => false, idToBytes: (id: number) => new TextEncoder().encode(texts[id]) };
    const run = (leadingSpaces: number): string => {
      const stream = new Detokenizer(tokens, true, leadingSpaces);
      return texts.map((_, id) => stream.push(id)).join('') + stream.flush();
    };
    expect([run(0), run(1), run(2), run(3)]).toEqual(['  a b', ' a b', 'a b', 'a b']);
  });
});
