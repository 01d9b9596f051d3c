/** The missing files of a model, fetched into the cache together: the room they need, their progress, their failures. */
import type { FileStore } from '#platform';
import { BitloomError } from '../../ir/error.ts';
import { download } from './download.ts';
import type { HubId } from './hub-id.ts';
import { blobPath, partialPath, refPath, snapshotPath } from './layout.ts';
import type { RemoteFile } from './listing.ts';
import { DownloadMeter } from './meter.ts';
import type { FetchOptions, HubLine } from './settings.ts';

/** Files that are fetched at a time. */
const MOST_AT_ONCE = 3;

/** What is fetched, from where, to where. */
export interface Fetching {
  readonly line: HubLine;
  readonly id: HubId;
  readonly commit: string;
  readonly store: FileStore;
  readonly options: Pick<FetchOptions, 'signal' | 'onProgress'> & { readonly onWarning: (message: string) => void };
}

/** Bytes of a file that are there: all, where another revision has it too, or what earlier tries left. */
async function storedBytes({ store, id }: Fetching, { hash, sizeBytes }: RemoteFile): Promise<number> {
  const blob = await store.status(blobPath(id.repository, hash));
  if (blob?.sizeBytes === sizeBytes) return sizeBytes;
  const partial = await store.status(partialPath(id.repository, hash));
  return Math.min(partial?.sizeBytes ?? 0, sizeBytes);
}

/** Names of the files that the cache has. */
export async function findCached({ store, id, commit }: Fetching, files: readonly RemoteFile[]): Promise<Set<string>> {
  const there = new Set<string>();
  for (const file of files) {
    const status = await store.status(snapshotPath(id.repository, commit, file.path));
    if (status?.sizeBytes === file.sizeBytes) there.add(file.path);
  }
  return there;
}

/** Fetches what is not there, and tells which files the cache has then: all, but for what a page has no room for. */
export async function fetchAll(
  fetching: Fetching,
  files: readonly RemoteFile[],
  there: ReadonlySet<string>,
): Promise<Iterable<string>> {
  const { store, id, commit } = fetching;
  const missing = files.filter((file) => !there.has(file.path));
  const fitting = await withRoom(fetching, missing);
  const known = files.filter((file) => there.has(file.path));
  const fetched = await fetchMissing(fetching, fitting, known);
  const ref = refPath(id.repository, id.revision);
  // A cache may be read only: nothing is written that stands there already.
  const isNews = id.revision !== commit && (await store.readText(ref))?.trim() !== commit;
  if (isNews && fetched.length === missing.length) await store.writeText(ref, commit);
  return [...there, ...fetched];
}

/** The files that there is room for, smallest first. Throws QUOTA_EXCEEDED where all must fit and do not. */
async function withRoom(fetching: Fetching, files: readonly RemoteFile[]): Promise<readonly RemoteFile[]> {
  const { store, id, options } = fetching;
  const available = await store.availableBytes();
  if (available === undefined || files.length === 0) return files;
  const fitting: RemoteFile[] = [];
  let neededBytes = 0;
  let fittingBytes = 0;
  for (const file of files) {
    neededBytes += file.sizeBytes - (await storedBytes(fetching, file));
    if (neededBytes > available) continue;
    fittingBytes = neededBytes;
    fitting.push(file);
  }
  if (fitting.length === files.length) return files;
  const text = `${id.repository} needs ${neededBytes} bytes, and ${store.name} has room for ${available}`;
  if (!store.isBounded) {
    throw new BitloomError('QUOTA_EXCEEDED', `${text}; free some, or set HF_HUB_CACHE to another folder`, {
      neededBytes,
      availableBytes: available,
    });
  }
  options.onWarning(`no-room: ${text}; ${neededBytes - fittingBytes} bytes of them are read from the hub`);
  return fitting;
}

/** Tells the bytes of files that are there in part or whole. */
async function startMeter(
  fetching: Fetching,
  missing: readonly RemoteFile[],
  known: readonly RemoteFile[],
): Promise<DownloadMeter> {
  const meter = new DownloadMeter([...known, ...missing], fetching.options.onProgress);
  for (const file of known) meter.set(file.path, file.sizeBytes);
  for (const file of missing) meter.set(file.path, await storedBytes(fetching, file));
  meter.start();
  return meter;
}

/** Fetches files, some at a time; the first failure stops all. Returns the names of those that are cached now. */
async function fetchMissing(
  fetching: Fetching,
  missing: readonly RemoteFile[],
  known: readonly RemoteFile[],
): Promise<readonly string[]> {
  if (missing.length === 0) return [];
  const { line, id, commit, store, options } = fetching;
  const { signal, onWarning } = options;
  const meter = await startMeter(fetching, missing, known);
  const fetched: string[] = [];
  let hasOverflowed = false;
  const fetchOne = async (file: RemoteFile, either: AbortSignal): Promise<void> => {
    const onBytes = (count: number): void => meter.report(file.path, count);
    try {
      await download({ line, store, id, commit }, file, { signal: either, onBytes, onWarning });
      await store.link(snapshotPath(id.repository, commit, file.path), blobPath(id.repository, file.hash));
      fetched.push(file.path);
    } catch (error) {
      if (!(store.isBounded && error instanceof BitloomError && error.code === 'QUOTA_EXCEEDED')) throw error;
      await store.remove(partialPath(id.repository, file.hash));
      if (!hasOverflowed)
        onWarning(`no-room: ${file.path}, and what else does not fit, is read from the hub: ${error.message}`);
      hasOverflowed = true;
    }
  };
  await someAtOnce(missing, fetchOne, signal);
  return fetched;
}

/** Works on all items, some at a time. The first failure aborts the others' signal, and is thrown when all have ended. */
async function someAtOnce<T>(
  items: readonly T[],
  work: (item: T, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const queue = [...items];
  const failed = new AbortController();
  const either = AbortSignal.any([failed.signal, ...(signal ? [signal] : [])]);
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    try {
      for (let item = queue.shift(); item !== undefined && !failure; item = queue.shift()) await work(item, either);
    } catch (error) {
      failure ??= { error };
      failed.abort(error);
    }
  };
  await Promise.all(Array.from({ length: Math.min(MOST_AT_ONCE, items.length) }, worker));
  if (failure) throw failure.error;
}
