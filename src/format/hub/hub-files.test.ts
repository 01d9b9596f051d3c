/** The way through: ids to files in the cache, without a network, with a token, without room. */
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { platform } from '#platform';
import type { FileStore } from '../../platform/file-store.ts';
import type { LoadProgress } from '../progress.ts';
import { hubFiles } from './hub-files.ts';
import { gitHash, sha256, someBytes } from './testing/hub-server.ts';
import { COMMIT, openWorkbench, type Workbench } from './testing/workbench.ts';

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const FILES = {
  '.gitattributes': text('attributes'),
  'README.md': text('readme'),
  'config.json': text({ model_type: 'llama' }),
  'tokenizer.json': text({ model: {} }),
  'model-00001-of-00002.safetensors': someBytes(50_000, 1),
  'model-00002-of-00002.safetensors': someBytes(60_000, 2),
  'model.safetensors.index.json': text({ weight_map: {} }),
  'gguf/x-Q4_0.gguf': someBytes(40_000, 3),
} as const;
const CHOSEN = Object.keys(FILES).filter((name) => /^(config|tokenizer|model)/.test(name));
let bench: Workbench;

beforeEach(async () => {
  bench = await openWorkbench();
  bench.hub.repositories.set('org/name', { commit: COMMIT, revisions: ['refs/pr/1', 'v1'], files: FILES });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await bench.close();
});

const at = (path: string): string => join(bench.folder, 'models--org--name', path);
const requests = (): number => bench.hub.seen.filter(({ path }) => !path.startsWith('/api/')).length;

async function contentOf(id: string, more = {}): Promise<Record<string, Buffer>> {
  const files = await hubFiles(id, { ...bench.options, ...more });
  const contents: Record<string, Buffer> = {};
  for (const name of (await files.list()) ?? []) {
    const file = await files.open(name);
    const bytes = new Uint8Array(file.sizeBytes);
    expect(await file.readInto(bytes, 0)).toBe(bytes.length);
    await file.close();
    contents[name] = Buffer.from(bytes);
  }
  return contents;
}

const expectFiles = (contents: Record<string, Buffer>, names: readonly string[]): void => {
  expect(Object.keys(contents)).toEqual([...names].sort());
  for (const name of names) expect(contents[name]!.equals(FILES[name as keyof typeof FILES])).toBe(true);
};

describe('a model of a hub', () => {
  test('lies in the cache as huggingface_hub lays it out', async () => {
    expectFiles(await contentOf('org/name'), CHOSEN);
    expect(readFileSync(at('refs/main'), 'utf8')).toBe(COMMIT);
    expect(readlinkSync(at(`snapshots/${COMMIT}/config.json`))).toBe(`../../blobs/${gitHash(FILES['config.json'])}`);
    const shard = 'model-00001-of-00002.safetensors';
    expect(readlinkSync(at(`snapshots/${COMMIT}/${shard}`))).toBe(`../../blobs/${sha256(FILES[shard])}`);
    expectFiles(await contentOf('org/name@refs/pr/1:q4_0'), ['gguf/x-Q4_0.gguf']);
    expect(readlinkSync(at(`snapshots/${COMMIT}/gguf/x-Q4_0.gguf`))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    expect(readFileSync(at('refs/refs/pr/1'), 'utf8')).toBe(COMMIT);
  });

  test('is fetched once; what huggingface_hub fetched is not fetched again', async () => {
    // Real files in a snapshot are what it leaves where links cannot be made.
    mkdirSync(at(`snapshots/${COMMIT}`), { recursive: true });
    writeFileSync(at(`snapshots/${COMMIT}/tokenizer.json`), FILES['tokenizer.json']);
    expectFiles(await contentOf('org/name'), CHOSEN);
    expect(bench.hub.seen.some(({ path }) => path.endsWith('/tokenizer.json'))).toBe(false);
    bench.hub.seen.length = 0;
    const written = statSync(at('refs/main')).mtimeMs;
    expectFiles(await contentOf('org/name'), CHOSEN);
    expect(statSync(at('refs/main')).mtimeMs).toBe(written);
    bench.hub.seen.length = 0;
    const events: LoadProgress[] = [];
    expectFiles(await contentOf(`org/name@${COMMIT}`, { onProgress: (e: LoadProgress) => events.push(e) }), CHOSEN);
    expect(bench.hub.seen.map(({ path }) => path)).toEqual([
      `/api/models/org/name/tree/${COMMIT}?recursive=true`,
      expect.any(String),
    ]);
    expect(events).toEqual([]);
  });

  test('tells its progress over all files, known before the first byte', async () => {
    const total = CHOSEN.reduce((sum, name) => sum + FILES[name as keyof typeof FILES].length, 0);
    const events: LoadProgress[] = [];
    const requestsBefore: number[] = [];
    await contentOf('org/name', {
      onProgress(event: LoadProgress) {
        requestsBefore.push(requests());
        events.push(event);
      },
    });
    expect(requestsBefore[0]).toBe(0);
    expect(events[0]).toEqual({ phase: 'download', loadedBytes: 0, totalBytes: total });
    expect(new Set(events.map((event) => event.totalBytes))).toEqual(new Set([total]));
    const loaded = events.map((event) => event.loadedBytes);
    expect(loaded).toEqual([...new Set(loaded)].sort((a, b) => a - b));
    expect(loaded.at(-1)).toBe(total);
    expect(new Set(events.map((event) => event.file))).toEqual(new Set([undefined, ...CHOSEN]));
  });

  test('of a new revision is fetched where it differs', async () => {
    await contentOf('org/name');
    const config = text({ model_type: 'qwen2' });
    bench.hub.repositories.set('org/name', { commit: 'd'.repeat(40), files: { ...FILES, 'config.json': config } });
    bench.hub.seen.length = 0;
    const events: LoadProgress[] = [];
    const contents = await contentOf('org/name', { onProgress: (event: LoadProgress) => events.push(event) });
    expect(contents['config.json']!.equals(config)).toBe(true);
    expect(requests()).toBe(1);
    expect(events[0]!.totalBytes - events[0]!.loadedBytes).toBe(config.length);
    expect(readFileSync(at('refs/main'), 'utf8')).toBe('d'.repeat(40));
  });

  test('is read by ranges where only a look is wanted', async () => {
    const files = await hubFiles('org/name:Q4_0', { ...bench.options, download: false });
    const file = await files.open('gguf/x-Q4_0.gguf');
    const target = new Uint8Array(100);
    bench.hub.fault = ({ isStore, range }) => (isStore && range === 'bytes=1000-1099' ? { cutAfter: 30 } : undefined);
    expect(await file.readInto(target, 1000)).toBe(100);
    expect(Buffer.from(target).equals(FILES['gguf/x-Q4_0.gguf'].subarray(1000, 1100))).toBe(true);
    expect(await file.readInto(target, 40_000)).toBe(0);
    expect(existsSync(at(''))).toBe(false);
  });

  test('of which a file fails is not taken for whole, and stops the others', async () => {
    bench.hub.fault = ({ path }) => (path.endsWith('tokenizer.json') ? { status: 400 } : undefined);
    await expect(contentOf('org/name')).rejects.toMatchObject({
      code: 'NETWORK',
      message: expect.stringMatching(/tokenizer\.json.*400/),
    });
    expect(existsSync(at('refs/main'))).toBe(false);
  });
});

describe('without a network', () => {
  test('what the cache has is taken where that is wanted', async () => {
    await contentOf('org/name@v1');
    bench.hub.seen.length = 0;
    expectFiles(await contentOf('org/name@v1', { offline: true }), CHOSEN);
    expectFiles(await contentOf(`org/name@${COMMIT}`, { offline: true }), CHOSEN);
    expect(bench.hub.seen).toEqual([]);
    for (const id of ['org/name', 'org/other', 'org/name@v1:Q4_0']) {
      await expect(contentOf(id, { offline: true })).rejects.toMatchObject({
        message: expect.stringMatching(/offline: /),
      });
    }
    rmSync(at(`snapshots/${COMMIT}/model-00002-of-00002.safetensors`));
    await expect(contentOf('org/name@v1', { offline: true })).rejects.toMatchObject({
      code: 'MISSING_FILE',
      message: expect.stringMatching(/offline.*lacks parts.*model-00002-of-00002/),
    });
  });

  test('what the cache has is taken with a warning; what it lacks is a failure by name', async () => {
    await contentOf('org/name');
    const gone = { ...bench.options, endpoint: 'http://127.0.0.1:1' };
    expectFiles(await contentOf('org/name', gone), CHOSEN);
    expect(bench.warnings).toEqual([expect.stringMatching(/^hub-unreachable: org\/name@main: 127\.0\.0\.1:1/)]);
    await expect(hubFiles('org/other', gone)).rejects.toMatchObject({ code: 'NETWORK' });
  });
});

describe('what a hub answers', () => {
  const answers: readonly [string, id: string, fault: object | undefined, code: string, message: RegExp][] = [
    ['no such repository', 'org/none', undefined, 'NOT_FOUND', /org\/none@main: the hub has no such repository/],
    ['no such revision', 'org/name@v9', undefined, 'NOT_FOUND', /org\/name@v9: the repository has no such revision/],
    ['no such file', 'org/name:y.gguf', undefined, 'MISSING_FILE', /no file y\.gguf, but .*x-Q4_0/],
    [
      'a private repository',
      'org/private',
      undefined,
      'UNAUTHORIZED',
      /there is no such repository, or it is private: set HF_TOKEN/,
    ],
    ['a gated repository', 'org/gated', undefined, 'UNAUTHORIZED', /its makers ask for consent at http/],
    ['forbidden', 'org/name', { status: 403 }, 'UNAUTHORIZED', /HTTP 403/],
    ['failure', 'org/name', { status: 502 }, 'NETWORK', /the hub fails \(HTTP 502/],
    ['a teapot', 'org/name', { status: 418 }, 'NETWORK', /refuses \(HTTP 418/],
    [
      'a web page',
      'org/name',
      { body: '<html>', headers: { 'content-type': 'text/html' } },
      'NETWORK',
      /a web page came/,
    ],
    ['no JSON', 'org/name', { body: 'oops' }, 'NETWORK', /not JSON/],
    ['no commit', 'org/name', { body: '{"sha":"../../x"}' }, 'NETWORK', /names no commit/],
    [
      'a circle',
      'org/name',
      { status: 302, headers: { location: '/api/models/org/name/revision/main' } },
      'NETWORK',
      /redirect/,
    ],
  ];

  test.each(answers)('%s is told by name', async (_, id, fault, code, message) => {
    bench.hub.repositories.set('org/private', { commit: COMMIT, token: 'secret', files: FILES });
    bench.hub.repositories.set('org/gated', { commit: COMMIT, token: 'secret', isGated: true, files: FILES });
    bench.hub.fault = () => fault;
    await expect(contentOf(id)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('names that would lead out of the cache are not taken', async () => {
    bench.hub.lie = (entry) => (entry.path === 'gguf/x-Q4_0.gguf' ? { ...entry, path: '../../x-Q4_0.gguf' } : entry);
    await expect(contentOf('org/name:Q4_0')).rejects.toMatchObject({ code: 'MISSING_FILE' });
    bench.hub.lie = (entry) => ({ ...entry, oid: '../x', ...(entry.lfs && { lfs: { ...entry.lfs, oid: '/etc/x' } }) });
    await expect(contentOf('org/name:Q4_0')).rejects.toMatchObject({ code: 'MISSING_FILE' });
  });
});

describe('a token', () => {
  test('opens what is private, and stays with the hub', async () => {
    bench.hub.repositories.set('org/name', { commit: COMMIT, token: 'hf_secret', files: FILES });
    expectFiles(await contentOf('org/name', { token: 'hf_secret' }), CHOSEN);
    const [ours, stores] = [bench.hub.seen.filter((r) => !r.isStore), bench.hub.seen.filter((r) => r.isStore)];
    expect(new Set(ours.map((r) => r.authorization))).toEqual(new Set(['Bearer hf_secret']));
    expect(stores.length).toBe(2);
    expect(new Set(stores.map((r) => r.authorization))).toEqual(new Set([undefined]));
    await expect(contentOf('org/name', { token: 'hf_wrong' })).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringMatching(/the token may not read it/),
    });
  });

  test("comes from the environment or from the file that the hub's own tools write", async () => {
    bench.hub.repositories.set('org/name', { commit: COMMIT, token: 'hf_secret', files: FILES });
    const { token: _, ...options } = bench.options;
    const environment: Record<string, string> = { HF_TOKEN: 'hf_secret' };
    vi.spyOn(platform, 'environment').mockImplementation((name) => environment[name]);
    await hubFiles('org/name', options);
    environment.HF_TOKEN = '';
    environment.HF_HOME = bench.folder;
    writeFileSync(join(bench.folder, 'token'), 'hf_secret\n');
    await hubFiles('org/name', options);
    environment.HF_TOKEN = 'two words';
    await expect(hubFiles('org/name', options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('the settings', () => {
  test("of the environment are those of the hub's own tools", async () => {
    const { cacheFolder: _, endpoint, offline: __, ...options } = bench.options;
    const environment: Record<string, string> = { HF_ENDPOINT: `${endpoint}/` };
    vi.spyOn(platform, 'environment').mockImplementation((name) => environment[name]);
    vi.spyOn(platform, 'homeFolder').mockImplementation(() => bench.folder);
    const places: readonly [string, string, string][] = [
      ['', '', '.cache/huggingface/hub'],
      ['XDG_CACHE_HOME', join(bench.folder, 'xdg'), 'xdg/huggingface/hub'],
      ['HF_HOME', '~/home', 'home/hub'],
      ['HF_HUB_CACHE', join(bench.folder, 'cache'), 'cache'],
    ];
    for (const [name, value, place] of places) {
      environment[name] = value;
      await hubFiles('org/name:Q4_0', options as never);
      expect(existsSync(join(bench.folder, place, 'models--org--name/refs/main'))).toBe(true);
    }
    environment.HF_HUB_OFFLINE = '1';
    bench.hub.seen.length = 0;
    await hubFiles('org/name:Q4_0', options as never);
    expect(bench.hub.seen).toEqual([]);
  });

  test.each(['ftp://x', 'hub', 'http://', 'http://user@host/', ''])('the endpoint %j is refused', async (endpoint) => {
    await expect(hubFiles('org/name', { ...bench.options, endpoint })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});

describe('without room', () => {
  /** The disk with another answer to some calls. */
  function withStore(change: (store: FileStore) => Partial<FileStore>): void {
    const open = platform.openStore;
    vi.spyOn(platform, 'openStore').mockImplementation(async (folder) => {
      const store = await open(folder);
      return store && { ...store, ...change(store) };
    });
  }

  test('on a disk, nothing is begun, and both numbers are told', async () => {
    withStore(() => ({ availableBytes: async () => 100_000 }));
    const total = CHOSEN.reduce((sum, name) => sum + FILES[name as keyof typeof FILES].length, 0);
    await expect(contentOf('org/name')).rejects.toMatchObject({
      code: 'QUOTA_EXCEEDED',
      details: { neededBytes: total, availableBytes: 100_000 },
    });
    expect(requests()).toBe(0);
  });

  test('in a page, what fits is kept, and the rest is read from the hub with one warning', async () => {
    withStore(() => ({ isBounded: true, availableBytes: async () => 60_000 }));
    expectFiles(await contentOf('org/name'), CHOSEN);
    expect(bench.warnings).toEqual([
      expect.stringMatching(
        /^no-room: org\/name needs 1\d{5} bytes, and .* room for 60000; 60000 bytes of them are read/,
      ),
    ]);
    expect(existsSync(at(`snapshots/${COMMIT}/model-00001-of-00002.safetensors`))).toBe(true);
    expect(existsSync(at(`snapshots/${COMMIT}/model-00002-of-00002.safetensors`))).toBe(false);
    expect(existsSync(at('refs/main'))).toBe(false);
  });

  test('in a page whose quota ends midway, the same', async () => {
    let room = 70_000;
    withStore((store) => ({
      isBounded: true,
      availableBytes: async () => undefined,
      async openWriter(path) {
        const writer = await store.openWriter(path);
        return {
          ...writer,
          async write(bytes, offset) {
            room -= bytes.length;
            if (room < 0) {
              const { BitloomError } = await import('../../ir/error.ts');
              throw new BitloomError('QUOTA_EXCEEDED', 'no room');
            }
            await writer.write(bytes, offset);
          },
        };
      },
    }));
    expectFiles(await contentOf('org/name'), CHOSEN);
    expect(bench.warnings).toEqual([
      expect.stringMatching(/^no-room: model-0000[12]\S+, and what else does not fit, is read from the hub: no room$/),
    ]);
  });

  test('in a page without storage, all is read from the hub, and that is said', async () => {
    vi.spyOn(platform, 'openStore').mockImplementation(async () => undefined);
    expectFiles(await contentOf('org/name'), CHOSEN);
    expect(bench.warnings).toEqual([expect.stringMatching(/^no-cache: /)]);
  });
});
