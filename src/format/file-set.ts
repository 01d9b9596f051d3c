/** Where a model's files come from: a folder, an address, a hub's snapshot, picked files or memory all look like this. */
import type { ByteSource } from './byte-source.ts';

/** An opened file. */
export interface OpenFile extends ByteSource {
  close(): Promise<void>;
}

/** The files of one model, wherever they lie. */
export interface FileSet {
  /** Folder, address or id, as errors name it. */
  readonly name: string;
  /** Names of the files, sorted, relative to the set; undefined where the place cannot be listed (plain web servers). */
  list(signal?: AbortSignal): Promise<readonly string[] | undefined>;
  has(name: string, signal?: AbortSignal): Promise<boolean>;
  /** Throws MISSING_FILE, BAD_FILE, ABORTED, and where a network is between, its errors. */
  open(name: string, signal?: AbortSignal): Promise<OpenFile>;
}
