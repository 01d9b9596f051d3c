/** The cache: what is listed, removed and verified, and that only that goes which nothing else needs. */
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cache } from './cache.ts';
import { hubFiles } from './hub-files.ts';
import { blobHash, someBytes } from './testing/hub-server.ts';
import { COMMIT, openWorkbench, type Workbench } from './testing/workbench.ts';

const OTHER = 'deadbeef'.repeat(5);
const CONFIG = new TextEncoder().encode('{}');
const WEIGHTS = [someBytes(20_000, 1), someBytes(30_000, 2)] as const;
let bench: Workbench;
const at = (path: string): string => join(bench.folder, 'models--org--name', path);

beforeEach(async () => {
  bench = await openWorkbench();
  const { repositories } = bench.hub;
  repositories.set('org/name', { commit: OTHER, files: { 'config.json': CONFIG, 'model.safetensors': WEIGHTS[0] } });
  await hubFiles('org/name', bench.options);
  repositories.set('org/name', {
    commit: COMMIT,
    revisions: ['v2'],
    files: { 'config.json': CONFIG, 'model.safetensors': WEIGHTS[1] },
  });
  await hubFiles('org/name', bench.options);
  await hubFiles('org/name@v2', bench.options);
  repositories.set('org/an--other', { commit: COMMIT, files: {} });
  repositories.set('other/a', { commit: COMMIT, files: { 'a.gguf': WEIGHTS[0] } });
  await hubFiles('other/a', bench.options);
  mkdirSync(join(bench.folder, 'datasets--org--name'));
});
afterEach(() => bench.close());

test('lists models with sizes, revisions and last use, and nothing else', async () => {
  writeFileSync(at(`blobs/${'a'.repeat(64)}.partial`), new Uint8Array(500));
  const models = await cache.list(bench.options);
  expect(models).toMatchObject([
    {
      repository: 'org/name',
      sizeBytes: 50_000 + CONFIG.length + 500,
      partialBytes: 500,
      revisions: [
        { commit: COMMIT, names: ['main', 'v2'], files: ['config.json', 'model.safetensors'], sizeBytes: 30_002 },
        { commit: OTHER, names: [], files: ['config.json', 'model.safetensors'], sizeBytes: 20_002 },
      ],
    },
    { repository: 'other/a', sizeBytes: 20_000, partialBytes: 0, revisions: [{ names: ['main'], files: ['a.gguf'] }] },
  ]);
  expect(await cache.size(bench.options)).toBe(70_502);
  const ageMs = Date.now() - models[0]!.lastUsedMs;
  expect(ageMs).toBeGreaterThan(-60_000);
  expect(ageMs).toBeLessThan(600_000);
});

test('removes one revision with what no other one shares', async () => {
  expect(await cache.delete(`org/name@${OTHER}`, bench.options)).toBe(20_000);
  expect(readdirSync(at('blobs')).sort()).toEqual([blobHash(CONFIG), blobHash(WEIGHTS[1])].sort());
  expect(await cache.verify(undefined, bench.options)).toEqual([]);
  await hubFiles('org/name', { ...bench.options, offline: true });
  // Of the last revision everything goes, under whichever name it is removed.
  expect(await cache.delete('org/name@v2', bench.options)).toBe(30_002);
  expect(existsSync(at(''))).toBe(false);
});

test('removes a whole model, interrupted downloads and locks with it', async () => {
  writeFileSync(at(`blobs/${'a'.repeat(64)}.partial`), new Uint8Array(500));
  expect(await cache.delete('org/name', bench.options)).toBe(50_502);
  expect((await cache.list(bench.options)).map((model) => model.repository)).toEqual(['other/a']);
  expect(readdirSync(join(bench.folder, '.locks'))).toEqual(['models--other--a']);
});

test.each([
  ['a model that is not there', 'org/none', 'NOT_FOUND'],
  ['a revision that is not there', 'org/name@v9', 'NOT_FOUND'],
  ['one file', 'org/name:Q4_0', 'INVALID_ARGUMENT'],
  ['no id', '../..', 'INVALID_ARGUMENT'],
])('does not remove %s', async (_, id, code) => {
  await expect(cache.delete(id, bench.options)).rejects.toMatchObject({ code });
  expect((await cache.list(bench.options)).length).toBe(2);
});

test('finds files that changed and files that are gone', async () => {
  const seen: string[] = [];
  const onFile = (path: string): void => void seen.push(path);
  expect(await cache.verify(undefined, { ...bench.options, onFile })).toEqual([]);
  expect(seen.length).toBe(4);
  appendFileSync(at(`blobs/${blobHash(WEIGHTS[1])}`), 'x');
  rmSync(at(`blobs/${blobHash(WEIGHTS[0])}`));
  expect(await cache.verify('org/name', bench.options)).toEqual([
    { repository: 'org/name', path: `models--org--name/blobs/${blobHash(WEIGHTS[1])}`, problem: 'hash' },
    { repository: 'org/name', path: `models--org--name/snapshots/${OTHER}/model.safetensors`, problem: 'missing' },
  ]);
  await expect(cache.verify('org/none', bench.options)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  // The next load mends what it can see: a file of another size.
  await hubFiles('org/name', bench.options);
  expect((await cache.verify('org/name', bench.options)).map(({ problem }) => problem)).toEqual(['missing']);
});

test('an empty folder and a missing one are an empty cache', async () => {
  const cacheFolder = join(bench.folder, 'none');
  expect(await cache.list({ cacheFolder })).toEqual([]);
  expect(await cache.size({ cacheFolder })).toBe(0);
  expect(await cache.verify(undefined, { cacheFolder })).toEqual([]);
});
