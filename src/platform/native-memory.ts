/** Pages as arrays of JavaScript. The views are of memory that the engine knows nothing about, so they are made with care. */
import { constants } from 'node:buffer';
import { BitloomError } from '../ir/error.ts';
import type { ForeignLibrary } from './foreign-library.ts';
import type { NativeMemory } from './native-host.ts';

/** Engines have it since Node 22; there, what koffi and `node:ffi` view can be detached. */
type Detachable = ArrayBuffer & { transfer?: (byteLength: number) => ArrayBuffer };

/** Throws INVALID_ARGUMENT for what is no positive whole number of bytes. */
export function checkLength(byteLength: number): void {
  if (Number.isSafeInteger(byteLength) && byteLength > 0) return;
  throw new BitloomError('INVALID_ARGUMENT', `Cannot map ${byteLength} bytes. Ask for a positive whole number.`, {
    byteLength,
  });
}

export class MappedMemory implements NativeMemory {
  readonly address: number;
  readonly byteLength: number;
  readonly #library: ForeignLibrary;
  #release: (() => void) | undefined;
  #bytes: Uint8Array<ArrayBuffer> | undefined;

  constructor(library: ForeignLibrary, address: number, byteLength: number, release: () => void) {
    this.#library = library;
    this.address = address;
    this.byteLength = byteLength;
    this.#release = release;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    this.#bytes ??= this.#view(0, this.byteLength);
    return this.#bytes;
  }

  view(offset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    if (!(offset >= 0 && byteLength >= 0 && offset + byteLength <= this.byteLength)) {
      const text = `Bytes ${offset} to ${offset + byteLength} lie beyond the ${this.byteLength} of this memory.`;
      throw new BitloomError('INVALID_ARGUMENT', text, { offset, byteLength, memoryBytes: this.byteLength });
    }
    if (this.byteLength > constants.MAX_LENGTH) return this.#view(offset, byteLength);
    return this.bytes.subarray(offset, offset + byteLength);
  }

  #view(offset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    if (this.#release === undefined) {
      throw new BitloomError('INVALID_ARGUMENT', 'This memory was disposed of.', { address: this.address });
    }
    // koffi ends the process when asked for more than the engine can do.
    if (byteLength > constants.MAX_LENGTH) {
      const text = `This Node has no arrays of ${byteLength} bytes, only of ${constants.MAX_LENGTH}. View it in parts.`;
      throw new BitloomError('UNSUPPORTED_FEATURE', text, { byteLength, maxBytes: constants.MAX_LENGTH });
    }
    return new Uint8Array(this.#library.view(this.address + offset, byteLength));
  }

  dispose(): void {
    const release = this.#release;
    if (release === undefined) return;
    this.#release = undefined;
    try {
      (this.#bytes?.buffer as Detachable | undefined)?.transfer?.(0); // empties the arrays that are still about
    } catch {
      // Somebody detached it already.
    }
    this.#bytes = undefined;
    release();
  }
}
