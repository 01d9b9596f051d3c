/**
 * What bitloom asks of the machine under it, beside computing: files, core count, memory and settings.
 * `node.ts` and `browser.ts` implement this; `#platform` picks one by package condition.
 */
import type { FileStore } from './file-store.ts';
import type { NativeSupport } from './native-host.ts';
import type { WasmHost } from './wasm-host.ts';

/** Where a file lies on the machine's disk, and what tells one state of it from the next. */
export interface FilePlace {
  /** Absolute; links are followed. */
  readonly path: string;
  /** When it was last written, in milliseconds since 1970, as exactly as the system keeps it. */
  readonly modifiedMs: number;
}

/** A file that is read piece by piece, straight to where the bytes belong. */
export interface RandomAccessFile {
  /** Path or address, as errors name it. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Undefined for what is no file of this machine's disk. */
  readonly place?: FilePlace | undefined;
  /**
   * Fills `target` with the bytes from `offset` on and returns how many there were: fewer than
   * `target.length` only at the end of the file. `target` may view a SharedArrayBuffer.
   *
   * Throws: BAD_FILE when reading fails; ABORTED when `signal` fires.
   */
  readInto(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number>;
  /** The same without yielding, where the platform can. */
  readIntoSync?(target: Uint8Array, offset: number): number;
  close(): Promise<void>;
}

/** Bytes of main memory; `availableBytes` is what this process may still take. */
export interface MemoryInfo {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

export type DigestName = 'sha1' | 'sha256';

/** A hash over bytes as they come. */
export interface Digest {
  update(bytes: Uint8Array): void;
  /** The hash of all bytes so far, in hexadecimal. Called once, at the end. */
  hex(): string;
}

export interface Platform {
  readonly name: 'node' | 'browser';
  /** Opens a path or an http(s) address. Throws: MISSING_FILE, BAD_FILE. */
  openFile(path: string, signal?: AbortSignal): Promise<RandomAccessFile>;
  /** Reads a whole UTF-8 text file. Throws: MISSING_FILE, BAD_FILE. */
  readText(path: string, signal?: AbortSignal): Promise<string>;
  /** True where a path or an address names something that can be read. */
  exists(path: string): Promise<boolean>;
  /** Writes a whole file: complete or not at all. Throws: UNSUPPORTED_FEATURE in browsers. */
  writeFile(path: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>;
  /** Names in a folder, sorted; undefined where `path` is no folder. */
  listFolder(path: string): Promise<readonly string[] | undefined>;
  /** Path of a file beside `path`'s folder or in it: joins with the separator that both understand. */
  joinPath(folder: string, name: string): string;
  /** Path or address of a file under the package's assets/ folder, e.g. `tiny/config.json`. */
  assetPath(name: string): string;
  /** Physical cores this process may use; at least 1. Hyper-threads share units and do not count. */
  physicalCores(): number;
  /** Main memory, or undefined where the platform does not tell. */
  memory(): MemoryInfo | undefined;
  /** A setting from the environment; always undefined in browsers. */
  environment(name: string): string | undefined;
  /** The user's own folder; in browsers the top of the page's storage. */
  homeFolder(): string;
  /** A folder to keep downloads in, or undefined where the platform has no place for them. */
  openStore(folder: string): Promise<FileStore | undefined>;
  createDigest(name: DigestName): Digest;
  /** Resolves once the other tasks that wait for this thread had their turn: timers, messages, signals. */
  nextTurn(): Promise<void>;
  /** The WebAssembly engine: compilation and threads. */
  readonly wasm: WasmHost;
  /** What runs machine code here, or why nothing does. Always the same answer. */
  native(): Promise<NativeSupport>;
}
