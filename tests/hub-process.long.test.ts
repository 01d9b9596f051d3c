/** Downloads by the command line as a process that is killed: the next one goes on, and the hash is right. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FakeHub, sha256, someBytes, startHub } from '../src/format/hub/testing/hub-server.ts';

const program = fileURLToPath(new URL('../bin/bitloom.js', import.meta.url));
const bytes = someBytes(1_000_000);
const hash = sha256(bytes);
let hub: FakeHub;
let folder: string;

beforeAll(async () => {
  hub = await startHub();
  hub.repositories.set('org/name', { commit: 'c0ffee00'.repeat(5), files: { 'a-Q4_0.gguf': bytes } });
  folder = mkdtempSync(join(tmpdir(), 'bitloom-hub-'));
});
afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});

function bitloom(args: readonly string[], cache: string): ChildProcess {
  const env = {
    PATH: process.env.PATH,
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_CACHE: cache,
    BITLOOM_WEIGHT_CACHE: `${cache}-weights`,
  };
  return spawn(process.execPath, [program, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function outcome(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (text) => {
    out += text;
  });
  child.stderr?.on('data', (text) => {
    err += text;
  });
  const [code] = await once(child, 'close');
  return { code, out, err };
}

const isFile = ({ isStore }: { isStore: boolean }): boolean => isStore;
const atByte = process.env.BITLOOM_TEST_ALL === '1' ? [0, 1, 65_536, 300_001, 700_000, 999_999] : [300_001];

test.each(atByte)('a process that is killed at byte %i leaves what the next one needs', async (byte) => {
  const cache = join(folder, String(byte));
  const blobs = join(cache, 'models--org--name/blobs');
  hub.fault = (request) => (isFile(request) ? { stallAfter: byte } : undefined);
  hub.seen.length = 0;
  const child = bitloom(['pull', 'org/name', '--quiet'], cache);
  const killed = outcome(child);
  const size = (): number => {
    const partial = join(blobs, `${hash}.partial`);
    return existsSync(partial) ? readFileSync(partial).length : -1;
  };
  while (!hub.seen.some(isFile) || size() < byte) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGKILL');
  await killed;
  expect(readdirSync(blobs)).toEqual([`${hash}.partial`]);
  hub.fault = () => undefined;
  hub.seen.length = 0;
  const { code, out } = await outcome(bitloom(['pull', 'org/name', '--json', '--quiet'], cache));
  expect(code).toBe(0);
  const { files } = JSON.parse(out) as { files: { name: string; path: string; sizeBytes: number }[] };
  expect(files).toMatchObject([{ name: 'a-Q4_0.gguf', sizeBytes: bytes.length }]);
  expect(sha256(readFileSync(files[0]!.path))).toBe(hash);
  const ranges = hub.seen.filter(isFile).map(({ range }) => range);
  expect(ranges).toEqual([byte === 0 ? undefined : `bytes=${byte}-`]);
  expect(readdirSync(join(cache, '.locks/models--org--name'))).toEqual([]);
});

test('two processes that want one model fetch it once', async () => {
  const cache = join(folder, 'both');
  hub.fault = (request) => (isFile(request) ? { delayMs: 500 } : undefined);
  hub.seen.length = 0;
  const both = await Promise.all([1, 2].map(() => outcome(bitloom(['pull', 'org/name', '--quiet'], cache))));
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  expect(hub.seen.filter(isFile)).toHaveLength(1);
});

test('the cache is listed, verified and removed by the command line', async () => {
  const cache = join(folder, 'listed');
  hub.fault = () => undefined;
  expect((await outcome(bitloom(['pull', 'org/name'], cache))).code).toBe(0);
  const list = await outcome(bitloom(['cache', 'ls', '--json'], cache));
  expect(JSON.parse(list.out)).toMatchObject({ sizeBytes: bytes.length, models: [{ repository: 'org/name' }] });
  expect((await outcome(bitloom(['cache', 'verify'], cache))).code).toBe(0);
  const gone = await outcome(bitloom(['pull', 'org/none'], cache));
  expect(gone).toMatchObject({ code: 5, out: '', err: expect.stringMatching(/^error: org\/none@main: .*NOT_FOUND/) });
  expect((await outcome(bitloom(['cache', 'rm', 'org/name'], cache))).code).toBe(0);
  expect(JSON.parse((await outcome(bitloom(['cache', 'ls', '--json'], cache))).out).models).toEqual([]);
});
