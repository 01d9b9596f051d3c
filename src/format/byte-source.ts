/** Where file bytes come from: anything that fills a caller's buffer from an offset, so that data is held once. */
import type { FilePlace } from '#platform';
import { BitloomError } from '../ir/error.ts';

/** A readable file. `#platform`'s files and `memorySource` are such. */
export interface ByteSource {
  /** As errors name it. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Undefined for what is no file of this machine's disk. */
  readonly place?: FilePlace | undefined;
  /** Fills `target` from `offset` on and returns the count, smaller only at the end of the file. */
  readInto(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number>;
}

/** A source over bytes in memory. */
export function memorySource(bytes: Uint8Array, name = 'bytes in memory'): ByteSource {
  return {
    name,
    sizeBytes: bytes.byteLength,
    async readInto(target, offset) {
      const piece = bytes.subarray(offset, offset + target.length);
      target.set(piece);
      return piece.length;
    },
  };
}

/** A malformed file, named. */
export const badFile = (
  source: { readonly name: string },
  problem: string,
  details: Record<string, unknown> = {},
): BitloomError => new BitloomError('BAD_FILE', `${source.name}: ${problem}`, { file: source.name, ...details });

/** Fills all of `target`. Throws BAD_FILE where the file ends before, and what the source throws. */
export async function readExactly(
  source: ByteSource,
  target: Uint8Array,
  offset: number,
  signal?: AbortSignal,
): Promise<void> {
  const count = await source.readInto(target, offset, signal);
  if (count === target.length) return;
  throw badFile(
    source,
    `ends ${target.length - count} bytes early: ${target.length} bytes were due at offset ${offset}; fetch the file again`,
    { offset },
  );
}

/** A whole small file. Throws BAD_FILE where it is larger than `mostBytes`. */
export async function readAll(source: ByteSource, mostBytes: number, signal?: AbortSignal): Promise<Uint8Array> {
  if (source.sizeBytes > mostBytes) {
    throw badFile(source, `is ${source.sizeBytes} bytes, more than the ${mostBytes} that such a file may have`);
  }
  const bytes = new Uint8Array(source.sizeBytes);
  await readExactly(source, bytes, 0, signal);
  return bytes;
}
