/** The cache of hub models: what is in it, how large it is, whether it is sound, and how to get rid of it. */
import type { FileStore } from '#platform';
import { BitloomError } from '../../ir/error.ts';
import { contentDigest, hashFile } from './download.ts';
import { formatHubId, parseHubId } from './hub-id.ts';
import { blobPath, cachedCommit, filesUnder, folderOf, refPath, repositoryOf, snapshotFolder } from './layout.ts';
import { isHash } from './listing.ts';
import { type HubOptions, openCache } from './settings.ts';

/** One state of a repository that the cache has files of. */
export interface CachedRevision {
  readonly commit: string;
  /** Branches and tags that stand for the commit, as the cache knows them. */
  readonly names: readonly string[];
  readonly files: readonly string[];
  /** Files that revisions share count in each. */
  readonly sizeBytes: number;
}

export interface CachedModel {
  /** `org/name`. */
  readonly repository: string;
  /** On the disk: shared files once, interrupted downloads included. */
  readonly sizeBytes: number;
  /** Of interrupted downloads, which the next try goes on from. */
  readonly partialBytes: number;
  /** When a file was last read or written, in milliseconds since 1970, as exactly as the system keeps it. */
  readonly lastUsedMs: number;
  readonly revisions: readonly CachedRevision[];
}

/** A file of the cache that is not what its name says. */
export interface CacheProblem {
  readonly repository: string;
  /** Path in the cache. */
  readonly path: string;
  readonly problem: 'hash' | 'missing';
}

export interface VerifyOptions extends HubOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears of each file before it is read. */
  readonly onFile?: ((path: string, sizeBytes: number) => void) | undefined;
}

async function requireCache(options: HubOptions): Promise<FileStore> {
  const store = await openCache(options);
  if (store !== undefined) return store;
  const text = 'this page has no storage for a cache: it needs https or localhost, and a browser with OPFS';
  throw new BitloomError('UNSUPPORTED_FEATURE', text);
}

async function repositories(store: FileStore): Promise<string[]> {
  const folders = (await store.list('')).filter((name) => name.endsWith('/'));
  return folders.map((name) => repositoryOf(name.slice(0, -1))).filter((name) => name !== undefined);
}

/** Branches and tags by commit. */
async function refsOf(store: FileStore, repository: string): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>();
  for (const name of await filesUnder(store, `${folderOf(repository)}/refs`)) {
    const commit = (await store.readText(refPath(repository, name)))?.trim() ?? '';
    names.set(commit, [...(names.get(commit) ?? []), name]);
  }
  return names;
}

async function describe(store: FileStore, repository: string): Promise<CachedModel> {
  const folder = folderOf(repository);
  const names = await refsOf(store, repository);
  let sizeBytes = 0;
  let partialBytes = 0;
  let lastUsedMs = 0;
  for (const blob of await store.list(`${folder}/blobs`)) {
    const status = await store.status(blobPath(repository, blob));
    sizeBytes += status?.sizeBytes ?? 0;
    lastUsedMs = Math.max(lastUsedMs, status?.usedMs ?? 0);
    if (!isHash(blob)) partialBytes += status?.sizeBytes ?? 0;
  }
  const revisions: CachedRevision[] = [];
  for (const entry of await store.list(`${folder}/snapshots`)) {
    const commit = entry.replace(/\/$/, '');
    const files = await filesUnder(store, snapshotFolder(repository, commit));
    let revisionBytes = 0;
    for (const file of files) {
      const path = `${snapshotFolder(repository, commit)}/${file}`;
      const status = await store.status(path);
      revisionBytes += status?.sizeBytes ?? 0;
      lastUsedMs = Math.max(lastUsedMs, status?.usedMs ?? 0);
      // Where links cannot be made, snapshots hold the files themselves.
      if ((await store.linkTarget(path)) === undefined) sizeBytes += status?.sizeBytes ?? 0;
    }
    revisions.push({ commit, names: names.get(commit) ?? [], files, sizeBytes: revisionBytes });
  }
  return { repository, sizeBytes, partialBytes, lastUsedMs, revisions };
}

/** All models of the cache, by name. Throws UNSUPPORTED_FEATURE where a page has no storage. */
async function list(options: HubOptions = {}): Promise<CachedModel[]> {
  const store = await requireCache(options);
  const models: CachedModel[] = [];
  for (const repository of await repositories(store)) models.push(await describe(store, repository));
  return models;
}

/** Bytes of all models. */
const size = async (options: HubOptions = {}): Promise<number> =>
  (await list(options)).reduce((sum, model) => sum + model.sizeBytes, 0);

/** Blobs that some snapshot still stands for. */
async function usedBlobs(store: FileStore, repository: string): Promise<Set<string>> {
  const folder = `${folderOf(repository)}/snapshots`;
  const targets = new Set<string>();
  for (const file of await filesUnder(store, folder)) {
    const target = await store.linkTarget(`${folder}/${file}`);
    if (target !== undefined) targets.add(target);
  }
  return targets;
}

/**
 * Removes a model, or with `org/name@revision` one revision and what no other one shares. Returns the bytes freed.
 * Throws NOT_FOUND where the cache has no such model or revision, INVALID_ARGUMENT.
 */
async function remove(id: string, options: HubOptions = {}): Promise<number> {
  const parsed = parseHubId(id);
  const { repository, revision, choice } = parsed;
  if (choice !== undefined) {
    throw new BitloomError('INVALID_ARGUMENT', `${id}: models and revisions can be removed, single files cannot`, {
      id,
    });
  }
  const store = await requireCache(options);
  const missing = new BitloomError('NOT_FOUND', `${formatHubId(parsed)} is not in the cache at ${store.name}`, { id });
  if (!(await repositories(store)).includes(repository)) throw missing;
  const before = (await describe(store, repository)).sizeBytes;
  const commit = id.includes('@') ? await cachedCommit(store, parsed) : undefined;
  const { revisions } = await describe(store, repository);
  if (id.includes('@') && !revisions.some((each) => each.commit === commit)) throw missing;
  if (commit === undefined || revisions.length === 1) {
    await store.remove(folderOf(repository));
    await store.remove(`.locks/${folderOf(repository)}`);
    return before;
  }
  for (const name of (await refsOf(store, repository)).get(commit) ?? []) await store.remove(refPath(repository, name));
  if (revision !== commit) await store.remove(refPath(repository, revision));
  await store.remove(snapshotFolder(repository, commit));
  await store.remove(`${folderOf(repository)}/trees/${commit}.json`); // huggingface_hub's listing of the revision
  const used = await usedBlobs(store, repository);
  for (const blob of await store.list(`${folderOf(repository)}/blobs`)) {
    if (!used.has(blobPath(repository, blob))) await store.remove(blobPath(repository, blob));
  }
  return before - (await describe(store, repository)).sizeBytes;
}

/**
 * Reads every file and compares it with the hash that it is named by; files that snapshots name must be there.
 * `id` takes one model only. Returns what is wrong; nothing is removed. Throws NOT_FOUND, BAD_FILE, ABORTED.
 */
async function verify(id?: string, options: VerifyOptions = {}): Promise<CacheProblem[]> {
  const store = await requireCache(options);
  const all = await repositories(store);
  const wanted = id === undefined ? all : [parseHubId(id).repository];
  const problems: CacheProblem[] = [];
  for (const repository of wanted) {
    if (!all.includes(repository)) {
      throw new BitloomError('NOT_FOUND', `${repository} is not in the cache at ${store.name}`, { id });
    }
    for (const hash of (await store.list(`${folderOf(repository)}/blobs`)).filter(isHash)) {
      const path = blobPath(repository, hash);
      const sizeBytes = (await store.status(path))?.sizeBytes ?? 0;
      options.onFile?.(path, sizeBytes);
      const digest = contentDigest({ hash, sizeBytes });
      await hashFile(store, path, sizeBytes, digest, options.signal);
      if (digest.hex() !== hash) problems.push({ repository, path, problem: 'hash' });
    }
    const folder = `${folderOf(repository)}/snapshots`;
    for (const file of await filesUnder(store, folder)) {
      const isThere = (await store.status(`${folder}/${file}`)) !== undefined;
      if (!isThere) problems.push({ repository, path: `${folder}/${file}`, problem: 'missing' });
    }
  }
  return problems;
}

/** Asks a browser not to clear the cache by itself. True where it will not. */
const persist = async (options: HubOptions = {}): Promise<boolean> => (await requireCache(options)).persist();

/** The cache of hub models, on a disk or in a page's storage. */
export const cache = { list, size, delete: remove, verify, persist } as const;
