/** The plain digests against Node's. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DigestName } from './platform.ts';
import { createPlainDigest } from './sha.ts';

const NAMES: readonly DigestName[] = ['sha1', 'sha256'];
const bytesOf = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => i * 37 + seed + (i >> 6));

test.each(NAMES)('%s of every length around two blocks', (name) => {
  for (let length = 0; length < 140; length++) {
    const digest = createPlainDigest(name);
    digest.update(bytesOf(length));
    expect(digest.hex()).toBe(createHash(name).update(bytesOf(length)).digest('hex'));
  }
});

test.each(NAMES)('%s does not depend on how the bytes come', (name) => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });
  fc.assert(
    fc.property(pieces, (parts) => {
      const [plain, native] = [createPlainDigest(name), createHash(name)];
      for (const part of parts) {
        plain.update(part);
        native.update(part);
      }
      expect(plain.hex()).toBe(native.digest('hex'));
    }),
  );
});

test.each(NAMES)('%s counts bits beyond 32', (name) => {
  // 2^29 bytes are 2^32 bits: the length no longer fits one word.
  const piece = new Uint8Array(2 ** 20);
  const [plain, native] = [createPlainDigest(name), createHash(name)];
  for (let i = 0; i < (process.env.BITLOOM_TEST_ALL ? 513 : 3); i++) {
    plain.update(piece);
    native.update(piece);
  }
  expect(plain.hex()).toBe(native.digest('hex'));
});
