/** The folder of weight files: where it is, what is in it, and how it is kept from growing without end. */
import { type FileStore, platform } from '#platform';
import { BitloomError } from '../ir/error.ts';
import { sourceOfWeightFile, WEIGHT_FILE } from './weight-file.ts';

/** Where the cache is: a folder, or true for the usual one. */
export type WeightCacheFolder = string | true;

/** Weights of one checkpoint, laid out for one kind of device. */
export interface CachedWeights {
  /** Name of the file. */
  readonly name: string;
  /** The checkpoint's file, or the first of them; null where the file's header cannot be read. */
  readonly source: string | null;
  readonly sizeBytes: number;
  /** When it was last made or loaded, in milliseconds since 1970. */
  readonly lastUsedMs: number;
}

/** The most that the folder takes, and the most of what the disk has for it. */
const MOST_BYTES = 20e9;
const MOST_SHARE = 1 / 4;
/** A file that nobody has written to for so long was left by a process that ended. */
const STALE_MS = 3_600_000;

const OFF: readonly string[] = ['0', 'false', 'no', 'off'];

/** What a text says of the cache: a folder, or that there is none. */
export const weightCacheOf = (text: string): boolean | string =>
  OFF.includes(text.toLowerCase()) ? false : ['1', 'true', 'yes', 'on'].includes(text.toLowerCase()) ? true : text;

/** Whether and where weights are kept, by option or environment. */
export function chooseWeightCache(option: boolean | string | undefined): WeightCacheFolder | false {
  const named = platform.environment('BITLOOM_WEIGHT_CACHE');
  return option ?? (named ? weightCacheOf(named) : true);
}

/** The folder: as given, else BITLOOM_WEIGHT_CACHE, else bitloom/weights under XDG_CACHE_HOME or ~/.cache. */
function folderOf(given: WeightCacheFolder): string {
  const named = platform.environment('BITLOOM_WEIGHT_CACHE');
  const chosen = given === true && named ? weightCacheOf(named) : given;
  const folder = typeof chosen === 'string' ? chosen : undefined;
  if (folder !== undefined)
    return /^~([/\\]|$)/.test(folder) ? platform.joinPath(platform.homeFolder(), folder.slice(2)) : folder;
  const home = platform.environment('XDG_CACHE_HOME') || platform.joinPath(platform.homeFolder(), '.cache');
  return platform.joinPath(platform.joinPath(home, 'bitloom'), 'weights');
}

/** The folder as a store; undefined where the platform has none. */
export const openWeightCache = (folder: WeightCacheFolder = true): Promise<FileStore | undefined> =>
  platform.openStore(folderOf(folder));

async function requireStore(folder: WeightCacheFolder): Promise<FileStore> {
  const store = await openWeightCache(folder);
  if (store !== undefined) return store;
  throw new BitloomError('UNSUPPORTED_FEATURE', 'this platform has no folder to keep weights in');
}

interface KeptFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly usedMs: number;
}

async function filesOf(store: FileStore, isWanted: (name: string) => boolean): Promise<KeptFile[]> {
  const files: KeptFile[] = [];
  for (const name of (await store.list('')).filter(isWanted)) {
    const status = await store.status(name);
    if (status !== undefined) files.push({ name, ...status });
  }
  return files;
}

/** Whether a name could be that of a weight file; ids of hubs have a slash. */
export const isWeightFileName = (name: string): boolean => name.endsWith(WEIGHT_FILE) && !/[/\\]/.test(name);
const isPartial = (name: string): boolean => name.includes(`${WEIGHT_FILE}.`) && name.endsWith('.partial');

/**
 * Makes room for a file of `sizeBytes` that will be called `name`: removes what was used longest ago while the folder would
 * take more than it may, and what processes left that ended early. Throws QUOTA_EXCEEDED where no room can be made.
 */
export async function makeRoom(store: FileStore, name: string, sizeBytes: number): Promise<void> {
  for (const { name: left, usedMs } of await filesOf(store, isPartial))
    if (Date.now() - usedMs > STALE_MS) await store.remove(left);
  const all = await filesOf(store, isWeightFileName);
  const bytesOf = (files: readonly KeptFile[]): number => files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const available = (await store.availableBytes()) ?? Number.POSITIVE_INFINITY;
  const limit = Math.min(MOST_BYTES, MOST_SHARE * (available + bytesOf(all)));
  const kept = all.filter((file) => file.name !== name);
  let total = bytesOf(kept);
  if (sizeBytes > limit) {
    const text = `${store.name} may take ${Math.floor(limit)} bytes, and the weights are ${sizeBytes}. Free some space.`;
    throw new BitloomError('QUOTA_EXCEEDED', text, { sizeBytes, limitBytes: limit });
  }
  for (const file of kept.sort((a, b) => a.usedMs - b.usedMs)) {
    if (total + sizeBytes <= limit) break;
    await store.remove(file.name);
    total -= file.sizeBytes;
  }
}

/** All files, by name. */
async function list(folder: WeightCacheFolder = true): Promise<CachedWeights[]> {
  const store = await requireStore(folder);
  const found: CachedWeights[] = [];
  for (const { name, sizeBytes, usedMs } of await filesOf(store, isWeightFileName)) {
    const file = await store.open(name);
    try {
      found.push({ name, source: (await sourceOfWeightFile(file)) ?? null, sizeBytes, lastUsedMs: usedMs });
    } finally {
      await file.close();
    }
  }
  return found;
}

/** Removes a file by its name; models that have it mapped go on using it. Returns the bytes freed. Throws NOT_FOUND. */
async function remove(name: string, folder: WeightCacheFolder = true): Promise<number> {
  const store = await requireStore(folder);
  const file = (await filesOf(store, isWeightFileName)).find((each) => each.name === name);
  if (file === undefined) {
    throw new BitloomError('NOT_FOUND', `${name} is not among the weights at ${store.name}`, { name });
  }
  await store.remove(name);
  return file.sizeBytes;
}

/** The weights that loads have laid out for the machine's kernels, and keep for the next one. */
export const weightCache = { list, delete: remove } as const;
