/**
 * Reads GGUF files: metadata, then the tensor table, then aligned tensor data.
 * Source: the GGUF specification (ggml-org/ggml, docs/gguf.md), version 3; version 2 differs in nothing read here.
 */
import { BitloomError } from '../ir/error.ts';
import { type ByteSource, badFile, readExactly } from './byte-source.ts';
import { GgufCursor } from './gguf-cursor.ts';
import {
  DEFAULT_ALIGNMENT,
  elementOfGgufType,
  GGUF_MAGIC,
  ggufTypeName,
  METADATA_BYTES,
  type MetadataType,
  type MetadataValue,
  MOST_AXES,
  MOST_HEADER_BYTES,
  MOST_NAME_BYTES,
  SUPPORTED_GGUF_TYPES,
} from './gguf-types.ts';
import { checkLayout, type StoredTensor, storedTensor, type TensorFile } from './tensor-file.ts';

export interface GgufFile extends TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** The type that each key's value had in the file. */
  readonly metadataTypes: ReadonlyMap<string, MetadataType>;
}

const FIRST_WINDOW_BYTES = 2 ** 22;

/** Opens a GGUF file: reads and checks everything before the tensor data. Throws BAD_FILE, UNSUPPORTED_DTYPE, UNSUPPORTED_FEATURE. */
export async function openGguf(source: ByteSource, signal?: AbortSignal): Promise<GgufFile> {
  const most = Math.min(source.sizeBytes, MOST_HEADER_BYTES);
  let window = Math.min(most, FIRST_WINDOW_BYTES);
  for (;;) {
    const bytes = new Uint8Array(window);
    await readExactly(source, bytes, 0, signal);
    try {
      return parseHeader(new GgufCursor(bytes, source), source);
    } catch (error) {
      // The header may go on behind the window; nearly all fit into the first one.
      const needed = error instanceof BitloomError ? error.details.neededBytes : undefined;
      if (typeof needed !== 'number' || window === most) throw error;
      window = Math.min(most, Math.max(needed, window * 4));
    }
  }
}

function parseHeader(cursor: GgufCursor, source: ByteSource): GgufFile {
  if (cursor.u32('the signature') !== GGUF_MAGIC)
    throw badFile(source, 'is no GGUF file: it does not begin with "GGUF"');
  checkVersion(cursor.u32('the version'), source);
  const tensorCount = cursor.count('the number of tensors', 24); // name length, axes, type, offset
  const keyCount = cursor.count('the number of metadata keys', 8 + 4 + METADATA_BYTES.u8);
  const metadata = new Map<string, MetadataValue>();
  const metadataTypes = new Map<string, MetadataType>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.text(`metadata key ${i}`, MOST_NAME_BYTES);
    if (metadata.has(key)) throw cursor.fail(`has the metadata key "${key}" twice`);
    const type = cursor.type(`"${key}"`);
    metadata.set(key, cursor.value(type, `"${key}"`));
    metadataTypes.set(key, type);
  }
  const alignment = readAlignment(metadata, source);
  const rows: TensorRow[] = [];
  for (let i = 0; i < tensorCount; i++) rows.push(readRow(cursor, i));
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  const entries = rows.map((row) => toEntry(row, source, dataStart, alignment));
  const tensors = new Map(entries.map((entry) => [entry.name, entry]));
  if (tensors.size !== entries.length) {
    const twice = entries.find((entry) => tensors.get(entry.name) !== entry)!;
    throw badFile(source, `has two tensors called "${twice.name}"`, { name: twice.name });
  }
  checkLayout(source, entries, dataStart, source.sizeBytes);
  return { name: source.name, metadata, metadataTypes, tensors };
}

function checkVersion(version: number, source: ByteSource): void {
  if (version === 2 || version === 3) return;
  const isSwapped = version !== 0 && (version & 0xffff) === 0;
  throw new BitloomError(
    'UNSUPPORTED_FEATURE',
    isSwapped
      ? `${source.name} is a big-endian GGUF file; little-endian files are supported`
      : `${source.name} is GGUF version ${version}; versions 2 and 3 are supported`,
    { version },
  );
}

function readAlignment(metadata: ReadonlyMap<string, MetadataValue>, source: ByteSource): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  const isPower =
    typeof alignment === 'number' && Number.isInteger(Math.log2(alignment)) && alignment >= 1 && alignment <= 2 ** 20;
  if (!isPower)
    throw badFile(source, `general.alignment is ${String(alignment)}, not a power of two up to 2^20`, {
      alignment: String(alignment),
    });
  return alignment;
}

interface TensorRow {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

function readRow(cursor: GgufCursor, index: number): TensorRow {
  const name = cursor.text(`the name of tensor ${index}`, MOST_NAME_BYTES);
  const axes = cursor.u32(`the rank of "${name}"`);
  if (axes > MOST_AXES) throw cursor.fail(`tensor "${name}" has ${axes} axes, at most ${MOST_AXES} are allowed`);
  // The file has the fastest axis first.
  const shape = Array.from({ length: axes }, () => cursor.u64(`a size of "${name}"`)).reverse();
  return { name, shape, type: cursor.u32(`the type of "${name}"`), offset: cursor.u64(`the offset of "${name}"`) };
}

function toEntry(
  { name, shape, type, offset }: TensorRow,
  source: ByteSource,
  dataStart: number,
  alignment: number,
): StoredTensor {
  const element = elementOfGgufType(type);
  if (element === undefined) {
    throw new BitloomError(
      'UNSUPPORTED_DTYPE',
      `${source.name}: tensor "${name}" is stored as ${ggufTypeName(type)}; supported are ${SUPPORTED_GGUF_TYPES}`,
      { name, type },
    );
  }
  if (offset % alignment !== 0)
    throw badFile(source, `tensor "${name}" at offset ${offset} is not aligned to ${alignment} bytes`, {
      name,
      offset,
    });
  return storedTensor(source, { name, element, shape, byteOffset: dataStart + offset });
}
