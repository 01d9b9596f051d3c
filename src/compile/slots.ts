/** Turns storages into what a plan names: arguments, slots in them or in the arena, and the pool of constants. */
import type { Value } from '../ir/graph.ts';
import type { BufferSlot } from '../target/target.ts';
import type { Touch } from './barriers.ts';
import type { Place, Storage } from './storage.ts';

const ALIGNMENT = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Turns storages into the plan's arguments and slots. */
export class SlotTable {
  readonly slots: BufferSlot[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #outputArguments: readonly number[];
  readonly #constantOffsets: ReadonlyMap<Value, number>;
  readonly #constantArgument: number;

  constructor(
    outputArguments: readonly number[],
    constantOffsets: ReadonlyMap<Value, number>,
    constantArgument: number,
  ) {
    this.#outputArguments = outputArguments;
    this.#constantOffsets = constantOffsets;
    this.#constantArgument = constantArgument;
  }

  /** Argument number (-1: arena) and byte offset of a place. */
  locate({ storage, byteOffset }: Place): { memory: number; byteOffset: number } {
    const { home } = storage;
    switch (home.kind) {
      case 'input':
        return { memory: home.index, byteOffset };
      case 'output':
        return { memory: this.#outputArguments[home.index]!, byteOffset };
      case 'constant':
        return { memory: this.#constantArgument, byteOffset: this.#constantOffsets.get(home.value)! + byteOffset };
      case 'arena':
        return { memory: -1, byteOffset: storage.byteOffset + byteOffset };
    }
  }

  number(place: Place): number {
    const { memory, byteOffset } = this.locate(place);
    const key = `${memory}:${byteOffset}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.slots.length;
      this.#numbers.set(key, number);
      this.slots.push(memory < 0 ? { kind: 'arena', byteOffset } : { kind: 'argument', index: memory, byteOffset });
    }
    return number;
  }

  touch(place: Place, bytes: number, isWrite: boolean, partition: string): Touch {
    const { memory, byteOffset } = this.locate(place);
    return { memory, begin: byteOffset, end: byteOffset + bytes, isWrite, partition };
  }
}

/** Lays out the constants that kernels load, in one pool. */
export function poolConstants(storages: Iterable<Storage>): { bytes: Uint8Array; offsets: Map<Value, number> } {
  const offsets = new Map<Value, number>();
  let total = 0;
  for (const { home } of storages) {
    if (home.kind !== 'constant' || offsets.has(home.value)) continue;
    offsets.set(home.value, total);
    total += aligned((home.value.attrs.data as Uint8Array).byteLength);
  }
  const bytes = new Uint8Array(total);
  for (const [value, offset] of offsets) bytes.set(value.attrs.data as Uint8Array, offset);
  return { bytes, offsets };
}
