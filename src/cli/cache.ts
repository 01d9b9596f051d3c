/** `bitloom cache ls|rm|verify`: the models that were fetched from hubs, and weights laid out by loads; and `bitloom pull`, which fetches one. */
import { type CachedWeights, isWeightFileName, weightCache } from '../engine/weight-cache.ts';
import { cache, formatHubId, hubFiles, parseHubId } from '../format/hub/index.ts';
import { EXIT } from './exit-code.ts';
import { type HubFlags, hubOptions } from './hub-flags.ts';
import { showProgress } from './progress.ts';
import { formatBytes, table } from './readable.ts';
import type { Terminal } from './terminal.ts';

export interface CacheOptions {
  readonly json?: boolean;
}

export interface PullOptions extends CacheOptions, HubFlags {
  readonly quiet?: boolean;
}

/** `2026-11-22`: a day is as exact as most disks keep it. */
const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

const shortName = ({ names, commit }: { names: readonly string[]; commit: string }): string =>
  names.length > 0 ? names.join(' ') : commit.slice(0, 12);

/** Runs `cache ls`. */
export async function cacheList(options: CacheOptions, terminal: Terminal): Promise<number> {
  const models = await cache.list();
  const weights = await weightCache.list();
  const sizeBytes = [...models, ...weights].reduce((sum, each) => sum + each.sizeBytes, 0);
  if (options.json) {
    terminal.write(`${JSON.stringify({ sizeBytes, models, weights })}\n`);
    return EXIT.done;
  }
  if (models.length > 0) {
    const rows = models.map((model) => [
      model.repository,
      formatBytes(model.sizeBytes),
      day(model.lastUsedMs),
      model.revisions.map(shortName).join(', ') || 'interrupted',
    ]);
    terminal.write(`${table([['model', 'size', 'last used', 'revisions'], ...rows])}\n`);
  }
  if (weights.length > 0) terminal.write(`${models.length > 0 ? '\n' : ''}${weightTable(weights)}\n`);
  const counts = [count(models.length, 'model'), ...(weights.length > 0 ? [count(weights.length, 'weight file')] : [])];
  terminal.note(`${counts.join(', ')}, ${formatBytes(sizeBytes)}`);
  return EXIT.done;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

const weightTable = (weights: readonly CachedWeights[]): string =>
  table([
    ['laid out weights', 'size', 'last used', 'made from'],
    ...weights.map(({ name, sizeBytes, lastUsedMs, source }) => [
      name,
      formatBytes(sizeBytes),
      day(lastUsedMs),
      source ?? 'unknown',
    ]),
  ]);

/** Runs `cache rm`, for ids and names of weight files: all or, where one is not there, none after it. */
export async function cacheRemove(ids: readonly string[], options: CacheOptions, terminal: Terminal): Promise<number> {
  for (const id of ids) if (!isWeightFileName(id)) parseHubId(id);
  let freedBytes = 0;
  for (const id of ids) freedBytes += await (isWeightFileName(id) ? weightCache.delete(id) : cache.delete(id));
  if (options.json) terminal.write(`${JSON.stringify({ removed: ids, freedBytes })}\n`);
  else terminal.note(`removed ${ids.join(', ')}: ${formatBytes(freedBytes)}`);
  return EXIT.done;
}

/** Runs `cache verify`. Exits with 3 where a file is not what its name says. */
export async function cacheVerify(id: string | undefined, options: CacheOptions, terminal: Terminal): Promise<number> {
  const abort = new AbortController();
  const stopListening = terminal.onInterrupt(() => abort.abort());
  let files = 0;
  let sizeBytes = 0;
  try {
    const problems = await cache.verify(id, {
      signal: abort.signal,
      onFile(path, bytes) {
        files++;
        sizeBytes += bytes;
        terminal.status(`${path} ${formatBytes(bytes)}`);
      },
    });
    terminal.status('');
    if (options.json) {
      terminal.write(`${JSON.stringify({ files, sizeBytes, problems })}\n`);
    } else {
      const text = { hash: 'has another content than its name says', missing: 'is named, but not there' };
      for (const { path, problem } of problems) terminal.write(`${path} ${text[problem]}\n`);
      const broken = [...new Set(problems.map(({ repository }) => repository))];
      const advice = broken.length > 0 ? `; remove with: bitloom cache rm ${broken.join(' ')}` : '';
      terminal.note(`${files} files, ${formatBytes(sizeBytes)}, ${problems.length} broken${advice}`);
    }
    return problems.length === 0 ? EXIT.done : EXIT.badFile;
  } finally {
    stopListening();
    terminal.status('');
  }
}

/** Runs `pull`: fetches a model, and writes where each of its files lies. */
export async function pull(id: string, options: PullOptions, terminal: Terminal): Promise<number> {
  const abort = new AbortController();
  const stopListening = terminal.onInterrupt(() => abort.abort());
  try {
    const files = await hubFiles(id, {
      ...hubOptions(options),
      signal: abort.signal,
      onProgress: options.quiet ? () => {} : showProgress(terminal),
      onWarning: (message) => terminal.note(`warning: ${message}`),
    });
    terminal.status('');
    const found: { readonly name: string; readonly path: string; readonly sizeBytes: number }[] = [];
    for (const name of (await files.list()) ?? []) {
      const file = await files.open(name);
      found.push({ name, path: file.name, sizeBytes: file.sizeBytes });
      await file.close();
    }
    if (options.json) terminal.write(`${JSON.stringify({ id: formatHubId(parseHubId(id)), files: found })}\n`);
    else for (const { path } of found) terminal.write(`${path}\n`);
    return EXIT.done;
  } finally {
    stopListening();
    terminal.status('');
  }
}
