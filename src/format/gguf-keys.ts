/** Typed values from the metadata of a GGUF file, by the keys of its architecture. */
import type { BitloomError } from '../ir/error.ts';
import { badFile } from './byte-source.ts';
import type { GgufFile } from './gguf.ts';
import { tensorEntry } from './tensor-file.ts';

export class GgufKeys {
  readonly #file: GgufFile;
  readonly #architecture: string;

  constructor(file: GgufFile, architecture: string) {
    this.#file = file;
    this.#architecture = architecture;
  }

  #wrong(key: string, problem: string): BitloomError {
    return badFile(this.#file, `metadata "${this.#architecture}.${key}" ${problem}`, { key });
  }

  has(key: string): boolean {
    return this.#file.metadata.has(`${this.#architecture}.${key}`);
  }

  /** A number; of a list with one entry a layer, the number that all of them are. */
  number(key: string): number | undefined {
    const value = this.#file.metadata.get(`${this.#architecture}.${key}`);
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
    const list = ArrayBuffer.isView(value) ? Array.from(value as ArrayLike<number | bigint>, Number) : [];
    if (list.length > 0 && list.every((entry) => entry === list[0])) return list[0];
    throw this.#wrong(key, 'is not one number');
  }

  needed(key: string): number {
    const value = this.number(key);
    if (value !== undefined) return value;
    throw badFile(this.#file, `lacks the metadata key "${this.#architecture}.${key}"`, { key });
  }

  text(key: string): string | undefined {
    const value = this.#file.metadata.get(`${this.#architecture}.${key}`);
    if (value === undefined || typeof value === 'string') return value;
    throw this.#wrong(key, 'is not a string');
  }

  /** The numbers of a small f32 tensor. */
  async floats(name: string): Promise<number[]> {
    const entry = tensorEntry(this.#file, name);
    if (entry.element !== 'f32' || entry.byteLength > MOST_FLOAT_BYTES)
      throw badFile(this.#file, `${name} is no short list of f32`);
    const values = new Float32Array(entry.byteLength / 4);
    await entry.readRows(0, 1, new Uint8Array(values.buffer));
    return [...values];
  }
}

/** Lists of factors have one for each two elements of a head. */
const MOST_FLOAT_BYTES = 2 ** 16;
