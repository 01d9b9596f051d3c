/** What safetensors and GGUF files have in common: named tensors at byte ranges, read straight to where they belong. */
import { type ElementType, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { byteLength, elementCount, type Shape } from '../ir/shape.ts';
import { type ByteSource, badFile, readExactly } from './byte-source.ts';

/** One tensor: type, shape (outermost axis first), bytes, and how its rows are read. */
export interface TensorEntry {
  readonly name: string;
  readonly element: ElementType;
  readonly shape: Shape;
  readonly byteLength: number;
  /** Fills `target`, exactly as long as `count` rows, with those from `first` on. */
  readRows(first: number, count: number, target: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/** A tensor that lies in a file in one piece. */
export interface StoredTensor extends TensorEntry {
  readonly source: ByteSource;
  /** From the start of the file. */
  readonly byteOffset: number;
}

/** Opened weights, in one file or several, whose headers have been read and checked. */
export interface TensorFile {
  /** As errors name it. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** Rows of a tensor: all axes but the last, multiplied. */
export const rowCount = ({ shape }: { readonly shape: Shape }): number => elementCount(shape.slice(0, -1));

/** Bytes of one row; 0 where there are no rows. */
export const rowBytes = (entry: { readonly shape: Shape; readonly byteLength: number }): number =>
  rowCount(entry) === 0 ? 0 : entry.byteLength / rowCount(entry);

/** A tensor at a place in a file. */
export function storedTensor(
  source: ByteSource,
  { name, element, shape, byteOffset }: Pick<StoredTensor, 'name' | 'element' | 'shape' | 'byteOffset'>,
): StoredTensor {
  const size = tensorBytes(source, name, element, shape);
  const rowSize = rowBytes({ shape, byteLength: size });
  return {
    source,
    name,
    element,
    shape,
    byteOffset,
    byteLength: size,
    readRows: (first, _, target, signal) => readExactly(source, target, byteOffset + first * rowSize, signal),
  };
}

/** Whether a tensor lies in a file as it is read, in one piece. Others are put together from such. */
export const isStored = (entry: TensorEntry): entry is StoredTensor => 'source' in entry && 'byteOffset' in entry;

/** The tensor called `name`. Throws MISSING_TENSOR. */
export function tensorEntry(file: TensorFile, name: string): TensorEntry {
  const entry = file.tensors.get(name);
  if (entry !== undefined) return entry;
  throw new BitloomError('MISSING_TENSOR', `${file.name} has no tensor "${name}" among its ${file.tensors.size}`, {
    name,
  });
}

/** Reads a whole tensor into `target`, which must be exactly as long. Throws BAD_FILE, INVALID_ARGUMENT. */
export const readTensor = (entry: TensorEntry, target: Uint8Array, signal?: AbortSignal): Promise<void> =>
  readTensorRows(entry, 0, rowCount(entry), target, signal);

/** Reads `count` rows from `first` on into `target`, which must be exactly as long. Throws BAD_FILE, INVALID_ARGUMENT. */
export async function readTensorRows(
  entry: TensorEntry,
  first: number,
  count: number,
  target: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const [rows, size] = [rowCount(entry), rowBytes(entry)];
  if (first < 0 || count < 0 || first + count > rows || target.byteLength !== count * size) {
    throw new BitloomError(
      'INVALID_ARGUMENT',
      `rows ${first} to ${first + count} of "${entry.name}" (${rows} rows of ${size} bytes) do not fit a target of ${target.byteLength} bytes`,
      { name: entry.name, first, count },
    );
  }
  if (count > 0) await entry.readRows(first, count, target, signal);
}

/** The product of sizes, or undefined where it is beyond 2^53. */
function safeCount(shape: Shape): number | undefined {
  if (shape.includes(0)) return 0;
  const count = elementCount(shape);
  return Number.isSafeInteger(count * 8) ? count : undefined;
}

/** Bytes that a tensor of this type takes. Throws BAD_FILE for absurd sizes and rows that do not divide into blocks. */
export function tensorBytes(source: ByteSource, name: string, element: ElementType, shape: Shape): number {
  const details = { name, shape };
  if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0) || safeCount(shape) === undefined) {
    throw badFile(source, `tensor "${name}" has an absurd shape [${shape.join(', ')}]`, details);
  }
  if (isPacked(element) && (shape.at(-1) ?? 1) % element.blockSize !== 0) {
    throw badFile(
      source,
      `tensor "${name}" [${shape.join(', ')}] does not divide into ${element.name} blocks of ${element.blockSize}`,
      details,
    );
  }
  return byteLength({ dtype: element, shape });
}

/** Checks that tensors lie in [start, end) of the file without overlap. Throws BAD_FILE. Returns them by offset. */
export function checkLayout(
  source: ByteSource,
  entries: readonly StoredTensor[],
  start: number,
  end: number,
): StoredTensor[] {
  const ordered = entries.toSorted((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let at = start;
  for (const { name, byteOffset, byteLength: size } of ordered) {
    if (byteOffset + size > end) {
      throw badFile(
        source,
        `tensor "${name}" ends at byte ${byteOffset + size}, but the file at ${end}; it is truncated or malformed`,
        { name },
      );
    }
    if (byteOffset < at) throw badFile(source, `tensor "${name}" overlaps what lies before byte ${at}`, { name });
    at = byteOffset + size;
  }
  return ordered;
}

/** A tensor to be written: its bytes, or pieces of them made when their turn comes. */
export interface TensorSource {
  readonly name: string;
  readonly element: ElementType;
  readonly shape: Shape;
  readonly data: Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

/** The bytes of a tensor to be written, piece by piece. Throws INVALID_ARGUMENT where their count is not `expected`. */
export async function* tensorPieces({ name, data }: TensorSource, expected: number): AsyncGenerator<Uint8Array> {
  let written = 0;
  for await (const piece of data instanceof Uint8Array ? [data] : data()) {
    written += piece.byteLength;
    yield piece;
  }
  if (written === expected) return;
  throw new BitloomError('INVALID_ARGUMENT', `tensor "${name}" takes ${expected} bytes, but ${written} were given`, {
    name,
  });
}

/** Checks names, shapes and blocks of tensors to be written; returns their sizes in bytes. Throws INVALID_ARGUMENT. */
export function sourceBytes(tensors: readonly TensorSource[]): number[] {
  const names = new Set<string>();
  return tensors.map(({ name, element, shape }) => {
    const divides = !isPacked(element) || (element.panelRows === 1 && (shape.at(-1) ?? 1) % element.blockSize === 0);
    if (names.has(name) || !divides) {
      throw new BitloomError(
        'INVALID_ARGUMENT',
        `tensor "${name}" [${shape.join(', ')}] is named twice or does not divide into plain blocks`,
        { name },
      );
    }
    names.add(name);
    return byteLength({ dtype: element, shape });
  });
}
