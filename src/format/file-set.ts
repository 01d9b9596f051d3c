/** Where a model's files come from: a folder, an address, a hub's snapshot, picked files or memory all look like this. */
import { type ByteSource, badFile, readAll } from './byte-source.ts';
import { type JsonRecord, parseJson } from './json.ts';

/** An opened file. */
export interface OpenFile extends ByteSource {
  close(): Promise<void>;
}

/** The files of one model, wherever they lie. */
export interface FileSet {
  /** Folder, address or id, as errors name it. */
  readonly name: string;
  /** Names of the files, sorted, relative to the set; undefined where the place cannot be listed (plain web servers). */
  list(signal?: AbortSignal): Promise<readonly string[] | undefined>;
  has(name: string, signal?: AbortSignal): Promise<boolean>;
  /** Throws MISSING_FILE, BAD_FILE, ABORTED, and where a network is between, its errors. */
  open(name: string, signal?: AbortSignal): Promise<OpenFile>;
}

/** The largest vocabularies in use take some 35 MB as JSON. */
const MOST_TEXT_BYTES = 2 ** 27;

async function readSmall(files: FileSet, name: string, signal?: AbortSignal): Promise<Uint8Array> {
  const file = await files.open(name, signal);
  try {
    return await readAll(file, MOST_TEXT_BYTES, signal);
  } finally {
    await file.close();
  }
}

/** A whole small UTF-8 text. Throws MISSING_FILE, BAD_FILE, ABORTED. */
export async function readText(files: FileSet, name: string, signal?: AbortSignal): Promise<string> {
  const bytes = await readSmall(files, name, signal);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badFile({ name: `${name} of ${files.name}` }, 'is not UTF-8 text');
  }
}

/** The object in a JSON file. Throws MISSING_FILE, BAD_FILE, ABORTED. */
export async function readJson(files: FileSet, name: string, signal?: AbortSignal): Promise<JsonRecord> {
  return parseJson({ name: files.name }, await readSmall(files, name, signal), name);
}
