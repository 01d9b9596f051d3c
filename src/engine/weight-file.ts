/**
 * A file of packed weights as kernels read them, made from a checkpoint by the first load and mapped by later ones. Its
 * header names what it was made of, so that a file of another checkpoint, layout or device is known for what it is; its
 * last bytes repeat the header's hash, so that one that was cut off is too.
 *
 * Layout: MAGIC, u32 length of the JSON, the JSON; from a multiple of 4096 on the tensors, each at a multiple of 64; the
 * hash of all before the tensors.
 */
import { platform, type RandomAccessFile } from '#platform';
import { type ByteSource, isStored, readExactly, type TensorEntry } from '../format/index.ts';
import { dtypeName } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { placedBytes, placedElement } from './placed-weight.ts';

/** To be raised whenever panels, or what of a checkpoint goes into them, change. */
const LAYOUT_VERSION = 2;
const MAGIC = new TextEncoder().encode('BITLOOM\nWEIGHTS\n');
const HASH_BYTES = 32;
const DATA_ALIGNMENT = 4096;
const TENSOR_ALIGNMENT = 64;

export const WEIGHT_FILE = '.panels';

const align = (bytes: number, to: number): number => Math.ceil(bytes / to) * to;

function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const digest = platform.createDigest('sha256');
  for (const part of parts) digest.update(typeof part === 'string' ? new TextEncoder().encode(part) : part);
  return digest.hex();
}

/** What a file of weights is made from. */
export interface WeightFileContent {
  /** The checkpoint's files, all on the disk. */
  readonly files: readonly ByteSource[];
  /** Settings that decide how the checkpoint's tensors are read. */
  readonly config: unknown;
  readonly panelRows: number;
  /** The packed tensors by the names that the architecture gives them. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** Where each byte of a file of weights lies. */
export interface WeightFileLayout {
  readonly name: string;
  readonly offsets: ReadonlyMap<string, number>;
  readonly header: Uint8Array;
  readonly trailer: Uint8Array;
  readonly trailerOffset: number;
  readonly sizeBytes: number;
}

/** `model-Q4_0` of `/models/model-Q4_0.gguf`: for people, so that they know a file by its name. */
function stemOf(path: string): string {
  const parts = path.split(/[/\\]/);
  const [, folder = ''] = /^models--(.+)$/.exec(parts.find((part) => part.startsWith('models--')) ?? '') ?? [];
  const file = parts.at(-1)!.replace(/\.(gguf|safetensors)$/i, '');
  // The hub's cache names files by their hash, and Hugging Face's folders all have a file of the same name.
  const isTelling = !/^[0-9a-f]{40,}$/.test(file) && !/^model(-\d+-of-\d+)?$/.test(file);
  const name = isTelling ? file : folder || parts.at(-2) || file;
  return name.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 80);
}

/** Undefined where a file of the checkpoint does not lie on the disk. */
export function weightFileLayout(content: WeightFileContent): WeightFileLayout | undefined {
  const { files, config, panelRows, tensors } = content;
  const places = files.flatMap(({ place, sizeBytes }) =>
    place === undefined ? [] : [{ path: place.path, sizeBytes, modifiedMs: place.modifiedMs }],
  );
  if (places.length === 0 || places.length < files.length) return undefined;
  const sources = [...tensors].map(([name, entry]) => {
    const place = isStored(entry) ? [files.indexOf(entry.source), entry.byteOffset] : [];
    return [name, entry.name, dtypeName(entry.element), entry.shape, entry.byteLength, ...place];
  });
  let at = 0;
  const ends: [name: string, element: string, shape: readonly number[], offset: number, sizeBytes: number][] = [];
  for (const [name, entry] of tensors) {
    const size = placedBytes(entry, panelRows);
    ends.push([name, dtypeName(placedElement(entry.element, panelRows)), entry.shape, at, size]);
    at = align(at + size, TENSOR_ALIGNMENT);
  }
  const json = JSON.stringify({
    layout: LAYOUT_VERSION,
    panelRows,
    files: places,
    checkpoint: sha256(JSON.stringify([sources, config])),
    tensors: ends,
  });
  const text = new TextEncoder().encode(json);
  const header = new Uint8Array(align(MAGIC.length + 4 + text.length, DATA_ALIGNMENT));
  header.set(MAGIC);
  new DataView(header.buffer).setUint32(MAGIC.length, text.length, true);
  header.set(text, MAGIC.length + 4);
  const hash = sha256(header);
  const trailer = Uint8Array.from({ length: HASH_BYTES }, (_, i) => Number.parseInt(hash.slice(2 * i, 2 * i + 2), 16));
  const trailerOffset = header.length + at;
  const key = sha256(JSON.stringify([LAYOUT_VERSION, panelRows, places.map(({ path }) => path)]));
  return {
    name: `${stemOf(places[0]!.path)}-${key.slice(0, 16)}${WEIGHT_FILE}`,
    offsets: new Map(ends.map(([name, , , offset]) => [name, header.length + offset])),
    header,
    trailer,
    trailerOffset,
    sizeBytes: trailerOffset + HASH_BYTES,
  };
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Whether a file is what the layout says: its length, what it was made of, and its end. */
export async function isWeightFile(file: RandomAccessFile, layout: WeightFileLayout): Promise<boolean> {
  if (file.sizeBytes !== layout.sizeBytes) return false;
  const [header, trailer] = [new Uint8Array(layout.header.length), new Uint8Array(HASH_BYTES)];
  await readExactly(file, header, 0);
  await readExactly(file, trailer, layout.trailerOffset);
  return equal(header, layout.header) && equal(trailer, layout.trailer);
}

/** The checkpoint that a file of weights was made from, as its header says. Undefined for other files. */
export async function sourceOfWeightFile(file: RandomAccessFile): Promise<string | undefined> {
  const start = new Uint8Array(MAGIC.length + 4);
  if ((await file.readInto(start, 0)) < start.length || !equal(start.subarray(0, MAGIC.length), MAGIC))
    return undefined;
  const length = new DataView(start.buffer).getUint32(MAGIC.length, true);
  if (start.length + length > file.sizeBytes) return undefined;
  const text = new Uint8Array(length);
  await readExactly(file, text, start.length);
  try {
    const { files } = JSON.parse(new TextDecoder().decode(text)) as { files?: readonly { path?: unknown }[] };
    const path = files?.[0]?.path;
    return typeof path === 'string' ? path : undefined;
  } catch {
    return undefined;
  }
}

/** What the cache throws where a file cannot be made there: weights then go to memory. */
export const isCacheFailure = (error: unknown): error is BitloomError =>
  error instanceof BitloomError && ['QUOTA_EXCEEDED', 'BAD_FILE', 'MISSING_FILE'].includes(error.code);
