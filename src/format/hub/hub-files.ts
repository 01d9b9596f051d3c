/** A model of the hub as a set of files: listed, chosen, fetched into the cache, opened from there. */
import type { FileStore } from '#platform';
import { BitloomError } from '../../ir/error.ts';
import type { FileSet, OpenFile } from '../file-set.ts';
import { download } from './download.ts';
import { formatHubId, type HubId, parseHubId } from './hub-id.ts';
import { blobPath, cachedCommit, filesUnder, partialPath, refPath, snapshotFolder, snapshotPath } from './layout.ts';
import { type Listing, listFiles, type RemoteFile, resolveRevision } from './listing.ts';
import { DownloadMeter } from './meter.ts';
import { openRemote } from './remote-file.ts';
import { selectFiles } from './selection.ts';
import { type FetchOptions, type HubLine, isOffline, openCache, openLine } from './settings.ts';

/** Files that are fetched at a time. */
const MOST_AT_ONCE = 3;

/** What is fetched, from where, to where. */
interface Fetching {
  readonly line: HubLine;
  readonly id: HubId;
  readonly commit: string;
  readonly store: FileStore;
  readonly options: FetchOptions;
  readonly warn: (message: string) => void;
}

type Opener = () => Promise<OpenFile>;

/**
 * The files of the model that `id` names (`org/name[@revision][:file-or-quant]`), fetched where the cache lacks them.
 * Without a choice: the safetensors files and what belongs to them, or a GGUF file of a usual quantisation.
 * Where a page has no room, files are read by range from the hub, and `onWarning` hears of it.
 *
 * Throws INVALID_ARGUMENT, NOT_FOUND, MISSING_FILE, UNAUTHORIZED, NETWORK, HASH_MISMATCH, QUOTA_EXCEEDED, ABORTED.
 *
 * @example
 * const files = await hubFiles('org/name:Q4_K_M', { onProgress: console.log });
 */
export async function hubFiles(id: string, options: FetchOptions = {}): Promise<FileSet> {
  const parsed = parseHubId(id);
  const store = await openCache(options);
  const warn = options.onWarning ?? ((message: string) => console.warn(message));
  if (isOffline(options)) return cachedFiles(store, parsed, 'offline');
  const line = await openLine(options);
  let listing: Listing;
  try {
    const commit = await resolveRevision(line, parsed, options.signal);
    listing = await listFiles(line, parsed, commit, options.signal);
  } catch (error) {
    if (!(error instanceof BitloomError && error.code === 'NETWORK')) throw error;
    const files = await cachedFiles(store, parsed, 'offline').catch(() => undefined);
    if (files === undefined) throw error;
    warn(`hub-unreachable: ${error.message}; what the cache has is taken`);
    return files;
  }
  const names = listing.files.map((file) => file.path);
  const chosen = new Set(selectFiles(parsed.repository, names, parsed.choice));
  const files = listing.files.filter((file) => chosen.has(file.path)).sort((a, b) => a.sizeBytes - b.sizeBytes);
  const { commit } = listing;
  const openers = new Map<string, Opener>(
    files.map((file) => [file.path, async () => openRemote(line, parsed, commit, file)]),
  );
  if (store === undefined) {
    warn('no-cache: this page has no storage, so the model is read from the hub each time');
  } else {
    const fetching: Fetching = { line, id: parsed, commit, store, options, warn };
    const there = await findCached(fetching, files);
    const stored = options.download === false ? there : await fetchAll(fetching, files, there);
    for (const name of stored) openers.set(name, () => store.open(snapshotPath(parsed.repository, commit, name)));
  }
  return fileSet(parsed, openers);
}

function fileSet(id: HubId, openers: ReadonlyMap<string, Opener>): FileSet {
  const name = formatHubId(id);
  return {
    name,
    list: async () => [...openers.keys()].sort(),
    has: async (file) => openers.has(file),
    async open(file) {
      const open = openers.get(file);
      if (open !== undefined) return open();
      const there = [...openers.keys()].sort().join(', ');
      throw new BitloomError('MISSING_FILE', `${name} has no ${file}, but ${there}`, { file });
    },
  };
}

/** What the cache has of a model. Throws NOT_FOUND, MISSING_FILE. */
async function cachedFiles(store: FileStore | undefined, id: HubId, why: string): Promise<FileSet> {
  const commit = store && (await cachedCommit(store, id));
  const names = store && commit ? await filesUnder(store, snapshotFolder(id.repository, commit)) : [];
  if (store === undefined || commit === undefined || names.length === 0) {
    const text = `${why}: ${formatHubId(id)} is not in the cache at ${store?.name ?? 'this page'}; fetch it once with a network`;
    throw new BitloomError('NOT_FOUND', text, { id: formatHubId(id) });
  }
  const place = `${why}: the cache of ${id.repository}`;
  const openers = new Map<string, Opener>();
  for (const name of selectFiles(place, names, id.choice)) {
    openers.set(name, () => store.open(snapshotPath(id.repository, commit, name)));
  }
  return fileSet(id, openers);
}

/** Names of the files that the cache has. */
async function findCached({ store, id, commit }: Fetching, files: readonly RemoteFile[]): Promise<Set<string>> {
  const there = new Set<string>();
  for (const file of files) {
    const status = await store.status(snapshotPath(id.repository, commit, file.path));
    if (status?.sizeBytes === file.sizeBytes) there.add(file.path);
  }
  return there;
}

/** Fetches what is not there, and tells which files the cache has then: all, but for what a page has no room for. */
async function fetchAll(
  fetching: Fetching,
  files: readonly RemoteFile[],
  there: ReadonlySet<string>,
): Promise<Iterable<string>> {
  const { store, id, commit } = fetching;
  const missing = files.filter((file) => !there.has(file.path));
  const fitting = await withRoom(fetching, missing);
  const known = files.filter((file) => there.has(file.path));
  const fetched = await fetchMissing(fetching, fitting, known);
  if (fetched.length === missing.length && id.revision !== commit) {
    await store.writeText(refPath(id.repository, id.revision), commit);
  }
  return [...there, ...fetched];
}

/** The files that there is room for, smallest first. Throws QUOTA_EXCEEDED where all must fit and do not. */
async function withRoom({ store, id, warn }: Fetching, files: readonly RemoteFile[]): Promise<readonly RemoteFile[]> {
  const available = await store.availableBytes();
  if (available === undefined || files.length === 0) return files;
  const fitting: RemoteFile[] = [];
  let neededBytes = 0;
  let fittingBytes = 0;
  for (const file of files) {
    const left = (await store.status(partialPath(id.repository, file.hash)))?.sizeBytes ?? 0;
    const bytes = Math.max(0, file.sizeBytes - left);
    neededBytes += bytes;
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
  warn(`no-room: ${text}; ${neededBytes - fittingBytes} bytes of them are read from the hub`);
  return fitting;
}

/** Fetches files, some at a time; the first failure stops all. Returns the names of those that are cached now. */
async function fetchMissing(
  { line, id, commit, store, options, warn }: Fetching,
  missing: readonly RemoteFile[],
  known: readonly RemoteFile[],
): Promise<readonly string[]> {
  if (missing.length === 0) return [];
  const meter = new DownloadMeter([...known, ...missing], options.onProgress);
  for (const file of known) meter.set(file.path, file.sizeBytes);
  for (const file of missing) {
    const left = (await store.status(partialPath(id.repository, file.hash)))?.sizeBytes ?? 0;
    meter.set(file.path, Math.min(left, file.sizeBytes));
  }
  meter.start();
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])]);
  const queue = [...missing];
  const fetched: string[] = [];
  let hasOverflowed = false;
  const fetchOne = async (file: RemoteFile): Promise<void> => {
    const onBytes = (count: number): void => meter.report(file.path, count);
    try {
      await download({ line, store, id, commit }, file, { signal, onBytes, onWarning: warn });
      const path = snapshotPath(id.repository, commit, file.path);
      await store.link(path, blobPath(id.repository, file.hash));
      fetched.push(file.path);
    } catch (error) {
      if (!(store.isBounded && error instanceof BitloomError && error.code === 'QUOTA_EXCEEDED')) throw error;
      await store.remove(partialPath(id.repository, file.hash));
      if (!hasOverflowed)
        warn(`no-room: ${file.path} does not fit into ${store.name}; what does not fit is read from the hub`);
      hasOverflowed = true;
    }
  };
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await fetchOne(file);
  };
  const workers = Array.from({ length: Math.min(MOST_AT_ONCE, missing.length) }, work);
  let reason: unknown;
  for (const worker of workers) {
    worker.catch((error) => {
      reason ??= error;
      failed.abort(error);
    });
  }
  await Promise.allSettled(workers);
  if (reason !== undefined) throw reason;
  return fetched;
}
