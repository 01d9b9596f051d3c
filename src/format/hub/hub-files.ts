/** A model of the hub as a set of files: listed, chosen, fetched into the cache, opened from there. */
import type { FileStore } from '#platform';
import { BitloomError } from '../../ir/error.ts';
import type { FileSet, OpenFile } from '../file-set.ts';
import { fetchAll, findCached } from './fetching.ts';
import { formatHubId, type HubId, parseHubId } from './hub-id.ts';
import { cachedCommit, filesUnder, snapshotFolder, snapshotPath } from './layout.ts';
import { type Listing, listFiles, resolveRevision } from './listing.ts';
import { openRemote } from './remote-file.ts';
import { selectFiles } from './selection.ts';
import { type FetchOptions, type HubLine, isOffline, openCache, openLine } from './settings.ts';

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
  if (isOffline(options)) return cachedFiles(store, parsed);
  const line = await openLine(options);
  let listing: Listing;
  try {
    const commit = await resolveRevision(line, parsed, options.signal);
    listing = await listFiles(line, parsed, commit, options.signal);
  } catch (error) {
    if (!(error instanceof BitloomError && error.code === 'NETWORK')) throw error;
    const files = await cachedFiles(store, parsed).catch(() => undefined);
    if (files === undefined) throw error;
    warn(`hub-unreachable: ${error.message}; what the cache has is taken`);
    return files;
  }
  return fileSet(parsed, await openersOf(line, parsed, listing, store, { ...options, onWarning: warn }));
}

/** Fetches what is chosen of a listing, and tells how each file is opened: from the cache, else from the hub. */
async function openersOf(
  line: HubLine,
  id: HubId,
  { commit, files }: Listing,
  store: FileStore | undefined,
  options: FetchOptions & { readonly onWarning: (message: string) => void },
): Promise<ReadonlyMap<string, Opener>> {
  const names = files.map((file) => file.path);
  const chosen = new Set(selectFiles(id.repository, names, id.choice));
  // Small files first: where there is no room for all, the most are kept.
  const wanted = files.filter((file) => chosen.has(file.path)).sort((a, b) => a.sizeBytes - b.sizeBytes);
  const openers = new Map<string, Opener>(
    wanted.map((file) => [file.path, async () => openRemote(line, id, commit, file)]),
  );
  if (store === undefined) {
    options.onWarning('no-cache: this page has no storage, so the model is read from the hub each time');
    return openers;
  }
  const fetching = { line, id, commit, store, options };
  const there = await findCached(fetching, wanted);
  const stored = options.download === false ? there : await fetchAll(fetching, wanted, there);
  for (const name of stored) openers.set(name, () => store.open(snapshotPath(id.repository, commit, name)));
  return openers;
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

/** What the cache has of a model, without a word to the hub. Throws NOT_FOUND, MISSING_FILE. */
async function cachedFiles(store: FileStore | undefined, id: HubId): Promise<FileSet> {
  const commit = store && (await cachedCommit(store, id));
  const names = store && commit ? await filesUnder(store, snapshotFolder(id.repository, commit)) : [];
  if (store === undefined || commit === undefined || names.length === 0) {
    const text = `offline: ${formatHubId(id)} is not in the cache at ${store?.name ?? 'this page'}; fetch it once with a network`;
    throw new BitloomError('NOT_FOUND', text, { id: formatHubId(id) });
  }
  const openers = new Map<string, Opener>();
  for (const name of selectFiles(`offline: the cache of ${id.repository}`, names, id.choice)) {
    openers.set(name, () => store.open(snapshotPath(id.repository, commit, name)));
  }
  return fileSet(id, openers);
}
