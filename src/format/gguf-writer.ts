/**
 * Writes GGUF version 3 files, piece by piece, so that a large model never lies in memory as a whole.
 * Source: the GGUF specification (ggml-org/ggml, docs/gguf.md).
 */
import { dtypeName } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import {
  DEFAULT_ALIGNMENT,
  GGUF_MAGIC,
  ggufTypeOfElement,
  isNumberType,
  METADATA_TYPES,
  type MetadataList,
  type MetadataType,
  type MetadataValue,
  NUMBER_ARRAYS,
} from './gguf-types.ts';
import { sourceBytes, type TensorSource, tensorPieces } from './tensor-file.ts';

/** A metadata value to be written: of the type that it shows (integers: u32, else i32), or of a stated one. */
export type MetadataInput = MetadataValue | { readonly type: MetadataType; readonly value: MetadataValue };

/** A float in metadata, where a bare number would be taken as an integer. */
export const f32Value = (value: number): MetadataInput => ({ type: 'f32', value });

const unsupported = (key: string, problem: string): BitloomError =>
  new BitloomError('INVALID_ARGUMENT', `GGUF metadata "${key}" ${problem}`, { key });

/** Grows as it is written to. */
class HeaderBytes {
  #bytes = new Uint8Array(2 ** 16);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  #room(count: number): number {
    const start = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }

  #append(bytes: Uint8Array): void {
    const start = this.#room(bytes.length);
    this.#bytes.set(bytes, start);
  }

  u32(value: number): void {
    const start = this.#room(4);
    this.#view.setUint32(start, value, true);
  }

  u64(value: number): void {
    const start = this.#room(8);
    this.#view.setBigUint64(start, BigInt(value), true);
  }

  text(value: string): void {
    const encoded = new TextEncoder().encode(value);
    this.u64(encoded.length);
    this.#append(encoded);
  }

  value(type: MetadataType, value: MetadataValue, key: string): void {
    if (type === 'string') this.text(value as string);
    else if (type === 'array') this.#list(value as MetadataList, key);
    else if (type === 'bool') this.#append(Uint8Array.of(value ? 1 : 0));
    else this.#numbers(type, [value as number | bigint], key);
  }

  #numbers(type: keyof typeof NUMBER_ARRAYS, values: ArrayLike<number | bigint>, key: string): void {
    const isBig = type === 'u64' || type === 'i64';
    const typed = isBig
      ? NUMBER_ARRAYS[type].from(Array.from(values, (v) => BigInt(v)))
      : NUMBER_ARRAYS[type].from(Array.from(values, (v) => Number(v)));
    const isExact =
      type === 'f32' || Array.prototype.every.call(typed, (v, i) => Object.is(Number(v), Number(values[i])));
    if (!isExact) throw unsupported(key, `does not fit ${type}`);
    this.#append(new Uint8Array(typed.buffer));
  }

  #list(list: MetadataList, key: string): void {
    const type = listType(list, key);
    this.u32(METADATA_TYPES.indexOf(type));
    this.u64(list.length);
    if (isNumberType(type)) this.#numbers(type, list as ArrayLike<number | bigint>, key);
    else for (const value of list as readonly MetadataValue[]) this.value(type, value, key);
  }

  /** Pads with zeros to a multiple of `alignment`. */
  align(alignment: number): void {
    this.#room((alignment - (this.length % alignment)) % alignment);
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

function listType(list: MetadataList, key: string): MetadataType {
  for (const [name, Numbers] of Object.entries(NUMBER_ARRAYS)) if (list instanceof Numbers) return name as MetadataType;
  const types = new Set(
    Array.from(list as readonly unknown[], (v) => (Array.isArray(v) || ArrayBuffer.isView(v) ? 'array' : typeof v)),
  );
  const [type = 'string'] = types;
  if (types.size > 1 || !['string', 'boolean', 'array'].includes(type)) {
    throw unsupported(key, 'is a list of mixed or untyped values; use a typed array for numbers');
  }
  return type === 'boolean' ? 'bool' : (type as MetadataType);
}

function typed(input: MetadataInput, key: string): { readonly type: MetadataType; readonly value: MetadataValue } {
  if (typeof input === 'object') return 'type' in input ? input : { type: 'array', value: input };
  if (typeof input === 'string') return { type: 'string', value: input };
  if (typeof input === 'boolean') return { type: 'bool', value: input };
  if (typeof input === 'bigint') return { type: input < 0n ? 'i64' : 'u64', value: input };
  if (Number.isInteger(input)) return { type: input < 0 ? 'i32' : 'u32', value: input };
  throw unsupported(key, `is ${input}; say which float type it has, as with f32Value()`);
}

const aligned = (size: number, alignment: number): number => Math.ceil(size / alignment) * alignment;

/** What a GGUF file is made of. `general.alignment` in the metadata is obeyed. */
export interface GgufContent {
  readonly metadata: ReadonlyMap<string, MetadataInput>;
  readonly tensors: readonly TensorSource[];
}

function headerBytes({ metadata, tensors }: GgufContent, sizes: readonly number[], alignment: number): Uint8Array {
  const header = new HeaderBytes();
  header.u32(GGUF_MAGIC);
  header.u32(3);
  header.u64(tensors.length);
  header.u64(metadata.size);
  for (const [key, input] of metadata) {
    const { type, value } = typed(input, key);
    header.text(key);
    header.u32(METADATA_TYPES.indexOf(type));
    header.value(type, value, key);
  }
  let offset = 0;
  tensors.forEach(({ name, element, shape }, i) => {
    const id = ggufTypeOfElement(element);
    if (id === undefined) {
      throw new BitloomError('UNSUPPORTED_DTYPE', `GGUF has no type for "${name}" ${dtypeName(element)}`, { name });
    }
    header.text(name);
    header.u32(shape.length);
    for (const size of shape.toReversed()) header.u64(size);
    header.u32(id);
    header.u64(offset);
    offset += aligned(sizes[i]!, alignment);
  });
  header.align(alignment);
  return header.done();
}

/** The bytes of a GGUF file, piece by piece. Throws INVALID_ARGUMENT, UNSUPPORTED_DTYPE. */
export async function* ggufPieces(content: GgufContent): AsyncGenerator<Uint8Array> {
  const { metadata, tensors } = content;
  const declared = metadata.get('general.alignment');
  const alignment = declared === undefined ? DEFAULT_ALIGNMENT : Number(typed(declared, 'general.alignment').value);
  const sizes = sourceBytes(tensors);
  yield headerBytes(content, sizes, alignment);
  for (const [i, tensor] of tensors.entries()) {
    const size = sizes[i]!;
    yield* tensorPieces(tensor, size);
    yield new Uint8Array(aligned(size, alignment) - size);
  }
}
