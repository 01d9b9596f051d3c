/**
 * The one linear memory that every plan of a target shares, and its allocator: best fit over a list
 * of free ranges, 64-byte aligned, neighbours merged. Pages that were never written cost nothing.
 */
import { BitloomError } from '../../ir/error.ts';
import { FreeRanges } from '../free-ranges.ts';

const PAGE_BYTES = 65_536;
const MAXIMUM_PAGES = 65_536;
/** What one memory with addresses of 32 bits can hold. */
export const MAXIMUM_BYTES = MAXIMUM_PAGES * PAGE_BYTES;
const ALIGNMENT = 64;
/** Memory grows by at least this much, so that small allocations do not each make the engine move limits. */
const GROWTH_BYTES = 4 << 20;

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  readonly isShared: boolean;
  readonly #free = new FreeRanges();
  readonly #sizes = new Map<number, number>();
  readonly #maximumBytes: number;
  #endBytes: number;
  #liveBytes = 0;

  /**
   * Reserves address space up to 4 GiB, or less where the engine refuses. Nothing below `firstByte` is
   * handed out.
   */
  constructor(isShared: boolean, firstByte: number) {
    this.isShared = isShared;
    const { memory, maximum } = reserve(isShared, Math.ceil(firstByte / PAGE_BYTES));
    this.memory = memory;
    this.#maximumBytes = maximum * PAGE_BYTES;
    this.#endBytes = this.memory.buffer.byteLength;
    if (this.#endBytes > firstByte) this.#free.release(align(firstByte), this.#endBytes);
  }

  /** Bytes allocated and not freed, as they were asked for. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Address of `byteLength` uninitialised bytes. Throws OUT_OF_MEMORY with `neededBytes` and `availableBytes`. */
  allocate(byteLength: number): number {
    if (!Number.isInteger(byteLength) || byteLength < 0) {
      throw new BitloomError('INVALID_ARGUMENT', `cannot allocate ${byteLength} bytes`, { byteLength });
    }
    const size = align(Math.max(byteLength, 1));
    const address = this.#free.take(size) ?? this.#grow(size);
    this.#sizes.set(address, byteLength);
    this.#liveBytes += byteLength;
    return address;
  }

  /** Gives an allocation back. Throws INVALID_ARGUMENT for anything that is not one. */
  free(address: number): void {
    const byteLength = this.#sizes.get(address);
    if (byteLength === undefined) {
      throw new BitloomError('INVALID_ARGUMENT', `address ${address} is not allocated`, { address });
    }
    this.#sizes.delete(address);
    this.#liveBytes -= byteLength;
    this.#free.release(address, address + align(Math.max(byteLength, 1)));
  }

  /** The bytes of a range. Where memory is not shared, growing makes earlier results useless: ask anew. */
  view(address: number, byteLength: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, byteLength);
  }

  /** Extends the memory until its last free range holds `size` bytes, and takes them. */
  #grow(size: number): number {
    const { last } = this.#free;
    const atEnd = last?.end === this.#endBytes ? this.#endBytes - last.start : 0;
    const missingPages = Math.ceil((size - atEnd) / PAGE_BYTES);
    const wantedPages = Math.max(missingPages, GROWTH_BYTES / PAGE_BYTES);
    if (!this.#tryGrow(wantedPages) && !this.#tryGrow(missingPages)) {
      const availableBytes = this.#maximumBytes - this.#endBytes + atEnd;
      throw new BitloomError(
        'OUT_OF_MEMORY',
        `WebAssembly memory has no room for ${size} bytes: ${this.#liveBytes} are in use and at most ${availableBytes} in one piece are left. Free tensors, or use a smaller model or context.`,
        { neededBytes: size, availableBytes, liveBytes: this.#liveBytes },
      );
    }
    return this.#free.take(size)!;
  }

  #tryGrow(pages: number): boolean {
    try {
      this.memory.grow(pages);
    } catch {
      return false;
    }
    const start = this.#endBytes;
    this.#endBytes += pages * PAGE_BYTES;
    this.#free.release(start, this.#endBytes);
    return true;
  }
}

/** Engines may refuse to reserve 4 GiB of address space (phones do); half as much is tried then, and so on. */
function reserve(shared: boolean, initial: number): { readonly memory: WebAssembly.Memory; readonly maximum: number } {
  for (let maximum = MAXIMUM_PAGES; maximum > initial; maximum >>= 1) {
    try {
      return { memory: new WebAssembly.Memory({ initial, maximum, shared }), maximum };
    } catch {
      // Refused; the next attempt asks for less.
    }
  }
  throw new BitloomError('OUT_OF_MEMORY', 'the engine refuses to reserve WebAssembly memory', {});
}
