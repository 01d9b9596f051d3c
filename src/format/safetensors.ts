/**
 * Reads and writes safetensors files: eight bytes of header length, a JSON header, then the tensors without holes.
 * Source: the safetensors format description (huggingface/safetensors, "Format").
 */
import { DTYPE_BYTES, type DType, dtypeName, type ElementType, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { type ByteSource, badFile, readExactly } from './byte-source.ts';
import { isRecord, type JsonRecord, parseJson } from './json.ts';
import {
  checkLayout,
  type StoredTensor,
  sourceBytes,
  storedTensor,
  type TensorFile,
  type TensorSource,
  tensorPieces,
} from './tensor-file.ts';

/** The format's own limit. */
const MOST_HEADER_BYTES = 100_000_000;

const DTYPES: Readonly<Record<string, DType>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  I32: 'i32',
  U32: 'u32',
  I8: 'i8',
  U8: 'u8',
  BOOL: 'bool',
};

export interface SafetensorsFile extends TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** Opens a safetensors file: reads and checks its header. Throws BAD_FILE, UNSUPPORTED_DTYPE. */
export async function openSafetensors(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsFile> {
  if (source.sizeBytes < 8) throw badFile(source, `is ${source.sizeBytes} bytes, too short for a safetensors file`);
  const prefix = new Uint8Array(8);
  await readExactly(source, prefix, 0, signal);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > MOST_HEADER_BYTES || Number(length) > source.sizeBytes - 8) {
    throw badFile(
      source,
      `says its header has ${length} bytes, but the file has ${source.sizeBytes} and a header at most ${MOST_HEADER_BYTES}`,
    );
  }
  const header = new Uint8Array(Number(length));
  await readExactly(source, header, 8, signal);
  if (header[0] !== 0x7b) throw badFile(source, 'is no safetensors file: its header does not begin with "{"');
  const { __metadata__: metadata, ...records } = parseJson(source, header, 'safetensors header');
  const start = 8 + header.length;
  const entries = Object.entries(records).map(([name, record]) => readEntry(source, name, record, start));
  const ordered = checkLayout(source, entries, start, source.sizeBytes);
  const end = checkNoHoles(source, ordered, start);
  if (end !== source.sizeBytes) throw badFile(source, `has ${source.sizeBytes - end} bytes behind its last tensor`);
  return {
    name: source.name,
    metadata: readMetadata(source, metadata),
    tensors: new Map(ordered.map((entry) => [entry.name, entry])),
  };
}

function checkNoHoles(source: ByteSource, ordered: readonly StoredTensor[], start: number): number {
  let at = start;
  for (const { name, byteOffset, byteLength } of ordered) {
    if (byteOffset !== at)
      throw badFile(source, `has a hole of ${byteOffset - at} bytes before tensor "${name}"`, { name });
    at += byteLength;
  }
  return at;
}

function readMetadata(source: ByteSource, value: unknown): Map<string, string> {
  if (value === undefined) return new Map();
  if (isRecord(value)) {
    const entries = Object.entries(value);
    if (entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) return new Map(entries);
  }
  throw badFile(source, 'its __metadata__ is not a record of strings');
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isSizes = (value: unknown): value is number[] => Array.isArray(value) && value.every(isSize);

function readEntry(source: ByteSource, name: string, record: unknown, start: number): StoredTensor {
  const { dtype, shape, data_offsets: offsets } = isRecord(record) ? record : ({} as JsonRecord);
  if (typeof dtype !== 'string' || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2) {
    throw badFile(source, `tensor "${name}" lacks a valid dtype, shape or data_offsets`, { name });
  }
  const element = Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype]! : undefined;
  if (element === undefined) {
    const known = Object.keys(DTYPES).join(', ');
    throw new BitloomError(
      'UNSUPPORTED_DTYPE',
      `${source.name}: tensor "${name}" is ${dtype}; supported are ${known}`,
      { name, dtype },
    );
  }
  const [begin, end] = offsets as [number, number];
  const entry = storedTensor(source, { name, element, shape, byteOffset: start + begin });
  if (end - begin !== entry.byteLength) {
    throw badFile(
      source,
      `tensor "${name}" ${dtype} [${shape.join(', ')}] takes ${entry.byteLength} bytes, but its offsets span ${end - begin}`,
      { name },
    );
  }
  return entry;
}

/**
 * The bytes of a safetensors file, piece by piece. Tensors are laid out by falling element size, then by name,
 * which keeps all of them aligned. Throws INVALID_ARGUMENT; UNSUPPORTED_DTYPE for packed elements.
 */
export async function* safetensorsPieces(
  tensors: readonly TensorSource[],
  metadata: ReadonlyMap<string, string> = new Map(),
): AsyncGenerator<Uint8Array> {
  const ordered = tensors.toSorted((a, b) => elementBytes(b) - elementBytes(a) || (a.name < b.name ? -1 : 1));
  const sizes = sourceBytes(ordered);
  const header: [string, unknown][] = metadata.size === 0 ? [] : [['__metadata__', Object.fromEntries(metadata)]];
  let at = 0;
  ordered.forEach(({ name, element, shape }, i) => {
    header.push([name, { dtype: dtypeOf(name, element), shape, data_offsets: [at, at + sizes[i]!] }]);
    at += sizes[i]!;
  });
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const padded = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(json, 8);
  yield padded;
  for (const [i, tensor] of ordered.entries()) yield* tensorPieces(tensor, sizes[i]!);
}

const elementBytes = ({ element }: TensorSource): number => (isPacked(element) ? 0 : DTYPE_BYTES[element]);

function dtypeOf(name: string, element: ElementType): string {
  const dtype = Object.keys(DTYPES).find((key) => DTYPES[key] === element);
  if (dtype !== undefined) return dtype;
  throw new BitloomError(
    'UNSUPPORTED_DTYPE',
    `safetensors has no type for "${name}" ${dtypeName(element)}; write a GGUF file instead`,
    { name },
  );
}
