/**
 * Writing to the origin private file system. Workers write in place; a page writes to a draft that counts only once it
 * is closed, so it is closed now and then. Failures by name. Spec: WHATWG File System, 2024.
 */
import { BitloomError } from '../ir/error.ts';
import type { StoreWriter } from './file-store.ts';

/** Parts of the file system that TypeScript's DOM library leaves to workers, or out. */
export interface OpfsFile extends FileSystemFileHandle {
  move(folder: FileSystemDirectoryHandle, name: string): Promise<void>;
  createSyncAccessHandle?(): Promise<SyncHandle>;
}

interface SyncHandle {
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(sizeBytes: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** A page's draft is made to count after this many bytes, or after half of what the file had: closing copies the file. */
const DRAFT_BYTES = 2 ** 22;

const nameOf = (error: unknown): string => (error instanceof Error || error instanceof DOMException ? error.name : '');
const isMissing = (error: unknown): boolean => ['NotFoundError', 'TypeMismatchError'].includes(nameOf(error));

export function storeError(path: string, cause: unknown): BitloomError {
  if (cause instanceof BitloomError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  if (nameOf(cause) === 'QuotaExceededError') {
    return new BitloomError('QUOTA_EXCEEDED', `The page's storage has no room for ${path}`, { path }, { cause });
  }
  return new BitloomError('BAD_FILE', `The page's storage failed at ${path}: ${why}`, { path }, { cause });
}

/** Does `action`, and tells its failure as one of the storage at `path`. */
export async function told<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw storeError(path, cause);
  }
}

/** Does `action`; `otherwise` where what it is about is not there. */
export async function unlessMissing<T>(path: string, action: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (isMissing(cause)) return otherwise;
    throw storeError(path, cause);
  }
}

/** Opens a file for writing, by the way that this thread has. Throws QUOTA_EXCEEDED where it has none. */
export async function openOpfsWriter(path: string, handle: OpfsFile): Promise<StoreWriter> {
  if (handle.createSyncAccessHandle) return syncWriter(path, await handle.createSyncAccessHandle());
  if ('createWritable' in handle) return draftWriter(path, handle);
  const text = `Pages of this browser cannot write ${path}; its workers can`;
  throw new BitloomError('QUOTA_EXCEEDED', text, { path });
}

function syncWriter(path: string, file: SyncHandle): StoreWriter {
  const refused = (why: string): BitloomError =>
    new BitloomError('QUOTA_EXCEEDED', `The page's storage has no room for ${path}: ${why}.`, { path });
  return {
    write: (bytes, offset) =>
      told(path, async () => {
        const count = file.write(bytes, { at: offset });
        // Chromium may count bytes as written that the quota left no room for: the size does not lie.
        const sizeBytes = file.getSize();
        if (count < bytes.length || sizeBytes < offset + bytes.length) throw refused(`it ends at byte ${sizeBytes}`);
      }),
    truncate: (sizeBytes) => told(path, async () => file.truncate(sizeBytes)),
    close: () =>
      told(path, async () => {
        try {
          file.flush();
        } finally {
          file.close();
        }
      }),
  };
}

async function draftWriter(path: string, handle: FileSystemFileHandle): Promise<StoreWriter> {
  let sizeBytes = (await handle.getFile()).size;
  let draft = await handle.createWritable({ keepExistingData: true });
  let waitingBytes = 0;
  const write = async (bytes: Uint8Array, offset: number): Promise<void> => {
    await draft.write({ type: 'write', position: offset, data: bytes as Uint8Array<ArrayBuffer> });
    waitingBytes += bytes.length;
    if (waitingBytes < Math.max(DRAFT_BYTES, sizeBytes / 2)) return;
    await draft.close();
    sizeBytes += waitingBytes;
    waitingBytes = 0;
    draft = await handle.createWritable({ keepExistingData: true });
  };
  return {
    write: (bytes, offset) => told(path, () => write(bytes, offset)),
    truncate: (size) => told(path, () => draft.truncate(size)),
    close: () => told(path, () => draft.close()),
  };
}
