import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BitloomError, type ErrorCode } from '../ir/error.ts';
import { platform as browser } from './browser.ts';
import { openBlob, platform } from './index.ts';
import type { RandomAccessFile } from './platform.ts';

const bytes = Uint8Array.from({ length: 100_003 }, (_, i) => (i * 31 + (i >> 8)) & 255);
let folder: string;
let server: Server;
let address: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bitloom-'));
  await writeFile(join(folder, 'data.bin'), bytes);
  server = createServer((request, response) => {
    if (request.url === '/missing') return response.writeHead(404).end();
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    if (!range || request.url === '/whole') return response.writeHead(200).end(bytes);
    const [from, to] = [Number(range[1]), Number(range[2])];
    return response
      .writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}` })
      .end(bytes.subarray(from, to + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

const carriers: readonly [string, () => Promise<RandomAccessFile>][] = [
  ['a path', () => platform.openFile(join(folder, 'data.bin'))],
  ['an address with ranges', () => platform.openFile(`${address}/ranges`)],
  ['an address without ranges', () => browser.openFile(`${address}/whole`)],
  ['a blob', async () => openBlob(new Blob([bytes]))],
];

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'no error' | 'other'> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return error instanceof BitloomError ? error.code : 'other';
  }
}

describe.each(carriers)('random access to %s', (_, open) => {
  test('reads pieces straight into shared memory', async () => {
    const file = await open();
    expect(file.sizeBytes).toBe(bytes.length);
    const shared = new Uint8Array(new SharedArrayBuffer(5000), 100, 4000);
    expect(await file.readInto(shared, 70_001)).toBe(4000);
    expect(Buffer.from(shared).equals(bytes.subarray(70_001, 74_001))).toBe(true);
    await file.close();
  });

  test('tells how much there was at the end and behind it', async () => {
    const file = await open();
    const target = new Uint8Array(64).fill(7);
    expect(await file.readInto(target, bytes.length - 10)).toBe(10);
    expect([...target.subarray(0, 10)]).toEqual([...bytes.subarray(-10)]);
    expect(target[10]).toBe(7);
    expect(await file.readInto(target, bytes.length + 5)).toBe(0);
    await file.close();
  });

  test('stops when it is told to', async () => {
    const file = await open();
    expect(await codeOf(file.readInto(new Uint8Array(8), 0, AbortSignal.abort()))).toBe('ABORTED');
    await file.close();
  });
});

describe('files that are not there', () => {
  test('missing paths, folders and addresses have their codes', async () => {
    expect(await codeOf(platform.openFile(join(folder, 'nothing')))).toBe('MISSING_FILE');
    expect(await codeOf(platform.openFile(folder))).toBe('BAD_FILE');
    expect(await codeOf(platform.readText(join(folder, 'nothing')))).toBe('MISSING_FILE');
    expect(await codeOf(browser.openFile(`${address}/missing`))).toBe('MISSING_FILE');
    expect(await codeOf(browser.readText('http://127.0.0.1:1/none'))).toBe('BAD_FILE');
  });

  test('exists() tells, without an error', async () => {
    expect(await platform.exists(join(folder, 'data.bin'))).toBe(true);
    expect(await platform.exists(join(folder, 'nothing'))).toBe(false);
    expect(await browser.exists(`${address}/ranges`)).toBe(true);
    expect(await browser.exists(`${address}/missing`)).toBe(false);
  });

  test('a closed file is an error, not stale bytes', async () => {
    const file = await platform.openFile(join(folder, 'data.bin'));
    await file.close();
    await file.close();
    expect(await codeOf(file.readInto(new Uint8Array(4), 0))).not.toBe('no error');
  });
});

describe('node', () => {
  test('writes whole files or none', async () => {
    const path = join(folder, 'written.bin');
    await platform.writeFile(path, [bytes.subarray(0, 5), bytes.subarray(5, 9)]);
    const file = await platform.openFile(path);
    const target = new Uint8Array(9);
    expect(file.readIntoSync?.(target, 0)).toBe(9);
    expect([...target]).toEqual([...bytes.subarray(0, 9)]);
    const failing = (function* () {
      yield bytes;
      throw new Error('source broke');
    })();
    expect(await codeOf(platform.writeFile(join(folder, 'half.bin'), failing))).toBe('BAD_FILE');
    expect(await readdir(folder)).toEqual(['data.bin', 'written.bin']);
  });

  test('finds the embedded model and the machine', async () => {
    expect(await platform.listFolder(platform.assetPath('tiny'))).toContain('model.safetensors');
    expect(await platform.listFolder(join(folder, 'data.bin'))).toBeUndefined();
    expect(platform.physicalCores()).toBeGreaterThanOrEqual(1);
    const memory = platform.memory()!;
    expect(memory.availableBytes).toBeGreaterThan(2 ** 20);
    expect(memory.totalBytes).toBeGreaterThanOrEqual(memory.availableBytes);
    expect(platform.environment('BITLOOM_SURELY_NOT_SET')).toBeUndefined();
  });
});
