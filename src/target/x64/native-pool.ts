/**
 * Memory that tensors and plans own outside JavaScript's heap: small pieces from shared chunks, large ones as mappings of
 * their own. Pages that were never written cost nothing.
 */
import { BitloomError } from '../../ir/error.ts';
import type { NativeHost, NativeMemory } from '../../platform/index.ts';
import { FreeRanges } from '../free-ranges.ts';
import { checkWindow, type DeviceBuffer, type MappedFile } from '../target.ts';

/** Small pieces share mappings of this size. */
const CHUNK_BYTES = 16 << 20;
/** From this size on a piece is a mapping of its own. */
const OWN_BYTES = 4 << 20;
/** Mappings that are kept for the next of their size take so much at most. */
const SPARE_BYTES = 64 << 20;
const ALIGNMENT = 64;

const align = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;

interface Chunk {
  readonly memory: NativeMemory;
  readonly free: FreeRanges;
  /** From here on nothing was ever given out: the memory holds zeros. */
  freshFrom: number;
}

/** An allocation, freed once by `dispose`, or a window of one. */
export class NativeBuffer implements DeviceBuffer {
  readonly address: number;
  readonly byteLength: number;
  readonly #memory: NativeMemory;
  readonly #whole: NativeBuffer | undefined;
  readonly #free: () => void;
  #isDisposed = false;

  constructor(memory: NativeMemory, address: number, byteLength: number, free: () => void, whole?: NativeBuffer) {
    this.#memory = memory;
    this.address = address;
    this.byteLength = byteLength;
    this.#free = free;
    this.#whole = whole;
  }

  get isDisposed(): boolean {
    return this.#isDisposed || (this.#whole?.isDisposed ?? false);
  }

  /** The memory itself. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#memory.view(this.address - this.#memory.address, this.byteLength);
  }

  slice(byteOffset: number, byteLength: number): NativeBuffer {
    checkWindow(this, byteOffset, byteLength);
    return new NativeBuffer(this.#memory, this.address + byteOffset, byteLength, () => {}, this);
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#free();
  }
}

/** A mapped file, unmapped once neither it nor a window of it is in use. */
class NativeFile implements MappedFile {
  readonly #memory: NativeMemory;
  /** Windows that are in use, and the file itself. */
  #nUses = 1;
  #isDisposed = false;

  constructor(memory: NativeMemory) {
    this.#memory = memory;
  }

  get byteLength(): number {
    return this.#memory.byteLength;
  }

  slice(byteOffset: number, byteLength: number): NativeBuffer {
    checkWindow(this, byteOffset, byteLength);
    if (this.#isDisposed) throw new BitloomError('DISPOSED', 'a mapped file was used after dispose()');
    this.#nUses++;
    return new NativeBuffer(this.#memory, this.#memory.address + byteOffset, byteLength, () => this.#leave());
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#leave();
  }

  #leave(): void {
    this.#nUses--;
    if (this.#nUses === 0) this.#memory.dispose();
  }
}

export class NativePool {
  readonly #host: NativeHost;
  /** Whether every piece lies between pages that nobody may touch. */
  readonly #isGuarded: boolean;
  readonly #chunks: Chunk[] = [];
  /** Mappings that are in no use, the one kept longest first. */
  readonly #spares: NativeMemory[] = [];
  /** Pieces of chunks in use. */
  #nPieces = 0;
  #isClosed = false;
  #liveBytes = 0;

  constructor(host: NativeHost, isGuarded: boolean) {
    this.#host = host;
    this.#isGuarded = isGuarded;
  }

  /** Bytes allocated and not freed, as they were asked for. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Uninitialised memory, or with `isZeroed` zeros, 64-byte aligned. Throws OUT_OF_MEMORY. */
  allocate(byteLength: number, isZeroed = false): NativeBuffer {
    if (!Number.isInteger(byteLength) || byteLength < 0)
      throw new BitloomError('INVALID_ARGUMENT', `cannot allocate ${byteLength} bytes`, { byteLength });
    const size = align(byteLength);
    const buffer =
      this.#isGuarded || size >= OWN_BYTES
        ? this.#ownMapping(size, byteLength, isZeroed)
        : this.#piece(size, byteLength, isZeroed);
    this.#liveBytes += byteLength;
    return buffer;
  }

  /** A mapping holds zeros where it is new, and what was in it where another gave it back. */
  #ownMapping(size: number, byteLength: number, isZeroed: boolean): NativeBuffer {
    const memory = (isZeroed ? undefined : this.#takeSpare(size)) ?? this.#newMapping(size);
    return new NativeBuffer(memory, memory.address, byteLength, () => {
      this.#liveBytes -= byteLength;
      this.#spare(memory);
    });
  }

  #newMapping(size: number): NativeMemory {
    if (this.#isGuarded) return this.#host.allocateGuarded(size);
    try {
      return this.#host.allocate(size);
    } catch (error) {
      if (this.#spares.length === 0) throw error;
      this.#dropSpares(0);
      return this.#host.allocate(size);
    }
  }

  #takeSpare(size: number): NativeMemory | undefined {
    const place = this.#spares.findIndex(({ byteLength }) => byteLength === size);
    return place < 0 ? undefined : this.#spares.splice(place, 1)[0];
  }

  /** Keeps a mapping for the next of its size: results of the same program come and go, and new pages cost their zeros. */
  #spare(memory: NativeMemory): void {
    if (this.#isGuarded || this.#isClosed || memory.byteLength > SPARE_BYTES) {
      memory.dispose();
      return;
    }
    this.#spares.push(memory);
    this.#dropSpares(SPARE_BYTES);
  }

  /** Gives mappings back, those kept longest first, until `mostBytes` are left. */
  #dropSpares(mostBytes: number): void {
    let kept = this.#spares.reduce((sum, { byteLength }) => sum + byteLength, 0);
    while (kept > mostBytes) {
      const oldest = this.#spares.shift()!;
      kept -= oldest.byteLength;
      oldest.dispose();
    }
  }

  #piece(size: number, byteLength: number, isZeroed: boolean): NativeBuffer {
    for (const chunk of this.#chunks) {
      const start = chunk.free.take(size);
      if (start === undefined) continue;
      const isFresh = start >= chunk.freshFrom;
      const buffer = this.#of(chunk, start, size, byteLength);
      if (isZeroed && !isFresh) buffer.bytes().fill(0);
      return buffer;
    }
    const memory = this.#host.allocate(CHUNK_BYTES);
    const free = new FreeRanges();
    free.release(memory.address, memory.address + CHUNK_BYTES);
    const chunk = { memory, free, freshFrom: memory.address };
    this.#chunks.push(chunk);
    return this.#of(chunk, free.take(size)!, size, byteLength);
  }

  #of(chunk: Chunk, start: number, size: number, byteLength: number): NativeBuffer {
    const { memory, free } = chunk;
    chunk.freshFrom = Math.max(chunk.freshFrom, start + size);
    this.#nPieces++;
    return new NativeBuffer(memory, start, byteLength, () => {
      this.#liveBytes -= byteLength;
      this.#nPieces--;
      free.release(start, start + size);
      this.#letGo();
    });
  }

  /** Throws MISSING_FILE, BAD_FILE. */
  mapFile(path: string): MappedFile {
    return new NativeFile(this.#host.mapFile(path));
  }

  /** Lets the chunks go once nothing in them is in use. */
  close(): void {
    this.#isClosed = true;
    this.#dropSpares(0);
    this.#letGo();
  }

  #letGo(): void {
    if (!this.#isClosed || this.#nPieces > 0) return;
    for (const { memory } of this.#chunks) memory.dispose();
    this.#chunks.length = 0;
  }
}
