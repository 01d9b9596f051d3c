/** The disk's store: what a cache relies on, and locks between processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diskStore } from './disk-store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bitloom-store-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const never = (): void => {
  throw new Error('nobody holds the lock');
};

describe('files', () => {
  test('are written where the caller says, and keep what they hold', async () => {
    const store = diskStore(folder);
    for (const [text, offset] of [
      ['hello world', 0],
      ['WORLD', 6],
    ] as const) {
      const writer = await store.openWriter('a/b');
      await writer.write(new TextEncoder().encode(text), offset);
      await writer.close();
    }
    expect(await store.readText('a/b')).toBe('hello WORLD');
    const writer = await store.openWriter('a/b');
    await writer.truncate(5);
    await writer.close();
    expect((await store.status('a/b'))?.sizeBytes).toBe(5);
    await store.rename('a/b', 'c/d');
    expect([await store.list(''), await store.list('c'), await store.list('none')]).toEqual([['a/', 'c/'], ['d'], []]);
  });

  test('that are not there are undefined, and removing them is nothing', async () => {
    const store = diskStore(join(folder, 'none'));
    expect(await store.status('x')).toBeUndefined();
    expect(await store.readText('x')).toBeUndefined();
    expect(await store.linkTarget('x')).toBeUndefined();
    await store.remove('x/y');
    await expect(store.open('x')).rejects.toMatchObject({ code: 'MISSING_FILE' });
    expect(await store.availableBytes()).toBeGreaterThan(0);
  });

  test('are linked relatively, so that the folder can move', async () => {
    const store = diskStore(folder);
    await store.writeText('blobs/x', 'one');
    await store.writeText('blobs/y', 'two');
    await store.link('snapshots/s/a/file', 'blobs/x');
    await store.link('snapshots/s/a/file', 'blobs/y');
    expect(readlinkSync(join(folder, 'snapshots/s/a/file'))).toBe('../../../blobs/y');
    expect(await store.linkTarget('snapshots/s/a/file')).toBe('blobs/y');
    expect(await store.readText('snapshots/s/a/file')).toBe('two');
    expect(await store.linkTarget('blobs/x')).toBeUndefined();
    expect(readdirSync(join(folder, 'blobs'))).toEqual(['x', 'y']);
  });

  test.skipIf(!existsSync('/dev/full'))('that no room is left for are told so', async () => {
    const full = diskStore('/dev/full/x');
    await expect(full.writeText('a', 'b')).rejects.toMatchObject({ code: 'BAD_FILE' });
    const writer = await diskStore('/dev').openWriter('full');
    await expect(writer.write(new Uint8Array(10), 0)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    await writer.close().catch(() => {});
  });
});

describe('locks', () => {
  test('let one in at a time', async () => {
    const store = diskStore(folder);
    let inside = 0;
    let most = 0;
    let waits = 0;
    const work = async (): Promise<void> => {
      const release = await store.lock('l', () => void waits++);
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 60));
      inside--;
      await release();
    };
    await Promise.all([work(), work(), work()]);
    expect(most).toBe(1);
    expect(waits).toBeGreaterThan(0);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of a process that lives are respected, and given up when it dies', async () => {
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    await once(child, 'spawn');
    writeFileSync(join(folder, 'l'), `${child.pid} ${hostname()}`);
    let waited = false;
    const locked = diskStore(folder).lock('l', () => {
      waited = true;
      child.kill('SIGKILL');
    });
    const release = await locked;
    expect(waited).toBe(true);
    expect(readFileSync(join(folder, 'l'), 'utf8')).toBe(`${process.pid} ${hostname()}`);
    await release();
  });

  test('that nobody has touched for long are leftovers, whoever wrote them', async () => {
    writeFileSync(join(folder, 'l'), `1 another-machine`);
    const old = new Date(Date.now() - 10 * 60_000);
    utimesSync(join(folder, 'l'), old, old);
    await (await diskStore(folder).lock('l', never))();
    writeFileSync(join(folder, 'l'), '1 another-machine');
    const abort = new AbortController();
    const waiting = diskStore(folder).lock('l', () => abort.abort(), abort.signal);
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
