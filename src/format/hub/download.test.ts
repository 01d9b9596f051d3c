/** Downloads that are cut, stalled, lied to and repeated: they end with the right bytes, or fail by name. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hubFiles } from './hub-files.ts';
import { blobPath, partialPath } from './layout.ts';
import { blobHash, type Fault, type SeenRequest, sha256, someBytes } from './testing/hub-server.ts';
import { COMMIT, openWorkbench, type Workbench } from './testing/workbench.ts';

const NAME = 'model-Q4_0.gguf';
const bytes = someBytes(300_000);
const hash = sha256(bytes);
let bench: Workbench;

beforeEach(async () => {
  bench = await openWorkbench();
  bench.hub.repositories.set('org/name', { commit: COMMIT, files: { [NAME]: bytes } });
});
afterEach(() => bench.close());

const at = (path: string): string => join(bench.folder, path);
const blob = (): string => at(blobPath('org/name', hash));
const partial = (): string => at(partialPath('org/name', hash));
const fetchIt = (more = {}) => hubFiles('org/name', { ...bench.options, ...more });
const isFile = ({ isStore }: SeenRequest): boolean => isStore;
/** Offsets that the file was asked for from. */
const offsets = (): number[] =>
  bench.hub.seen.filter(isFile).map(({ range }) => Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0));
/** Gives the file's answers these faults, one after another, then none. */
function failInTurn(faults: readonly Fault[]): void {
  const queue = [...faults];
  bench.hub.fault = (request) => (isFile(request) ? queue.shift() : undefined);
}
/** What an earlier try may have left. */
function leave(content: Uint8Array): void {
  mkdirSync(dirname(partial()), { recursive: true });
  writeFileSync(partial(), content);
}
const locks = (): string[] => {
  const folder = at('.locks/models--org--name');
  return existsSync(folder) ? readdirSync(folder) : [];
};

async function expectWhole(): Promise<void> {
  expect(sha256(readFileSync(blob()))).toBe(hash);
  expect(existsSync(partial())).toBe(false);
  expect(locks()).toEqual([]);
}

describe('a line that breaks', () => {
  test('anywhere, several times, is taken up where it broke', async () => {
    const cuts = fc.array(fc.integer({ min: 0, max: bytes.length - 1 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(cuts, async (lengths) => {
        bench.hub.seen.length = 0;
        failInTurn(lengths.map((cutAfter) => ({ cutAfter })));
        await fetchIt();
        await expectWhole();
        const asked = offsets();
        expect(asked).toEqual([...asked].sort((a, b) => a - b));
        // Nothing that came is asked for again: what was sent and not received is all that is repeated.
        expect(asked[0]).toBe(0);
        rmSync(at('models--org--name'), { recursive: true });
      }),
      { numRuns: 12 },
    );
  });

  test('by stalling is given up and taken up again', async () => {
    failInTurn([{ stallAfter: 100_000 }]);
    await fetchIt({ stallMs: 900 });
    await expectWhole();
    expect(offsets()).toEqual([0, 100_000]);
  });

  test('no: a slow server is waited for', async () => {
    failInTurn([{ paceMs: 60 }]);
    await fetchIt({ stallMs: 900 });
    await expectWhole();
    expect(offsets()).toEqual([0]);
  });

  test('every time is told with file and bytes, and the next call goes on', async () => {
    bench.hub.fault = (request) => (isFile(request) ? { cutAfter: 1000 } : undefined);
    await expect(fetchIt()).rejects.toMatchObject({
      code: 'NETWORK',
      message: expect.stringMatching(/model-Q4_0\.gguf.*\d+ of 300000 bytes are there, and the next try goes on/),
      details: { file: NAME, totalBytes: bytes.length },
    });
    const there = readFileSync(partial()).length;
    expect(there).toBeGreaterThan(0);
    expect(existsSync(blob())).toBe(false);
    bench.hub.fault = () => undefined;
    bench.hub.seen.length = 0;
    await fetchIt();
    expect(offsets()).toEqual([there]);
    await expectWhole();
  });

  test('before anything came is asked again', async () => {
    failInTurn([{ hangsUp: true }, { status: 503 }, { status: 429, headers: { 'retry-after': '0' } }, { status: 403 }]);
    await fetchIt();
    await expectWhole();
    expect(offsets()).toHaveLength(5);
  });
});

describe('a call that is cancelled', () => {
  test('anywhere leaves what came, and the next call goes on from it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 0.99, noNaN: true }), async (share) => {
        const abort = new AbortController();
        const onProgress = ({ loadedBytes }: { loadedBytes: number }): void => {
          if (loadedBytes > share * bytes.length) abort.abort('enough');
        };
        await expect(fetchIt({ signal: abort.signal, onProgress })).rejects.toMatchObject({ code: 'ABORTED' });
        const there = existsSync(partial()) ? readFileSync(partial()) : new Uint8Array();
        expect(Buffer.from(there).equals(bytes.subarray(0, there.length))).toBe(true);
        expect(locks()).toEqual([]);
        bench.hub.seen.length = 0;
        const loaded: number[] = [];
        await fetchIt({ onProgress: (event: { loadedBytes: number }) => loaded.push(event.loadedBytes) });
        expect(offsets()).toEqual(there.length < bytes.length ? [there.length] : []);
        expect(loaded[0]).toBe(there.length);
        await expectWhole();
        rmSync(at('models--org--name'), { recursive: true });
      }),
      { numRuns: 8 },
    );
  });

  test('while it waits for another one lets that one go on', async () => {
    const abort = new AbortController();
    bench.hub.fault = (request) => (isFile(request) ? { delayMs: 300 } : undefined);
    const first = fetchIt();
    const second = fetchIt({ signal: abort.signal });
    setTimeout(() => abort.abort(), 150);
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    await first;
    await expectWhole();
  });
});

describe('a server that lies', () => {
  const lies: readonly [string, Fault, code: string, message: RegExp][] = [
    [
      'about the content',
      { body: someBytes(bytes.length, 9) },
      'HASH_MISMATCH',
      /model-Q4_0\.gguf of org\/name: its hash is another/,
    ],
    ['with more bytes', { body: someBytes(bytes.length + 5) }, 'HASH_MISMATCH', /more than its 300000 bytes came/],
    ['with fewer bytes', { body: bytes.subarray(0, 200_000) }, 'HASH_MISMATCH', /it ends at 200000 of 300000 bytes/],
    [
      'with a web page',
      { body: '<html>Sign in', headers: { 'content-type': 'text/html' } },
      'NETWORK',
      /a web page came/,
    ],
    [
      'with patience until a far day',
      { status: 503, headers: { 'retry-after': 'Fri, 31 Dec 2999 23:59:59 GMT' } },
      'NETWORK',
      /the hub fails \(HTTP 503.*it asks to wait \d+ s/,
    ],
    [
      'with patience beyond measure',
      { status: 429, headers: { 'retry-after': '3600' } },
      'NETWORK',
      /fewer requests \(HTTP 429.*it asks to wait 3600 s/,
    ],
  ];

  test.each(lies)('%s is told by name, and leaves nothing bad', async (_, fault, code, message) => {
    bench.hub.fault = (request) => (isFile(request) ? fault : undefined);
    await expect(fetchIt()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(existsSync(blob())).toBe(false);
    expect(existsSync(partial()) ? readFileSync(partial()).length : 0).toBe(0);
    bench.hub.fault = () => undefined;
    await fetchIt();
    await expectWhole();
  });

  test('about the size, in its listing', async () => {
    bench.hub.lie = (entry) => ({ ...entry, lfs: { ...entry.lfs!, size: 299_000 } });
    await expect(fetchIt()).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
    bench.hub.lie = (entry) => ({ ...entry, lfs: { ...entry.lfs!, size: 301_000 } });
    await expect(fetchIt()).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
    expect(existsSync(partial())).toBe(false);
  });

  test('about ranges: the whole file comes again, and is taken from where it is new', async () => {
    failInTurn([{ cutAfter: 100_000 }, { ignoresRanges: true }]);
    await fetchIt();
    await expectWhole();
    expect(offsets()).toHaveLength(2);
  });
});

describe('what an earlier try left', () => {
  test('is not taken where it is bad: the file is fetched anew', async () => {
    const bad = bytes.slice(0, 100_000);
    bad[17]! ^= 1;
    leave(bad);
    await fetchIt();
    expect(offsets()).toEqual([100_000, 0]);
    await expectWhole();
  });

  test('is cut off where it is too long, and done with where it is whole', async () => {
    for (const [left, requests] of [
      [Buffer.concat([bytes, bytes]), [0]],
      [bytes, []],
    ] as const) {
      leave(left);
      bench.hub.seen.length = 0;
      await fetchIt();
      expect(offsets()).toEqual(requests);
      await expectWhole();
      rmSync(blob());
      rmSync(at('models--org--name/snapshots'), { recursive: true });
    }
  });

  test('of a process that died: its lock does not hold', async () => {
    await fetchIt();
    rmSync(at('models--org--name'), { recursive: true });
    writeFileSync(at(`.locks/models--org--name/${hash}.partial.lock`), `999999999 ${hostname()}`);
    await fetchIt();
    await expectWhole();
    expect(bench.warnings).toEqual([]);
  });
});

test('several calls at once fetch a file once', async () => {
  bench.hub.fault = (request) => (isFile(request) ? { delayMs: 100 } : undefined);
  await Promise.all([fetchIt(), fetchIt(), fetchIt()]);
  expect(offsets()).toEqual([0]);
  await expectWhole();
});

test('small files are held to the hash of their git blob', async () => {
  const config = new TextEncoder().encode('{"small":true}');
  bench.hub.repositories.set('org/name', {
    commit: COMMIT,
    files: { 'config.json': config, 'model.safetensors': bytes },
  });
  await fetchIt();
  expect(readFileSync(at(blobPath('org/name', blobHash(config)))).toString()).toBe('{"small":true}');
  bench.hub.repositories.set('org/liar', {
    commit: COMMIT,
    files: { 'config.json': config, 'model.safetensors': bytes },
  });
  bench.hub.fault = ({ path }) => (path.endsWith('config.json') ? { body: '{"small":null}' } : undefined);
  await expect(hubFiles('org/liar', bench.options)).rejects.toMatchObject({ code: 'HASH_MISMATCH' });
});
