/** A file on a disk, by its descriptor. */
import { closeSync, fstatSync, openSync, read, readSync, realpathSync } from 'node:fs';
import { BitloomError } from '../ir/error.ts';
import type { FilePlace, RandomAccessFile } from './platform.ts';

/** Bytes of one asynchronous read: large enough to run at full speed, small enough to stop between two. */
const READ_BYTES = 1 << 24;

/** What a failed read means. */
export function readError(path: string, cause: unknown): BitloomError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new BitloomError('MISSING_FILE', `No file at ${path}. Check the path.`, { path }, { cause });
  }
  const why = code === 'EISDIR' ? 'it is a folder' : String((cause as Error).message ?? cause);
  return new BitloomError('BAD_FILE', `Cannot read ${path}: ${why}.`, { path, code }, { cause });
}

/** What a failed write means. */
export function writeError(path: string, cause: unknown): BitloomError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    const text = `No room to write ${path}: ${message}. Free some space or choose another folder, and start again.`;
    return new BitloomError('QUOTA_EXCEEDED', text, { path, code }, { cause });
  }
  return new BitloomError('BAD_FILE', `Cannot write ${path}: ${message ?? cause}.`, { path, code }, { cause });
}

const readOnce = (descriptor: number, target: Uint8Array, offset: number): Promise<number> =>
  new Promise((resolve, reject) => {
    read(descriptor, target, 0, target.length, offset, (error, count) => (error ? reject(error) : resolve(count)));
  });

/** Throws MISSING_FILE, and BAD_FILE for what is no regular file. */
export class DiskFile implements RandomAccessFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly place: FilePlace;
  #descriptor: number;

  constructor(path: string) {
    this.name = path;
    try {
      this.#descriptor = openSync(path, 'r');
      const status = fstatSync(this.#descriptor);
      this.sizeBytes = status.size;
      this.place = { path: realpathSync(path), modifiedMs: status.mtimeMs };
      if (status.isFile()) return;
    } catch (cause) {
      throw readError(path, cause);
    }
    closeSync(this.#descriptor);
    throw new BitloomError('BAD_FILE', `Cannot read ${path}: it is not a regular file.`, { path });
  }

  async readInto(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      if (signal?.aborted) {
        throw new BitloomError('ABORTED', `Reading ${this.name} was cancelled.`, {}, { cause: signal.reason });
      }
      const piece = target.subarray(filled, filled + READ_BYTES);
      const count = await readOnce(this.#descriptor, piece, offset + filled).catch((cause) => {
        throw readError(this.name, cause);
      });
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  readIntoSync(target: Uint8Array, offset: number): number {
    let filled = 0;
    try {
      while (filled < target.length) {
        const length = Math.min(target.length - filled, READ_BYTES);
        const count = readSync(this.#descriptor, target, filled, length, offset + filled);
        if (count === 0) break;
        filled += count;
      }
    } catch (cause) {
      throw readError(this.name, cause);
    }
    return filled;
  }

  async close(): Promise<void> {
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}
