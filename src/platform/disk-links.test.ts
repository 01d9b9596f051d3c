/** Systems that make no symbolic links: snapshots hold second names of the files, or copies. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { link, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { diskStore } from './disk-store.ts';

vi.mock('node:fs/promises', async (original) => {
  const actual = await original<typeof import('node:fs/promises')>();
  return { ...actual, symlink: vi.fn(actual.symlink), link: vi.fn(actual.link) };
});

const refused = Object.assign(new Error('operation not permitted'), { code: 'EPERM' });
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bitloom-links-'));
});
afterEach(() => {
  vi.mocked(symlink).mockReset();
  vi.mocked(link).mockReset();
  rmSync(folder, { recursive: true });
});

test.each([
  ['second names', () => vi.mocked(symlink).mockRejectedValue(refused), 2],
  ['copies', () => [symlink, link].map((way) => vi.mocked(way).mockRejectedValue(refused)), 1],
] as const)('%s stand in for links', async (_, refuse, names) => {
  refuse();
  const store = diskStore(folder);
  await store.writeText('blobs/x', 'content');
  await store.link('snapshots/s/file', 'blobs/x');
  await store.link('snapshots/s/file', 'blobs/x');
  expect(readFileSync(join(folder, 'snapshots/s/file'), 'utf8')).toBe('content');
  expect(statSync(join(folder, 'blobs/x')).nlink).toBe(names);
  expect(await store.linkTarget('snapshots/s/file')).toBeUndefined();
});
