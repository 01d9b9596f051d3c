/**
 * One file from the hub into the cache: to `<hash>.partial` first, from where an earlier try broke off, and to its
 * name once size and hash are right. Whatever ends a download leaves either a good file or a partial one.
 */
import { type Digest, type FileStore, platform, type StoreWriter } from '#platform';
import { BitloomError } from '../../ir/error.ts';
import { abortError, networkError } from './failure.ts';
import type { HubId } from './hub-id.ts';
import { blobPath, lockPath, partialPath } from './layout.ts';
import { fileAddress, type RemoteFile, refuseWebPage } from './listing.ts';
import { type Answer, ask, Patience } from './request.ts';
import type { HubLine } from './settings.ts';

export interface DownloadPlace {
  readonly line: HubLine;
  readonly store: FileStore;
  readonly id: HubId;
  readonly commit: string;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears how many bytes of the file are there. */
  readonly onBytes: (count: number) => void;
  readonly onWarning: (message: string) => void;
}

const HASHED_BYTES = 2 ** 22;
/** A try that brought so little counts as a failed one: servers that always break off are given up. */
const LEAST_GAIN_BYTES = 2 ** 16;

/** The hash that the hub names a file by: of its bytes, or as git names blobs. */
export function contentDigest({ hash, sizeBytes }: Pick<RemoteFile, 'hash' | 'sizeBytes'>): Digest {
  if (hash.length === 64) return platform.createDigest('sha256');
  const digest = platform.createDigest('sha1');
  digest.update(new TextEncoder().encode(`blob ${sizeBytes}\0`));
  return digest;
}

/** Feeds the first `count` bytes of a file to a digest. */
export async function hashFile(
  store: FileStore,
  path: string,
  count: number,
  digest: Digest,
  signal?: AbortSignal,
): Promise<void> {
  const file = await store.open(path);
  try {
    const buffer = new Uint8Array(Math.min(HASHED_BYTES, count));
    for (let offset = 0; offset < count; ) {
      const piece = buffer.subarray(0, Math.min(buffer.length, count - offset));
      const got = await file.readInto(piece, offset, signal);
      if (got === 0) throw new BitloomError('BAD_FILE', `${file.name} became shorter while it was read`);
      digest.update(piece.subarray(0, got));
      offset += got;
    }
  } finally {
    await file.close();
  }
}

/** Fetches a file into the cache where it is not there yet. Throws NETWORK, HASH_MISMATCH, QUOTA_EXCEEDED, ABORTED … */
export async function download(place: DownloadPlace, file: RemoteFile, options: DownloadOptions): Promise<void> {
  const { store, id } = place;
  const blob = blobPath(id.repository, file.hash);
  const isThere = async (): Promise<boolean> => (await store.status(blob))?.sizeBytes === file.sizeBytes;
  if (await isThere()) return options.onBytes(file.sizeBytes);
  const onWait = (): void =>
    options.onWarning(`waiting: ${file.path} is being fetched already, by another call or process`);
  const release = await store.lock(lockPath(id.repository, file.hash), onWait, options.signal);
  try {
    if (!(await isThere())) {
      // Bytes of an earlier try may be bad, after a power failure for one: then a second round begins with none.
      if (!(await fetchWhole(place, file, options))) await fetchWhole(place, file, options);
      await store.rename(partialPath(id.repository, file.hash), blob).catch(async (error) => {
        // A process that took our lock for a leftover wrote the same bytes, and was first.
        if (!(await isThere())) throw error;
      });
    }
    options.onBytes(file.sizeBytes);
  } finally {
    await release();
  }
}

const mismatch = ({ id, commit }: DownloadPlace, file: RemoteFile, why: string): BitloomError =>
  new BitloomError(
    'HASH_MISMATCH',
    `${file.path} of ${id.repository}: ${why}. What came was removed; try again, or ask the repository's makers`,
    { file: file.path, commit, sizeBytes: file.sizeBytes, hash: file.hash },
  );

/** Fills the partial file. False, and no file, where its hash is wrong because of what an earlier try had left. */
async function fetchWhole(place: DownloadPlace, file: RemoteFile, options: DownloadOptions): Promise<boolean> {
  const { store, id } = place;
  const path = partialPath(id.repository, file.hash);
  const left = (await store.status(path))?.sizeBytes ?? 0;
  const resumed = left <= file.sizeBytes ? left : 0;
  const digest = contentDigest(file);
  if (resumed > 0) await hashFile(store, path, resumed, digest, options.signal);
  const writer = await store.openWriter(path);
  try {
    if (left > resumed) await writer.truncate(0);
    await fillFile(place, file, { writer, digest, loaded: resumed }, options);
  } catch (error) {
    await writer.close().catch(() => {}); // what failed first is told
    if (error instanceof BitloomError && error.code === 'HASH_MISMATCH') await store.remove(path);
    throw error;
  }
  await writer.close();
  if (digest.hex() === file.hash) return true;
  await store.remove(path);
  if (resumed === 0) throw mismatch(place, file, 'its hash is another than the hub promised');
  return false;
}

interface Progress {
  readonly writer: StoreWriter;
  readonly digest: Digest;
  loaded: number;
}

/** Asks for what is missing until nothing is. */
async function fillFile(
  place: DownloadPlace,
  file: RemoteFile,
  progress: Progress,
  options: DownloadOptions,
): Promise<void> {
  const patience = new Patience(place.line, options.signal);
  options.onBytes(progress.loaded);
  while (progress.loaded < file.sizeBytes) {
    const before = progress.loaded;
    try {
      await fetchRest(place, file, progress, options);
      if (progress.loaded < file.sizeBytes) throw brokenOff(place, file, progress.loaded);
    } catch (error) {
      if (progress.loaded - before >= LEAST_GAIN_BYTES) patience.renew();
      await patience.wait(withBytes(error, file, progress.loaded));
    }
  }
}

const brokenOff = ({ line }: DownloadPlace, file: RemoteFile, loaded: number): BitloomError =>
  networkError(`${file.path}: ${new URL(line.endpoint).host} broke off after ${loaded} of ${file.sizeBytes} bytes`, {
    isPassing: true,
    loadedBytes: loaded,
  });

/** Says in a failure of the line how far the file came, and that it goes on from there. */
function withBytes(error: unknown, file: RemoteFile, loadedBytes: number): unknown {
  if (!(error instanceof BitloomError) || error.code !== 'NETWORK' || !error.details.isPassing) return error;
  const text = `${error.message}; ${loadedBytes} of ${file.sizeBytes} bytes are there, and the next try goes on from them`;
  const details = { ...error.details, file: file.path, loadedBytes, totalBytes: file.sizeBytes };
  return networkError(text, details, error.cause);
}

/** Asks for what is missing, once. */
async function fetchRest(
  place: DownloadPlace,
  file: RemoteFile,
  progress: Progress,
  options: DownloadOptions,
): Promise<void> {
  const address = fileAddress(place.line, place.id, place.commit, file.path);
  const question = { address, what: file.path, offset: progress.loaded };
  const take = async (answer: Answer): Promise<void> => {
    if (!/\.html?$/i.test(file.path)) refuseWebPage(answer, question);
    await takeBytes(place, file, progress, answer, options);
  };
  try {
    await ask(place.line, question, take, options.signal);
  } catch (error) {
    const isPastEnd = error instanceof BitloomError && error.details.status === 416;
    throw isPastEnd ? mismatch(place, file, `it ends at ${progress.loaded} of ${file.sizeBytes} bytes`) : error;
  }
}

/** Writes an answer's bytes where the file ends. A server that ignores ranges sends all: what is there is skipped. */
async function takeBytes(
  place: DownloadPlace,
  file: RemoteFile,
  progress: Progress,
  answer: Answer,
  { signal, onBytes }: DownloadOptions,
): Promise<void> {
  let at = firstByte(place, file, answer, progress.loaded);
  for await (const piece of answer.pieces) {
    if (signal?.aborted) throw abortError(file.path, signal);
    const fresh = piece.subarray(Math.min(piece.length, progress.loaded - at));
    at += piece.length;
    if (fresh.length === 0) continue;
    if (at > file.sizeBytes) throw mismatch(place, file, `more than its ${file.sizeBytes} bytes came`);
    await progress.writer.write(fresh, progress.loaded);
    progress.digest.update(fresh);
    progress.loaded += fresh.length;
    onBytes(progress.loaded);
  }
}

/** Where in the file an answer begins. Throws HASH_MISMATCH where it is of a file of another size. */
function firstByte(place: DownloadPlace, file: RemoteFile, { status, headers }: Answer, asked: number): number {
  if (status !== 206) return 0;
  // Not every server lets pages see this header; the hash has the last word.
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
  if (total !== undefined && total !== '*' && Number(total) !== file.sizeBytes) {
    throw mismatch(place, file, `it has ${total} bytes, and the hub promised ${file.sizeBytes}`);
  }
  if (from === undefined || Number(from) === asked) return asked;
  if (Number(from) < asked) return Number(from);
  throw networkError(`${file.path}: bytes from ${asked} were asked for, and those from ${from} came`, {
    isPassing: true,
  });
}
