/**
 * Where things lie in the cache, as huggingface_hub lays them out, so that both find each other's downloads:
 * `models--org--name/` with `blobs/<hash>`, `refs/<revision>` (a commit) and `snapshots/<commit>/<file>` (links to blobs).
 */
import type { FileStore } from '#platform';
import type { HubId } from './hub-id.ts';
import { isCommit } from './listing.ts';

const PREFIX = 'models--';

export const folderOf = (repository: string): string => `${PREFIX}${repository.replaceAll('/', '--')}`;
/** The repository whose folder this is; undefined for other folders. */
export const repositoryOf = (folder: string): string | undefined =>
  folder.startsWith(PREFIX) ? folder.slice(PREFIX.length).replace('--', '/') : undefined;

export const blobPath = (repository: string, hash: string): string => `${folderOf(repository)}/blobs/${hash}`;
export const partialPath = (repository: string, hash: string): string => `${blobPath(repository, hash)}.partial`;
export const lockPath = (repository: string, hash: string): string =>
  `.locks/${folderOf(repository)}/${hash}.partial.lock`;
export const refPath = (repository: string, revision: string): string => `${folderOf(repository)}/refs/${revision}`;
export const snapshotFolder = (repository: string, commit: string): string =>
  `${folderOf(repository)}/snapshots/${commit}`;
export const snapshotPath = (repository: string, commit: string, file: string): string =>
  `${snapshotFolder(repository, commit)}/${file}`;

/** Names of all files under a folder, relative to it. */
export async function filesUnder(store: FileStore, folder: string, prefix = ''): Promise<string[]> {
  const names: string[] = [];
  for (const name of await store.list(folder)) {
    if (name.endsWith('/')) names.push(...(await filesUnder(store, `${folder}/${name.slice(0, -1)}`, prefix + name)));
    else names.push(prefix + name);
  }
  return names;
}

/** The commit that the cache knows for a revision. */
export async function cachedCommit(store: FileStore, { repository, revision }: HubId): Promise<string | undefined> {
  const commit = (await store.readText(refPath(repository, revision)))?.trim() ?? revision;
  return isCommit(commit) ? commit : undefined;
}
