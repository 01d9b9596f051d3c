/** The native host: what an operating system's functions and a library that calls them make together. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { BitloomError } from '../ir/error.ts';
import { readError } from './disk-file.ts';
import type { ForeignLibrary } from './foreign-library.ts';
import type {
  NativeCode,
  NativeConvention,
  NativeFunction,
  NativeHost,
  NativeMemory,
  NativeSleep,
  NativeSystemName,
  NativeThread,
} from './native-host.ts';
import { checkLength, MappedMemory } from './native-memory.ts';
import type { NativeSystem } from './native-system.ts';

/** From how many huge pages on memory begins at one: a huge page for less would be mostly unused. */
const MIN_HUGE_PAGES = 2;
const MAX_ARGUMENTS = 6;
const GUARDED_ALIGNMENT = 64;

class MappedCode implements NativeCode {
  readonly address: number;
  readonly byteLength: number;
  #release: (() => void) | undefined;

  constructor(address: number, byteLength: number, release: () => void) {
    this.address = address;
    this.byteLength = byteLength;
    this.#release = release;
  }

  dispose(): void {
    this.#release?.();
    this.#release = undefined;
  }
}

class SystemThread implements NativeThread {
  readonly #system: NativeSystem;
  readonly #thread: number;
  #hasEnded = false;

  constructor(system: NativeSystem, thread: number) {
    this.#system = system;
    this.#thread = thread;
  }

  isAlive(): boolean {
    this.#hasEnded ||= this.#system.hasEnded(this.#thread);
    return !this.#hasEnded;
  }

  join(): void {
    if (!this.#hasEnded) this.#system.join(this.#thread);
    this.#hasEnded = true;
  }
}

export class NativeMachine implements NativeHost {
  readonly library: ForeignLibrary['name'];
  readonly system: NativeSystemName;
  readonly convention: NativeConvention;
  readonly sleep: NativeSleep;
  readonly #system: NativeSystem;
  readonly #library: ForeignLibrary;
  readonly #availableBytes: () => number | undefined;

  /**
   * `availableBytes` is what errors tell of the machine's memory. Throws: UNSUPPORTED_FEATURE where the library needs code of
   * its own and the system refuses to map it.
   */
  constructor(system: NativeSystem, library: ForeignLibrary, availableBytes: () => number | undefined) {
    this.library = library.name;
    this.system = system.name;
    this.convention = system.convention;
    this.sleep = system.sleep;
    this.#system = system;
    this.#library = library;
    this.#availableBytes = availableBytes;
    library.start?.((bytes) => this.mapCode(bytes).address);
  }

  allocate(byteLength: number): NativeMemory {
    checkLength(byteLength);
    const huge = this.#system.hugePageBytes;
    if (huge === undefined || byteLength < MIN_HUGE_PAGES * huge) {
      const reserved = this.#toPages(byteLength);
      const address = this.#reserve(reserved, byteLength);
      return this.#memory(address, byteLength, () => this.#system.release(address, reserved));
    }
    // Systems align to small pages. What lies before the first huge page and after the last one is never touched.
    const reserved = this.#toPages(byteLength) + huge;
    const start = this.#reserve(reserved, byteLength);
    const address = Math.ceil(start / huge) * huge;
    this.#system.adviseHuge(address, this.#toPages(byteLength));
    return this.#memory(address, byteLength, () => this.#system.release(start, reserved));
  }

  allocateGuarded(byteLength: number): NativeMemory {
    checkLength(byteLength);
    const { pageBytes } = this.#system;
    const reserved = this.#toPages(byteLength) + 2 * pageBytes;
    const start = this.#reserve(reserved, byteLength);
    const end = start + reserved - pageBytes;
    for (const guard of [start, end]) {
      if (this.#system.protect(guard, pageBytes, 'none')) continue;
      const why = this.#system.refusal();
      this.#system.release(start, reserved);
      throw new BitloomError('UNSUPPORTED_FEATURE', `The system does not guard pages (${why}).`, { why });
    }
    const address = Math.floor((end - byteLength) / GUARDED_ALIGNMENT) * GUARDED_ALIGNMENT;
    return this.#memory(address, byteLength, () => this.#system.release(start, reserved));
  }

  mapCode(bytes: Uint8Array): NativeCode {
    checkLength(bytes.length);
    const reserved = this.#toPages(bytes.length);
    const address = this.#reserve(reserved, bytes.length);
    const release = () => this.#system.release(address, reserved);
    new Uint8Array(this.#library.view(address, bytes.length)).set(bytes);
    if (this.#system.protect(address, reserved, 'read-execute')) return new MappedCode(address, bytes.length, release);
    const why = this.#system.refusal();
    release();
    const text = `The system does not let this process run machine code that it made (${why}). Use another device.`;
    throw new BitloomError('UNSUPPORTED_FEATURE', text, { why });
  }

  mapFile(path: string): NativeMemory {
    let descriptor: number | undefined;
    try {
      descriptor = openSync(path, 'r');
      const status = fstatSync(descriptor);
      const byteLength = status.size;
      if (!status.isFile() || byteLength === 0) {
        const why = status.isDirectory() ? 'it is a folder' : status.isFile() ? 'it is empty' : 'it is no regular file';
        throw new BitloomError('BAD_FILE', `Cannot map ${path}: ${why}.`, { path });
      }
      const address = this.#system.mapFile(path, descriptor, byteLength);
      if (address === 0) {
        const why = this.#system.refusal();
        throw new BitloomError('BAD_FILE', `Cannot map ${path} (${why}). Read it instead.`, { path, why });
      }
      return this.#memory(address, byteLength, () => this.#system.unmapFile(address, byteLength));
    } catch (cause) {
      throw cause instanceof BitloomError ? cause : readError(path, cause);
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }

  function(address: number, argumentCount: number): NativeFunction {
    if (!(Number.isInteger(argumentCount) && argumentCount >= 0 && argumentCount <= MAX_ARGUMENTS)) {
      const text = `Code takes 0 to ${MAX_ARGUMENTS} arguments, not ${argumentCount}. Pass the address of a block.`;
      throw new BitloomError('INVALID_ARGUMENT', text, { argumentCount });
    }
    return this.#library.functionAt(address, argumentCount);
  }

  startThread(entry: number, argument: number): NativeThread {
    const thread = this.#system.startThread(entry, argument);
    if (thread !== 0) return new SystemThread(this.#system, thread);
    const why = this.#system.refusal();
    throw new BitloomError('NO_DEVICE', `The system started no thread (${why}). Ask for fewer threads.`, { why });
  }

  permitTiles(): boolean {
    return this.#system.permitTiles();
  }

  #toPages(byteLength: number): number {
    const { pageBytes } = this.#system;
    return Math.ceil(byteLength / pageBytes) * pageBytes;
  }

  #reserve(reservedBytes: number, neededBytes: number): number {
    const address = this.#system.reserve(reservedBytes);
    if (address !== 0) return address;
    const why = this.#system.refusal();
    const availableBytes = this.#availableBytes();
    const rest = availableBytes === undefined ? '' : `; ${availableBytes} are available`;
    const text = `The system gave no ${neededBytes} bytes of memory (${why})${rest}. Take a smaller model or context.`;
    throw new BitloomError('OUT_OF_MEMORY', text, { neededBytes, availableBytes, why });
  }

  #memory(address: number, byteLength: number, release: () => void): NativeMemory {
    return new MappedMemory(this.#library, address, byteLength, release);
  }
}
