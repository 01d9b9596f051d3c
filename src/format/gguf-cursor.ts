/** Walks the bytes of a GGUF header with every length checked against the file before anything is allocated. */
import type { BitloomError } from '../ir/error.ts';
import { type ByteSource, badFile } from './byte-source.ts';
import {
  isNumberType,
  METADATA_BYTES,
  METADATA_TYPES,
  type MetadataList,
  type MetadataType,
  type MetadataValue,
  NUMBER_ARRAYS,
} from './gguf-types.ts';

const MOST_NESTING = 4;

/** The longest string that is read without TextDecoder. */
const SHORT_BYTES = 64;
const codes = new Uint16Array(SHORT_BYTES);

/**
 * UTF-8 of characters below U+0800, at most `SHORT_BYTES`; undefined where there is anything else. Vocabularies are hundreds of
 * thousands of such strings, for which TextDecoder's cost per call would be most of the time to open a file.
 */
function shortText(bytes: Uint8Array, start: number, end: number): string | undefined {
  let count = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte < 0x80) {
      codes[count++] = byte;
      continue;
    }
    const next = i + 1 < end ? bytes[i + 1]! : 0;
    if (byte < 0xc2 || byte > 0xdf || (next & 0xc0) !== 0x80) return undefined;
    codes[count++] = ((byte & 0x1f) << 6) | (next & 0x3f);
    i++;
  }
  let text = '';
  let i = 0;
  for (; i + 4 <= count; i += 4) text += String.fromCharCode(codes[i]!, codes[i + 1]!, codes[i + 2]!, codes[i + 3]!);
  if (i + 2 <= count) {
    text += String.fromCharCode(codes[i]!, codes[i + 1]!);
    i += 2;
  }
  return i < count ? text + String.fromCharCode(codes[i]!) : text;
}

/** Thrown values carry `details.neededBytes` where the header goes on behind the bytes at hand. */
export class GgufCursor {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #source: ByteSource;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  /** `bytes` are the first ones of `source`. */
  constructor(bytes: Uint8Array, source: ByteSource) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#source = source;
  }

  fail(problem: string, details: Record<string, unknown> = {}): BitloomError {
    return badFile(this.#source, `${problem} (near byte ${this.at})`, details);
  }

  /** Moves past `count` bytes and gives the offset where they begin. */
  #take(count: number, what: string): number {
    const end = this.at + count;
    if (end > this.#source.sizeBytes) {
      throw this.fail(`${what} runs beyond the file's ${this.#source.sizeBytes} bytes; it is truncated or malformed`);
    }
    if (end > this.#bytes.byteLength) throw this.fail('its header is too large', { neededBytes: end });
    const start = this.at;
    this.at = end;
    return start;
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true);
  }

  /** A u64 as a number: exact up to 2^53, near enough beyond to be refused. */
  #wide(what: string): number {
    const at = this.#take(8, what);
    return this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
  }

  /** A u64 that counts bytes or things in the file, each of which takes `leastBytes` there. */
  count(what: string, leastBytes: number): number {
    const value = this.#wide(what);
    if (value * leastBytes <= this.#source.sizeBytes - this.at) return value;
    throw this.fail(`${what} is ${value}, more than the file can hold`);
  }

  /** A u64 that need not be a count. Throws BAD_FILE beyond 2^53. */
  u64(what: string): number {
    const value = this.#wide(what);
    if (value > Number.MAX_SAFE_INTEGER) throw this.fail(`${what} is ${value}, beyond any file`);
    return value;
  }

  text(what: string, mostBytes = Number.POSITIVE_INFINITY): string {
    const length = this.count(`the length of ${what}`, 1);
    if (length > mostBytes) throw this.fail(`${what} is ${length} bytes long, at most ${mostBytes} are allowed`);
    const start = this.#take(length, what);
    const short = length <= SHORT_BYTES ? shortText(this.#bytes, start, this.at) : undefined;
    if (short !== undefined) return short;
    try {
      return this.#decoder.decode(this.#bytes.subarray(start, start + length));
    } catch {
      throw this.fail(`${what} is not valid UTF-8`);
    }
  }

  type(what: string): MetadataType {
    const id = this.u32(`the type of ${what}`);
    const type = METADATA_TYPES[id];
    if (type === undefined) throw this.fail(`${what} has the unknown type ${id}`);
    return type;
  }

  value(type: MetadataType, what: string, depth = 0): MetadataValue {
    if (type === 'string') return this.text(what);
    if (type === 'array') return this.#list(what, depth);
    const at = this.#take(METADATA_BYTES[type], what);
    const view = this.#view;
    switch (type) {
      case 'u8':
        return view.getUint8(at);
      case 'i8':
        return view.getInt8(at);
      case 'u16':
        return view.getUint16(at, true);
      case 'i16':
        return view.getInt16(at, true);
      case 'u32':
        return view.getUint32(at, true);
      case 'i32':
        return view.getInt32(at, true);
      case 'f32':
        return view.getFloat32(at, true);
      case 'f64':
        return view.getFloat64(at, true);
      case 'u64':
        return exact(view.getBigUint64(at, true));
      case 'i64':
        return exact(view.getBigInt64(at, true));
      case 'bool':
        return this.#flag(view.getUint8(at), what);
    }
  }

  #flag(byte: number, what: string): boolean {
    if (byte > 1) throw this.fail(`${what} is a boolean of value ${byte}`);
    return byte === 1;
  }

  #list(what: string, depth: number): MetadataList {
    if (depth >= MOST_NESTING) throw this.fail(`${what} nests lists more than ${MOST_NESTING} deep`);
    const type = this.type(what);
    const length = this.count(`the length of ${what}`, METADATA_BYTES[type]);
    if (isNumberType(type)) {
      const start = this.#take(length * METADATA_BYTES[type], what);
      const copy = this.#bytes.slice(start, this.at);
      return new NUMBER_ARRAYS[type](copy.buffer as ArrayBuffer, copy.byteOffset, length);
    }
    // A list that goes on behind the bytes at hand is not begun.
    const start = this.#take(length * METADATA_BYTES[type], what);
    this.at = start;
    if (type === 'string') return this.#texts(length, what);
    const list: MetadataValue[] = [];
    for (let i = 0; i < length; i++) list.push(this.value(type, what, depth + 1));
    return list as MetadataList;
  }

  /** As `text` reads each, with little to do for short ones. */
  #texts(count: number, what: string): string[] {
    const [bytes, view] = [this.#bytes, this.#view];
    const list: string[] = [];
    for (let i = 0; i < count; i++) {
      const start = this.at + 8;
      const isHere = start <= bytes.byteLength && view.getUint32(this.at + 4, true) === 0;
      const length = isHere ? view.getUint32(this.at, true) : Number.POSITIVE_INFINITY;
      const isShort = length <= SHORT_BYTES && start + length <= bytes.byteLength;
      const short = isShort ? shortText(bytes, start, start + length) : undefined;
      if (short !== undefined) this.at = start + length;
      list.push(short ?? this.text(what));
    }
    return list;
  }
}

const exact = (value: bigint): number | bigint => (BigInt.asIntN(54, value) === value ? Number(value) : value);
