/** A growing byte buffer for machine code; integers are little-endian. */

/** Appends bytes. `reserve` first, then `put`. */
export class CodeBuffer {
  #bytes = new Uint8Array(4096);
  length = 0;

  /** Makes room for this many bytes more. */
  reserve(extraBytes: number): void {
    const needed = this.length + extraBytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }

  put8(value: number): void {
    this.#bytes[this.length++] = value;
  }

  put16(value: number): void {
    this.#bytes[this.length++] = value;
    this.#bytes[this.length++] = value >> 8;
  }

  put32(value: number): void {
    this.set32(this.length, value);
    this.length += 4;
  }

  set32(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value;
    bytes[at + 1] = value >> 8;
    bytes[at + 2] = value >> 16;
    bytes[at + 3] = value >> 24;
  }

  append(bytes: ArrayLike<number>): void {
    this.reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** A copy of a part. */
  slice(start: number, end: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(start, end);
  }
}
