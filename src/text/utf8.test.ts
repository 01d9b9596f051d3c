import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeUtf8, requireWellFormed } from './index.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

test('valid UTF-8 decodes, byte order mark and replacement characters included', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(decodeUtf8(bytesOf(text))).toBe(text);
    }),
  );
  expect(decodeUtf8(bytesOf('\ufeffa\ufffd'))).toBe('\ufeffa\ufffd');
});

test.each([
  ['a stray continuation byte', [0x61, 0x80], 1],
  ['an overlong form', [0xc0, 0xaf], 0],
  ['a surrogate', [0x61, 0xed, 0xa0, 0x80], 1],
  ['beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80], 0],
  ['a cut end after a real replacement character', [0xef, 0xbf, 0xbd, 0x62, 0xe2, 0x82], 4],
  ['half a replacement character', [0x61, 0xef, 0xbf], 1],
  ['a sequence broken off by a letter', [0xc3, 0xa9, 0xf0, 0x9f, 0x99, 0x61], 2],
])('%s is refused with its offset', (_, bytes, byteOffset) => {
  expect(() => decodeUtf8(Uint8Array.from(bytes))).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', details: { byteOffset, sizeBytes: bytes.length } }),
  );
});

test('random bytes decode exactly or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      let text: string;
      try {
        text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        expect(() => decodeUtf8(bytes)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
        return;
      }
      expect(decodeUtf8(bytes)).toBe(text);
    }),
    { numRuns: 400 },
  );
});

test('lone surrogates are refused, pairs are not', () => {
  expect(requireWellFormed('a🙂b', 'it')).toBe('a🙂b');
  expect(() => requireWellFormed('🙂\ude42', 'the prompt')).toThrow(
    /the prompt holds a lone surrogate \(U\+DE42 at index 2\)/,
  );
});
