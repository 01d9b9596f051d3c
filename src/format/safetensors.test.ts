import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import { pack, Q4_0 } from '../quant/index.ts';
import { collect, FLOATS, failure } from './file.fixture.ts';
import { memorySource, openSafetensors, readTensor, safetensorsPieces, type TensorSource } from './index.ts';

/** A file with this header text (or its declared length) and `dataBytes` of data. */
function file(header: string, dataBytes: number, declaredLength = BigInt(Buffer.byteLength(header))): Uint8Array {
  const bytes = Buffer.concat([Buffer.alloc(8), Buffer.from(header), Buffer.alloc(dataBytes)]);
  bytes.writeBigUInt64LE(declaredLength);
  return new Uint8Array(bytes);
}
const open = (bytes: Uint8Array) => openSafetensors(memorySource(bytes, 'x.safetensors'));
const one = (fields: object) => JSON.stringify({ w: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields } });

describe('safetensors', () => {
  it('reads what it writes', async () => {
    const bytes = await collect(safetensorsPieces(FLOATS, new Map([['format', 'pt']])));
    const opened = await open(bytes);
    expect([...opened.metadata]).toEqual([['format', 'pt']]);
    for (const { name, element, shape, data } of FLOATS) {
      const entry = opened.tensors.get(name)!;
      expect(entry).toMatchObject({ element, shape });
      const target = new Uint8Array(entry.byteLength);
      await readTensor(entry, target);
      expect(target).toEqual(data);
    }
    expect((await open(await collect(safetensorsPieces([])))).tensors.size).toBe(0);
  });

  it('keeps every tensor aligned to its element', async () => {
    const opened = await open(await collect(safetensorsPieces(FLOATS.toReversed())));
    for (const { byteOffset, element } of opened.tensors.values())
      expect(byteOffset % (element === 'f32' ? 4 : element === 'i8' ? 1 : 2)).toBe(0);
  });

  it('takes the order of a file with data before the header says so', async () => {
    const header = JSON.stringify({
      b: { dtype: 'U8', shape: [1], data_offsets: [4, 5] },
      a: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
    });
    expect((await open(file(header, 5))).tensors.get('a')!.byteOffset).toBe(8 + header.length);
  });

  it.each([
    ['empty file', new Uint8Array(0), 'too short'],
    ['header beyond the file', file('{}', 0, 10n ** 6n), 'header'],
    ['header length near 2^53', file('{}', 0, 2n ** 53n + 1n), 'header'],
    ['header length near 2^64', file('{}', 0, 2n ** 64n - 1n), 'header'],
    ['no JSON', file('hello', 0), 'does not begin with "{"'],
    ['JSON cut short', file('{"a":', 0), 'not valid UTF-8 JSON'],
    ['invalid UTF-8', new Uint8Array([4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xff, 0x7d]), 'not valid UTF-8 JSON'],
    [
      'a name twice',
      file(
        `{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0077" :{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`,
        8,
      ),
      'twice',
    ],
    ['no record', file('{"w":7}', 0), 'lacks a valid'],
    ['negative offset', file(one({ data_offsets: [-8, 0] }), 8), 'lacks a valid'],
    ['fraction', file(one({ shape: [1.5] }), 8), 'lacks a valid'],
    ['offsets reversed', file(one({ data_offsets: [8, 0] }), 8), 'offsets span'],
    ['size differs from shape', file(one({ shape: [3] }), 8), 'takes 12 bytes'],
    ['shape near 2^53', file(one({ shape: [2 ** 52, 2 ** 52] }), 8), 'absurd shape'],
    ['offsets near 2^53', file(one({ data_offsets: [2 ** 53 - 9, 2 ** 53 - 1] }), 8), 'truncated'],
    ['truncated data', file(one({}), 7), 'truncated'],
    ['bytes behind the last tensor', file(one({}), 9), 'behind its last tensor'],
    ['hole', file(one({ data_offsets: [1, 9] }), 9), 'hole'],
    [
      'overlap',
      file(
        `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`,
        3,
      ),
      'overlaps',
    ],
    ['metadata of numbers', file('{"__metadata__":{"a":1}}', 0), '__metadata__'],
  ])('refuses: %s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(failure('BAD_FILE', message));
  });

  it.each(['F8_E4M3', 'F64', '__proto__'])('names what is supported instead of %s', async (dtype) => {
    await expect(open(file(one({ dtype }), 8))).rejects.toThrow(failure('UNSUPPORTED_DTYPE', 'BF16'));
  });

  it('refuses to write packed tensors, a name twice and wrong data', async () => {
    const packed: TensorSource = { name: 'p', element: Q4_0, shape: [32], data: pack(Q4_0, new Float32Array(32), 32) };
    const w: TensorSource = { name: 'w', element: 'f32', shape: [2], data: new Uint8Array(8) };
    await expect(collect(safetensorsPieces([packed]))).rejects.toThrow(failure('UNSUPPORTED_DTYPE', 'GGUF'));
    await expect(collect(safetensorsPieces([w, w]))).rejects.toThrow(failure('INVALID_ARGUMENT'));
    await expect(collect(safetensorsPieces([{ ...w, data: new Uint8Array(7) }]))).rejects.toThrow(
      failure('INVALID_ARGUMENT', '8 bytes'),
    );
  });

  it('survives mutated and random files', async () => {
    const valid = await collect(safetensorsPieces(FLOATS));
    const edits = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 });
    const mutated = fc.tuple(edits, fc.nat(valid.length)).map(([list, cut]) => {
      const bytes = valid.slice();
      for (const [at, byte] of list) bytes[at] = byte;
      return cut % 3 === 0 ? bytes.subarray(0, cut) : bytes;
    });
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), async (bytes) => {
        const error = await open(bytes).then(
          () => undefined,
          (e: unknown) => e,
        );
        if (
          error !== undefined &&
          !(error instanceof BitloomError && /^(BAD_FILE|UNSUPPORTED_DTYPE)$/.test(error.code))
        )
          throw error;
      }),
      { numRuns: 1500 },
    );
  });
});
