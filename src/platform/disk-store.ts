/** A folder of the disk as a FileStore. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  copyFile,
  link as hardLink,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { DiskFile, readError, writeError } from './disk-file.ts';
import { lockFile } from './disk-lock.ts';
import type { FileStore, StoreWriter } from './file-store.ts';

const isMissing = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Does `action`; `otherwise` where what it is about is not there. Other failures are told as reading's. */
async function unlessMissing<T>(path: string, action: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (isMissing(cause)) return otherwise;
    throw readError(path, cause);
  }
}

/** Does `action` in a folder that is made where it is missing. */
async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    await mkdir(dirname(path), { recursive: true });
    return await action();
  } catch (cause) {
    throw writeError(path, cause);
  }
}

async function openWriter(path: string): Promise<StoreWriter> {
  const file = await writing(path, () => open(path, constants.O_RDWR | constants.O_CREAT));
  return {
    async write(bytes, offset) {
      for (let done = 0; done < bytes.length; ) {
        done += (await writing(path, () => file.write(bytes, done, bytes.length - done, offset + done))).bytesWritten;
      }
    },
    truncate: (sizeBytes) => writing(path, () => file.truncate(sizeBytes)),
    async close(isLasting = true) {
      try {
        if (isLasting) await writing(path, () => file.sync());
      } finally {
        await file.close();
      }
    },
  };
}

/** A symbolic link where the system lets us make one, else a second name for the file, else a copy. */
async function pointTo(path: string, target: string): Promise<void> {
  await rm(path, { force: true });
  const ways = [
    () => symlink(relative(dirname(path), target), path),
    () => hardLink(target, path),
    () => copyFile(target, path, constants.COPYFILE_FICLONE),
  ];
  for (const [i, way] of ways.entries()) {
    try {
      return await way();
    } catch (cause) {
      // Another process may have made the same link just now.
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return;
      if (i === ways.length - 1) throw cause;
    }
  }
}

async function availableBytes(folder: string): Promise<number | undefined> {
  for (let place = folder; ; place = dirname(place)) {
    try {
      const { bavail, bsize } = await statfs(place);
      return bavail * bsize;
    } catch {
      // The folder may not be made yet: its parent has the same room.
      if (dirname(place) === place) return undefined;
    }
  }
}

/** A folder, which need not exist yet. */
export function diskStore(folder: string): FileStore {
  const root = resolve(folder);
  const at = (path: string): string => join(root, path);
  return {
    name: root,
    isBounded: false,
    status: (path) =>
      unlessMissing(
        at(path),
        async () => {
          const { size, atimeMs, mtimeMs } = await stat(at(path));
          return { sizeBytes: size, usedMs: Math.max(atimeMs, mtimeMs) };
        },
        undefined,
      ),
    async touch(path) {
      const now = new Date();
      await utimes(at(path), now, now).catch(() => {});
    },
    list: (path) =>
      unlessMissing(at(path), async () => {
        const entries = await readdir(at(path), { withFileTypes: true });
        return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
      }, []),
    open: async (path) => new DiskFile(at(path)),
    readText: (path) => unlessMissing(at(path), () => readFile(at(path), 'utf8'), undefined),
    writeText: (path, text) =>
      writing(at(path), async () => {
        const draft = `${at(path)}.${randomUUID()}.partial`;
        await writeFile(draft, text);
        await rename(draft, at(path));
      }),
    openWriter: (path) => openWriter(at(path)),
    rename: (from, to) => writing(at(to), () => rename(at(from), at(to))),
    link: (path, target) => writing(at(path), () => pointTo(at(path), at(target))),
    async linkTarget(path) {
      const target = await readlink(at(path)).catch(() => undefined);
      return target && relative(root, resolve(dirname(at(path)), target)).replaceAll(sep, '/');
    },
    async remove(path) {
      await rm(at(path), { recursive: true, force: true }).catch((cause) => {
        throw writeError(at(path), cause);
      });
    },
    lock: (name, onWait, signal) => lockFile(at(name), onWait, signal),
    availableBytes: () => availableBytes(root),
    persist: async () => true,
  };
}
