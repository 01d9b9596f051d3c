/** A FileSet at one end of a port, read at the other: the files stay where they are, pieces are sent. */
import type { FileSet, OpenFile } from '../format/index.ts';
import { BitloomError } from '../ir/error.ts';
import type { Method, Peer } from './peer.ts';

/** Stands for a FileSet in a message. */
export interface DistantFiles {
  readonly fileSet: string;
}

export const isFileSet = (source: unknown): source is FileSet =>
  typeof source === 'object' && source !== null && 'open' in source && 'has' in source;

export const isDistantFiles = (source: unknown): source is DistantFiles =>
  typeof source === 'object' && source !== null && 'fileSet' in source;

/** A call that may be aborted: the port carries signals in options. */
interface Abortable {
  readonly signal?: AbortSignal;
}

/** The methods by which the other end reads `files`. */
export function fileMethods(files: FileSet): Readonly<Record<string, Method>> {
  const opened = new Map<number, OpenFile>();
  const fileAt = (id: number): OpenFile => {
    const file = opened.get(id);
    if (file === undefined) throw new BitloomError('DISPOSED', `${files.name}: file ${id} was closed`, { id });
    return file;
  };
  let nextId = 1;
  return {
    listFiles: ({ signal }: Abortable) => files.list(signal),
    hasFile: (name: string, { signal }: Abortable) => files.has(name, signal),
    async openFile(name: string, { signal }: Abortable) {
      const file = await files.open(name, signal);
      opened.set(nextId, file);
      return { id: nextId++, name: file.name, sizeBytes: file.sizeBytes };
    },
    async readFile(id: number, offset: number, length: number, { signal }: Abortable) {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, await fileAt(id).readInto(bytes, offset, signal));
    },
    async closeFile(id: number) {
      const file = opened.get(id);
      opened.delete(id);
      await file?.close();
    },
  };
}

/** Bytes of one message at most. */
const PIECE_BYTES = 1 << 22;

const abortable = (signal: AbortSignal | undefined): Abortable => (signal === undefined ? {} : { signal });

/** The FileSet at the other end of `peer`. */
export function distantFiles(peer: Peer, { fileSet }: DistantFiles): FileSet {
  return {
    name: fileSet,
    list: async (signal) => (await peer.call('listFiles', [abortable(signal)])) as readonly string[] | undefined,
    has: async (name, signal) => (await peer.call('hasFile', [name, abortable(signal)])) as boolean,
    async open(name, signal) {
      const opened = await peer.call('openFile', [name, abortable(signal)]);
      const file = opened as { id: number; name: string; sizeBytes: number };
      return {
        name: file.name,
        sizeBytes: file.sizeBytes,
        async readInto(target, offset, readSignal) {
          let filled = 0;
          while (filled < target.length) {
            const length = Math.min(PIECE_BYTES, target.length - filled);
            const piece = await peer.call('readFile', [file.id, offset + filled, length, abortable(readSignal)]);
            const bytes = piece as Uint8Array;
            target.set(bytes, filled);
            filled += bytes.length;
            if (bytes.length < length) break;
          }
          return filled;
        },
        close: async () => void (await peer.call('closeFile', [file.id])),
      };
    },
  };
}
