/**
 * The origin private file system of a page as a FileStore. It has no links, so a link is a small file that names its
 * target. Spec: WHATWG File System, 2024.
 */
import { BitloomError } from '../ir/error.ts';
import type { FileStatus, FileStore, StoreWriter } from './file-store.ts';
import { type OpfsFile, openOpfsWriter, told, unlessMissing } from './opfs-writer.ts';
import type { RandomAccessFile } from './platform.ts';
import { openBlob } from './web-file.ts';
import { webLock } from './web-lock.ts';

const LINK = '.link';

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '');

/** A folder of the origin private file system, or undefined where the page has none: not secure, or too old. */
export async function opfsStore(folder: string): Promise<FileStore | undefined> {
  const { storage, locks } = globalThis.navigator ?? {};
  if (storage?.getDirectory === undefined || locks === undefined) return undefined;
  try {
    return new OpfsStore(await storage.getDirectory(), partsOf(folder));
  } catch {
    return undefined; // some private windows refuse
  }
}

class OpfsStore implements FileStore {
  readonly name: string;
  readonly isBounded = true;
  readonly #top: FileSystemDirectoryHandle;
  readonly #base: readonly string[];

  constructor(top: FileSystemDirectoryHandle, base: readonly string[]) {
    this.#top = top;
    this.#base = base;
    this.name = `this page's storage, ${base.join('/')}`;
  }

  async #folder(parts: readonly string[], create = false): Promise<FileSystemDirectoryHandle> {
    let place = this.#top;
    for (const part of [...this.#base, ...parts]) place = await place.getDirectoryHandle(part, { create });
    return place;
  }

  async #file(path: string, create = false): Promise<OpfsFile> {
    const parts = partsOf(path);
    const folder = await this.#folder(parts.slice(0, -1), create);
    return (await folder.getFileHandle(parts.at(-1) ?? '', { create })) as OpfsFile;
  }

  /** What a path leads to; undefined where there is none. */
  #content(path: string): Promise<File | undefined> {
    const content = async (): Promise<File> => (await this.#file((await this.linkTarget(path)) ?? path)).getFile();
    return unlessMissing(path, content, undefined);
  }

  async status(path: string): Promise<FileStatus | undefined> {
    const file = await this.#content(path);
    return file && { sizeBytes: file.size, usedMs: file.lastModified };
  }

  /** Reading changes nothing that this file system tells. */
  async touch(): Promise<void> {}

  list(folder: string): Promise<readonly string[]> {
    const names = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const [name, handle] of (await this.#folder(partsOf(folder))).entries()) {
        found.push(handle.kind === 'directory' ? `${name}/` : name.replace(/\.link$/, ''));
      }
      return found.sort();
    };
    return unlessMissing(folder, names, []);
  }

  async open(path: string): Promise<RandomAccessFile> {
    const file = await this.#content(path);
    if (file !== undefined) return openBlob(file, path);
    throw new BitloomError('MISSING_FILE', `No file at ${path} in the page's storage.`, { path });
  }

  async readText(path: string): Promise<string | undefined> {
    return (await this.#content(path))?.text();
  }

  async writeText(path: string, text: string): Promise<void> {
    // One writer at a time: a second one in another tab would be refused.
    const release = await this.lock(path, () => {});
    try {
      const writer = await this.openWriter(path);
      try {
        const bytes = new TextEncoder().encode(text);
        await writer.truncate(bytes.length);
        await writer.write(bytes, 0);
      } finally {
        await writer.close();
      }
    } finally {
      await release();
    }
  }

  openWriter(path: string): Promise<StoreWriter> {
    return told(path, async () => openOpfsWriter(path, await this.#file(path, true)));
  }

  rename(from: string, to: string): Promise<void> {
    return told(to, async () => {
      const parts = partsOf(to);
      await this.remove(to);
      await (await this.#file(from)).move(await this.#folder(parts.slice(0, -1), true), parts.at(-1) ?? '');
    });
  }

  link(path: string, target: string): Promise<void> {
    return this.writeText(path + LINK, target);
  }

  linkTarget(path: string): Promise<string | undefined> {
    return unlessMissing(path, async () => (await (await this.#file(path + LINK)).getFile()).text(), undefined);
  }

  async remove(path: string): Promise<void> {
    const parts = partsOf(path);
    for (const name of [parts.at(-1) ?? '', parts.at(-1) + LINK]) {
      const entry = async (): Promise<void> =>
        (await this.#folder(parts.slice(0, -1))).removeEntry(name, { recursive: true });
      await unlessMissing(path, entry, undefined);
    }
  }

  lock(name: string, onWait: () => void, signal?: AbortSignal): Promise<() => Promise<void>> {
    return webLock(navigator.locks, `bitloom ${this.#base.join('/')}/${name}`, onWait, signal);
  }

  async availableBytes(): Promise<number | undefined> {
    const { quota, usage } = await navigator.storage.estimate();
    return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
  }

  async persist(): Promise<boolean> {
    return (await navigator.storage.persist?.()) ?? false;
  }
}
