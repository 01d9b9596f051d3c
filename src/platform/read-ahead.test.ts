import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import type { RandomAccessFile } from './platform.ts';
import { readAhead } from './read-ahead.ts';

const SIZE = 9_500_001;
const content = Uint8Array.from({ length: SIZE }, (_, i) => (i * 31 + (i >> 8)) & 255);

/** A file that counts how often it is asked. */
function slowFile(): { file: RandomAccessFile; reads: [offset: number, bytes: number][]; closed: () => number } {
  const reads: [number, number][] = [];
  let closed = 0;
  const file: RandomAccessFile = {
    name: 'slow',
    sizeBytes: SIZE,
    async readInto(target, offset, signal) {
      reads.push([offset, target.length]);
      await new Promise((resolve) => setTimeout(resolve));
      if (signal?.aborted) throw new BitloomError('ABORTED', 'stopped', {}, { cause: signal.reason });
      const piece = content.subarray(offset, offset + target.length);
      target.set(piece);
      return piece.length;
    },
    async close() {
      closed++;
    },
  };
  return { file, reads, closed: () => closed };
}

test('gives the same bytes as the file, at any place, in any order', async () => {
  const piece = fc.record({
    offset: fc.integer({ min: 0, max: SIZE + 10 }),
    length: fc.integer({ min: 0, max: 300_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const file = readAhead(slowFile().file);
      const read = async ({ offset, length }: { offset: number; length: number }): Promise<void> => {
        const target = new Uint8Array(length + 1).fill(7);
        const expected = content.subarray(offset, offset + length);
        expect(await file.readInto(target.subarray(0, length), offset)).toBe(expected.length);
        expect(Buffer.compare(target.subarray(0, expected.length), expected)).toBe(0);
        expect(target[length]).toBe(7);
      };
      await Promise.all(pieces.slice(0, 3).map(read));
      for (const each of pieces) await read(each);
    }),
    { numRuns: 30 },
  );
});

test('small reads in order cost few requests, and large ones one each', async () => {
  const { file, reads } = slowFile();
  const ahead = readAhead(file);
  for (let offset = 0; offset < SIZE; offset += 20_000) await ahead.readInto(new Uint8Array(20_000), offset);
  expect(reads.length).toBeLessThanOrEqual(9);
  const { file: other, reads: otherReads } = slowFile();
  await readAhead(other).readInto(new Uint8Array(5_000_000), 123);
  expect(otherReads).toEqual([[123, 5_000_000]]);
});

test('one reader that gives up does not end the others', async () => {
  const { file, reads } = slowFile();
  const ahead = readAhead(file);
  const stop = new AbortController();
  const given = ahead.readInto(new Uint8Array(10), 0, stop.signal);
  const kept = ahead.readInto(new Uint8Array(10), 5);
  stop.abort('enough');
  await expect(given).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' });
  expect(await kept).toBe(10);
  expect(reads.length).toBe(2);
});

test('what failed is asked for again; closing closes the file', async () => {
  const { file, closed } = slowFile();
  let fails = true;
  const readInto: RandomAccessFile['readInto'] = (target, offset) => {
    if (fails) return Promise.reject(new BitloomError('BAD_FILE', 'cut'));
    return file.readInto(target, offset);
  };
  const ahead = readAhead({ ...file, readInto });
  await expect(ahead.readInto(new Uint8Array(4), 0)).rejects.toMatchObject({ code: 'BAD_FILE' });
  fails = false;
  expect(await ahead.readInto(new Uint8Array(4), 0)).toBe(4);
  await ahead.close();
  expect(closed()).toBe(1);
});
