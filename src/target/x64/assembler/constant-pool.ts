/**
 * Constants that code reads relative to rip. They stand behind the code, equal ones once.
 * Flow: `Assembler.constant` adds, `Assembler.finish` places.
 */
import type { CodeBuffer } from './code-buffer.ts';
import type { Label } from './operand.ts';

interface Constant {
  readonly label: Label;
  readonly bytes: Uint8Array;
  alignment: number;
}

/** Bytes beyond which no alignment helps: a cache line. */
const CACHE_LINE = 64;
/** Longer ones are tables of their own: nobody else has an equal one, and comparing them takes time. */
const MOST_SHARED_BYTES = 4096;
const INT3 = 0xcc;

/** Collects constants and lays them out, the strictest alignment first, so that little is lost between them. */
export class ConstantPool {
  readonly #constants = new Map<string, Constant>();

  /** The label of a constant. Without an alignment it gets the next power of two from its length, 64 at most. */
  add(
    bytes: Uint8Array,
    alignment = Math.min(CACHE_LINE, 2 ** Math.ceil(Math.log2(Math.max(1, bytes.length)))),
  ): Label {
    const key = bytes.length > MOST_SHARED_BYTES ? `table ${this.#constants.size}` : String.fromCharCode(...bytes);
    const known = this.#constants.get(key);
    if (known) {
      known.alignment = Math.max(known.alignment, alignment);
      return known.label;
    }
    const label: Label = { kind: 'label', name: `C${this.#constants.size}`, offset: -1 };
    this.#constants.set(key, { label, bytes: bytes.slice(), alignment });
    return label;
  }

  /** Writes all constants, binds their labels and gives these in order. */
  place(buffer: CodeBuffer): Label[] {
    const ordered = [...this.#constants.values()].sort((a, b) => b.alignment - a.alignment);
    for (const { label, bytes, alignment } of ordered) {
      while (buffer.length % alignment !== 0) buffer.append([INT3]);
      label.offset = buffer.length;
      buffer.append(bytes);
    }
    return ordered.map(({ label }) => label);
  }
}
