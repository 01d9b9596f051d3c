/**
 * A folder that a cache lives in: a disk's (`disk-store.ts`), or the origin private file system of a page
 * (`opfs-store.ts`). Paths are relative to it, with forward slashes.
 */
import type { RandomAccessFile } from './platform.ts';

/** What is known of a file without reading it. */
export interface FileStatus {
  readonly sizeBytes: number;
  /** When it was last read or written, in milliseconds since 1970, as exactly as the system keeps it. */
  readonly usedMs: number;
}

/** A file being written. Bytes go where the caller says, so that a download goes on where it broke off. */
export interface StoreWriter {
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Cuts the file off. */
  truncate(sizeBytes: number): Promise<void>;
  /** Closes, and makes the bytes last first, unless `isLasting` is false: a crash of the machine may then lose them. */
  close(isLasting?: boolean): Promise<void>;
}

/** Every operation throws BAD_FILE where the system refuses it; writing throws QUOTA_EXCEEDED where no room is left. */
export interface FileStore {
  /** Where it lies, as people and errors name it. */
  readonly name: string;
  /** A page's quota bounds it: what does not fit is read from the network instead. */
  readonly isBounded: boolean;
  /** Of a file, or the file that a link leads to; undefined where there is none. */
  status(path: string): Promise<FileStatus | undefined>;
  /** Notes that a file was used now; nothing where that cannot be noted. */
  touch(path: string): Promise<void>;
  /** Names in a folder, sorted, folders with a slash behind; empty where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** Throws MISSING_FILE. */
  open(path: string): Promise<RandomAccessFile>;
  /** A small text; undefined where there is none. */
  readText(path: string): Promise<string | undefined>;
  /** Writes a small text whole or not at all. */
  writeText(path: string, text: string): Promise<void>;
  /** Opens a file for writing, made with its folders where it is missing; what it holds stays. */
  openWriter(path: string): Promise<StoreWriter>;
  /** Gives a file its final name, at once. */
  rename(from: string, to: string): Promise<void>;
  /** Makes `path` stand for the file `target`, in place of what it stood for. */
  link(path: string, target: string): Promise<void>;
  /** The path that a link stands for; undefined for other files and for none. */
  linkTarget(path: string): Promise<string | undefined>;
  /** Removes a file, a link or a folder with all in it; nothing where there is none. */
  remove(path: string): Promise<void>;
  /**
   * Keeps all other callers, in this process and in others, from the lock of this name until the result is called.
   * `onWait` hears once that another holds it. A holder that died is no holder. Throws ABORTED.
   */
  lock(name: string, onWait: () => void, signal?: AbortSignal): Promise<() => Promise<void>>;
  /** Room left, where the system tells. */
  availableBytes(): Promise<number | undefined>;
  /** Asks the system not to clear the store by itself. True where it will not. */
  persist(): Promise<boolean>;
}
