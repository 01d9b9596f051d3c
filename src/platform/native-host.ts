/**
 * What the machine under Node offers to generated machine code: pages to lie in, functions to be called by, threads.
 * Addresses and lengths are plain numbers: no address of a process comes near 2^53.
 */

/** How a function finds its arguments and which registers it must keep. */
export type NativeConvention = 'system-v' | 'microsoft';
export type NativeSystemName = 'linux' | 'macos' | 'windows';

/**
 * How generated code puts a thread to sleep while a word of 32 bits keeps its value. All may wake too early. The addresses
 * are those of functions of the system, to be called in its convention:
 * - `futex`: no function; the code makes the `futex` system call of Linux itself.
 * - `wait-on-address`: `wait(address, &undesired, 4, milliseconds or 0xffffffff)` sleeps while the word equals `undesired`;
 *   `wakeAll(address)` wakes those who wait.
 * - `ulock`: `wait(1, address, value, microseconds or 0)` sleeps while the word is `value`; `wake(0x101, address, 0)` wakes
 *   all who wait. (1 is UL_COMPARE_AND_WAIT, 0x100 is ULF_WAKE_ALL.)
 */
export type NativeSleep =
  | { readonly kind: 'futex' }
  | { readonly kind: 'wait-on-address'; readonly wait: number; readonly wakeAll: number }
  | { readonly kind: 'ulock'; readonly wait: number; readonly wake: number };

/** Memory that generated code may address. It does not move, and no garbage collector frees it. */
export interface NativeMemory {
  readonly address: number;
  readonly byteLength: number;
  /**
   * The memory itself, not a copy; always the same array. It cannot be handed to another thread of JavaScript: hand the address.
   * Throws: UNSUPPORTED_FEATURE where the engine has no arrays of that length (more than 4 GiB in Node 20); INVALID_ARGUMENT
   * after `dispose`. Drop what you took from here before `dispose`: such arrays are empty then on Node 22 and later, but on
   * Node 20 they still lead to where the memory was, and whoever touches it ends the process.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** A part of it, where the whole is too long for one array. The same goes for it. Throws: INVALID_ARGUMENT beyond the end. */
  view(offset: number, byteLength: number): Uint8Array<ArrayBuffer>;
  /** Gives the pages back. Again is fine. */
  dispose(): void;
}

/** Code that may be called and can no longer be written. */
export interface NativeCode {
  readonly address: number;
  readonly byteLength: number;
  /** Gives the pages back, when no thread is in them and no function of them will be called again. Again is fine. */
  dispose(): void;
}

/** A thread of the operating system that runs generated code. Whoever starts one has to `join` it. */
export interface NativeThread {
  /** True until its code returned. */
  isAlive(): boolean;
  /** Waits until its code returned, blocking the caller, and frees what the system kept of it. Again is fine. */
  join(): void;
}

/** What generated code is called with: whole numbers below 2^53, as signed 64-bit integers. */
export type NativeFunction = (...args: number[]) => number;

export interface NativeHost {
  readonly library: 'koffi' | 'node:ffi';
  readonly system: NativeSystemName;
  readonly convention: NativeConvention;
  /**
   * Zeroed pages, page aligned, to read and write. Those of 4 MiB or more start at a multiple of 2 MiB and are advised to use
   * huge pages, where the system has any. Throws: OUT_OF_MEMORY; INVALID_ARGUMENT for no positive whole number of bytes.
   */
  allocate(byteLength: number): NativeMemory;
  /**
   * The same between two pages that nobody may touch, its end flush with the second one (the start is rounded down to 64
   * bytes, so up to 63 bytes may be left): for tests. Any access beyond ends the process.
   */
  allocateGuarded(byteLength: number): NativeMemory;
  /**
   * Maps code: its pages are written first, then made readable and executable, never both. Throws: UNSUPPORTED_FEATURE where
   * the system refuses that; OUT_OF_MEMORY.
   */
  mapCode(bytes: Uint8Array): NativeCode;
  /**
   * A file's bytes, to read only, shared with other processes that map it: it is not read before it is used. Writing to
   * `bytes` ends the process, and so does reading what another program cut off. Throws: MISSING_FILE; BAD_FILE, also for
   * what is empty.
   */
  mapFile(path: string): NativeMemory;
  /**
   * A function of JavaScript that calls code at an address with up to 6 whole numbers and gives its 32-bit signed result.
   * The event loop waits for it. Throws: INVALID_ARGUMENT for more arguments.
   */
  function(address: number, argumentCount: number): NativeFunction;
  /** Starts a thread at an address, with one argument; it ends when the code returns. Throws: NO_DEVICE. */
  startThread(entry: number, argument: number): NativeThread;
  /** Asks the system to let this process use AMX tiles, in all of its threads. True where it does. */
  permitTiles(): boolean;
  readonly sleep: NativeSleep;
}

/** The host, or why there is none, as a part of a sentence, and whether whoever runs this could do something about it. */
export type NativeSupport = { readonly host: NativeHost } | { readonly why: string; readonly isFixable: boolean };
