import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import { collect, failure, GGUF } from './file.fixture.ts';
import {
  type ByteSource,
  f32Value,
  ggufPieces,
  memorySource,
  openGguf,
  readTensor,
  readTensorRows,
  tensorEntry,
} from './index.ts';

const open = (bytes: Uint8Array) => openGguf(memorySource(bytes, 'x.gguf'));

/** Header bytes from a list of parts: numbers are u32, bigints u64, strings GGUF strings, arrays raw bytes. */
function header(...parts: (number | bigint | string | number[])[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(
      parts.map((part) => {
        if (Array.isArray(part)) return Buffer.from(part);
        const text = typeof part === 'string' ? Buffer.from(part) : Buffer.alloc(0);
        const number = Buffer.alloc(typeof part === 'number' ? 4 : 8);
        if (typeof part === 'number') number.writeUInt32LE(part);
        else number.writeBigUInt64LE(typeof part === 'bigint' ? part : BigInt(text.length));
        return Buffer.concat([number, text]);
      }),
    ),
  );
}
const MAGIC = 0x46554747;
const start = (tensors: bigint, keys: bigint) => [MAGIC, 3, tensors, keys] as const;
const tensor = (name: string, sizes: bigint[], type: number, offset: bigint) =>
  [name, sizes.length, ...sizes, type, offset] as const;
const data = (bytes: number) => Array.from({ length: bytes }, () => 0);

describe('GGUF', () => {
  it('reads what it writes: values, types and tensors', async () => {
    const opened = await open(await collect(ggufPieces(GGUF)));
    expect(Object.fromEntries(opened.metadata)).toEqual({
      'general.architecture': 'llama',
      answer: 42,
      below: -5,
      half: 0.5,
      fine: 0.1,
      byte: 200,
      big: 2n ** 63n,
      long: -7,
      yes: true,
      words: ['a', 'é', '', '\ufeffx', '漢😀'],
      flags: [true, false],
      ids: Int32Array.of(1, -2, 3),
      scores: Float32Array.of(0.5, -1),
      nested: [['x'], ['y', 'z']],
    });
    expect(Object.fromEntries(opened.metadataTypes)).toMatchObject({
      answer: 'u32',
      below: 'i32',
      half: 'f32',
      fine: 'f64',
      byte: 'u8',
      big: 'u64',
      long: 'i64',
      ids: 'array',
    });
    expect([...opened.tensors.keys()]).toEqual(GGUF.tensors.map(({ name }) => name));
    for (const { name, element, shape, data: expected } of GGUF.tensors) {
      const entry = opened.tensors.get(name)!;
      expect(entry).toMatchObject({ element, shape });
      expect(entry.byteOffset % 32).toBe(0);
      const target = new Uint8Array(entry.byteLength);
      await readTensor(entry, target);
      expect(target).toEqual(expected);
    }
  });

  it('obeys general.alignment', async () => {
    const content = { ...GGUF, metadata: new Map([...GGUF.metadata, ['general.alignment', 256] as const]) };
    for (const { byteOffset } of (await open(await collect(ggufPieces(content)))).tensors.values())
      expect(byteOffset % 256).toBe(0);
  });

  it('reads rows by range', async () => {
    const opened = await open(await collect(ggufPieces(GGUF)));
    const entry = tensorEntry(opened, 'packed');
    const whole = GGUF.tensors.find(({ name }) => name === 'packed')!.data as Uint8Array;
    const target = new Uint8Array(36);
    await readTensorRows(entry, 1, 1, target);
    expect(target).toEqual(whole.subarray(36, 72));
    await expect(readTensorRows(entry, 3, 1, target)).rejects.toThrow(failure('INVALID_ARGUMENT'));
    await expect(readTensorRows(entry, 0, 1, new Uint8Array(35))).rejects.toThrow(failure('INVALID_ARGUMENT'));
    expect(() => tensorEntry(opened, 'absent')).toThrow(failure('MISSING_TENSOR', 'absent'));
  });

  it('reads a header that is longer than the first window, and no data', async () => {
    const words = Array.from({ length: 3 }, (_, i) => `${i}`.repeat(2_000_000));
    const bytes = await collect(ggufPieces({ ...GGUF, metadata: new Map([['words', words]]) }));
    let most = 0;
    const inner = memorySource(bytes);
    const source: ByteSource = {
      ...inner,
      sizeBytes: 2 ** 40,
      async readInto(target, offset) {
        most = Math.max(most, offset + target.length);
        await inner.readInto(target, offset);
        return target.length;
      },
    };
    expect((await openGguf(source)).metadata.get('words')).toEqual(words);
    expect(most).toBeLessThanOrEqual(2 ** 24);
  });

  it.each([
    ['empty file', new Uint8Array(0), 'truncated'],
    ['another signature', header(0x12345678, 3, 0n, 0n), 'is no GGUF file'],
    ['cut in the counts', header(MAGIC, 3, 0n), 'truncated'],
    ['tensor count near 2^64', header(...start(2n ** 64n - 1n, 0n)), 'number of tensors'],
    ['key count near 2^53', header(...start(0n, 2n ** 53n + 1n)), 'number of metadata keys'],
    ['string length near 2^64', header(...start(0n, 1n), 2n ** 64n - 1n, data(32)), 'metadata key 0'],
    ['list length near 2^53', header(...start(0n, 1n), 'k', 9, 4, 2n ** 53n, data(32)), 'more than the file can hold'],
    ['unknown value type', header(...start(0n, 1n), 'k', 13, data(8)), 'unknown type 13'],
    ['boolean of 2', header(...start(0n, 1n), 'k', 7, [2]), 'boolean of value 2'],
    ['invalid UTF-8', header(...start(0n, 1n), 1n, [0xff], 7, [1]), 'not valid UTF-8'],
    ['overlong UTF-8', header(...start(0n, 1n), 2n, [0xc0, 0x80], 7, [1]), 'not valid UTF-8'],
    ['cut UTF-8', header(...start(0n, 1n), 2n, [0x61, 0xc3], 7, [1]), 'not valid UTF-8'],
    ['key twice', header(...start(0n, 2n), 'k', 7, [1], 'k', 7, [1]), 'twice'],
    ['lists nested too deep', header(...start(0n, 1n), 'k', 9, 9, 1n, 9, 1n, 9, 1n, 9, 1n, 4, 0n), 'deep'],
    ['alignment of 24', header(...start(0n, 1n), 'general.alignment', 4, 24), 'power of two'],
    ['alignment of text', header(...start(0n, 1n), 'general.alignment', 8, 'x'), 'power of two'],
    ['five axes', header(...start(1n, 0n), ...tensor('w', [1n, 1n, 1n, 1n, 1n], 0, 0n), data(64)), '5 axes'],
    ['size beyond 2^53', header(...start(1n, 0n), ...tensor('w', [2n ** 63n], 0, 0n), data(64)), 'beyond any file'],
    [
      'product beyond 2^53',
      header(...start(1n, 0n), ...tensor('w', [2n ** 40n, 2n ** 40n], 0, 0n), data(64)),
      'absurd shape',
    ],
    ['offset near 2^53', header(...start(1n, 0n), ...tensor('w', [1n], 0, 2n ** 53n - 32n), data(64)), 'truncated'],
    ['misaligned offset', header(...start(1n, 0n), ...tensor('w', [1n], 0, 4n), data(64)), 'not aligned'],
    ['truncated data', header(...start(1n, 0n), ...tensor('w', [16n], 0, 0n), data(63)), 'truncated'],
    ['part of a block', header(...start(1n, 0n), ...tensor('w', [16n], 2, 0n), data(64)), 'blocks of 32'],
    [
      'overlap',
      header(...start(2n, 0n), ...tensor('a', [16n], 0, 0n), ...tensor('b', [16n], 0, 32n), data(160)),
      'overlaps',
    ],
    [
      'tensor twice',
      header(...start(2n, 0n), ...tensor('a', [1n], 0, 0n), ...tensor('a', [1n], 0, 32n), data(160)),
      'two tensors',
    ],
  ])('refuses: %s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(failure('BAD_FILE', message));
  });

  it('names what is supported', async () => {
    await expect(open(header(...start(1n, 0n), ...tensor('w', [256n], 16, 0n), data(256)))).rejects.toThrow(
      failure('UNSUPPORTED_DTYPE', 'IQ2_XXS; supported are F32, F16'),
    );
    await expect(open(header(MAGIC, 1, 0n, 0n))).rejects.toThrow(failure('UNSUPPORTED_FEATURE', 'version 1'));
    await expect(open(header(MAGIC, 0x03000000, 0n, 0n))).rejects.toThrow(failure('UNSUPPORTED_FEATURE', 'big-endian'));
  });

  it('refuses to write what has no type or does not fit it', async () => {
    const write = (
      metadata: [
        string,
        Parameters<typeof ggufPieces>[0]['metadata'] extends ReadonlyMap<string, infer V> ? V : never,
      ][],
    ) => collect(ggufPieces({ metadata: new Map(metadata), tensors: [] }));
    await expect(write([['k', 0.5]])).rejects.toThrow(failure('INVALID_ARGUMENT', 'f32Value'));
    await expect(write([['k', 2 ** 33]])).rejects.toThrow(failure('INVALID_ARGUMENT', 'does not fit u32'));
    await expect(write([['k', { type: 'u8', value: -1 }]])).rejects.toThrow(
      failure('INVALID_ARGUMENT', 'does not fit u8'),
    );
    expect((await open(await write([['k', f32Value(3)]]))).metadataTypes.get('k')).toBe('f32');
  });

  it('survives mutated and random files', async () => {
    const valid = await collect(ggufPieces(GGUF));
    const inHeader = fc.nat(600);
    const edits = fc.array(fc.tuple(inHeader, fc.nat(255)), { maxLength: 5 });
    const mutated = fc.tuple(edits, fc.nat(valid.length)).map(([list, cut]) => {
      const bytes = valid.slice();
      for (const [at, byte] of list) bytes[at] = byte;
      return cut % 3 === 0 ? bytes.subarray(0, cut) : bytes;
    });
    const random = fc.uint8Array({ maxLength: 300 }).map((tail) => new Uint8Array([...valid.subarray(0, 8), ...tail]));
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, random), async (bytes) => {
        const error = await open(bytes).then(
          () => undefined,
          (e: unknown) => e,
        );
        const isExpected = error instanceof BitloomError && /^(BAD_FILE|UNSUPPORTED_(DTYPE|FEATURE))$/.test(error.code);
        if (error !== undefined && !isExpected) throw error;
      }),
      { numRuns: 2000 },
    );
  });
});
