/**
 * The origin private file system of a page as a FileStore. It has no links, so a link is a small file that names its
 * target. Workers write in place; a page writes to a draft that counts only once it is closed, so it is closed now
 * and then. Spec: WHATWG File System, 2024.
 */
import { BitloomError } from '../ir/error.ts';
import type { FileStore, StoreWriter } from './file-store.ts';
import { openBlob } from './web-file.ts';

/** Parts of the file system that TypeScript's DOM library leaves to workers, or out. */
interface MovableHandle extends FileSystemFileHandle {
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
const LINK = '.link';
/** A page's draft is made to count after this many bytes, or after half of what the file had: closing copies the file. */
const DRAFT_BYTES = 2 ** 22;

const nameOf = (error: unknown): string => (error instanceof Error || error instanceof DOMException ? error.name : '');
const isMissing = (error: unknown): boolean => ['NotFoundError', 'TypeMismatchError'].includes(nameOf(error));

function storeError(path: string, cause: unknown): BitloomError {
  if (cause instanceof BitloomError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  if (nameOf(cause) === 'QuotaExceededError') {
    return new BitloomError('QUOTA_EXCEEDED', `The page's storage has no room for ${path}`, { path }, { cause });
  }
  return new BitloomError('BAD_FILE', `The page's storage failed at ${path}: ${why}`, { path }, { cause });
}

async function told<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw storeError(path, cause);
  }
}

async function unlessMissing<T>(path: string, action: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (isMissing(cause)) return otherwise;
    throw storeError(path, cause);
  }
}

/** Splits a path into its folders and its name. */
function split(path: string): [folders: string[], name: string] {
  const parts = path.split('/').filter((part) => part !== '');
  return [parts.slice(0, -1), parts.at(-1) ?? ''];
}

async function syncWriter(path: string, handle: MovableHandle): Promise<StoreWriter> {
  const file = await handle.createSyncAccessHandle!();
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

/** A folder of the origin private file system, or undefined where the page has none: not secure, or too old. */
export async function opfsStore(folder: string): Promise<FileStore | undefined> {
  const { storage, locks } = globalThis.navigator ?? {};
  if (storage?.getDirectory === undefined || locks === undefined) return undefined;
  let top: FileSystemDirectoryHandle;
  try {
    top = await storage.getDirectory();
  } catch {
    return undefined; // some private windows refuse
  }
  const base = folder.split('/').filter((part) => part !== '');

  const folderAt = async (parts: readonly string[], create = false): Promise<FileSystemDirectoryHandle> => {
    let place = top;
    for (const part of [...base, ...parts]) place = await place.getDirectoryHandle(part, { create });
    return place;
  };
  const fileAt = async (path: string, create = false): Promise<MovableHandle> => {
    const [folders, name] = split(path);
    return (await (await folderAt(folders, create)).getFileHandle(name, { create })) as MovableHandle;
  };
  const linkTarget = (path: string): Promise<string | undefined> =>
    unlessMissing(path, async () => (await (await fileAt(path + LINK)).getFile()).text(), undefined);
  /** The file that a path leads to. */
  const contentAt = async (path: string): Promise<File> => (await fileAt((await linkTarget(path)) ?? path)).getFile();
  const openWriter = async (path: string): Promise<StoreWriter> => {
    const handle = await fileAt(path, true);
    if (handle.createSyncAccessHandle) return syncWriter(path, handle);
    if ('createWritable' in handle) return draftWriter(path, handle);
    const text = `Pages of this browser cannot write ${path}; its workers can`;
    throw new BitloomError('QUOTA_EXCEEDED', text, { path });
  };
  const lock = (name: string, onWait: () => void, signal?: AbortSignal): Promise<() => Promise<void>> =>
    webLock(locks, `bitloom ${base.join('/')}/${name}`, onWait, signal);
  /** One writer at a time: a second one in another tab would be refused. */
  const writeText = async (path: string, text: string): Promise<void> => {
    const release = await lock(path, () => {});
    try {
      const writer = await openWriter(path);
      const bytes = new TextEncoder().encode(text);
      await writer.truncate(bytes.length);
      await writer.write(bytes, 0);
      await writer.close();
    } finally {
      await release();
    }
  };

  return {
    name: `this page's storage, ${base.join('/')}`,
    isBounded: true,
    status: (path) =>
      unlessMissing(
        path,
        async () => {
          const { size, lastModified } = await contentAt(path);
          return { sizeBytes: size, usedMs: lastModified };
        },
        undefined,
      ),
    list: (path) =>
      unlessMissing(path, async () => {
        const names: string[] = [];
        for await (const [name, handle] of (await folderAt(split(`${path}/.`)[0])).entries()) {
          names.push(handle.kind === 'directory' ? `${name}/` : name.replace(/\.link$/, ''));
        }
        return names.sort();
      }, []),
    open: async (path) => {
      const file = await unlessMissing(path, () => contentAt(path), undefined);
      if (file !== undefined) return openBlob(file, path);
      throw new BitloomError('MISSING_FILE', `No file at ${path} in the page's storage.`, { path });
    },
    readText: (path) => unlessMissing(path, async () => (await contentAt(path)).text(), undefined),
    writeText: (path, text) => told(path, () => writeText(path, text)),
    openWriter: (path) => told(path, () => openWriter(path)),
    rename: (from, to) =>
      told(to, async () => {
        const [folders, name] = split(to);
        await (await fileAt(from)).move(await folderAt(folders, true), name);
      }),
    link: (path, target) => told(path, () => writeText(path + LINK, target)),
    linkTarget,
    remove: (path) =>
      told(path, async () => {
        const [folders, name] = split(path);
        for (const entry of [name, name + LINK]) {
          await unlessMissing(
            path,
            async () => (await folderAt(folders)).removeEntry(entry, { recursive: true }),
            undefined,
          );
        }
      }),
    lock,
    async availableBytes() {
      const { quota, usage } = await storage.estimate();
      return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
    },
    persist: async () => (await storage.persist?.()) ?? false,
  };
}

/** A Web Lock as a function that lets it go. The browser frees locks of pages that are closed. */
async function webLock(
  locks: LockManager,
  name: string,
  onWait: () => void,
  signal?: AbortSignal,
): Promise<() => Promise<void>> {
  const held = await locks.query();
  if (held.held?.some((lock) => lock.name === name)) onWait();
  let release: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    release = resolve;
  });
  return new Promise((resolve, reject) => {
    const request = locks.request(name, signal ? { signal } : {}, () => {
      resolve(async () => {
        release();
        await request;
      });
      return done;
    });
    request.catch((cause) => {
      reject(
        signal?.aborted
          ? new BitloomError('ABORTED', `Waiting for ${name} was cancelled.`, { name }, { cause: signal.reason })
          : storeError(name, cause),
      );
    });
  });
}
