/** The hub in a real browser: models kept in the page's storage, by workers and by pages, through closed tabs and quotas. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FakeHub, sha256, someBytes, startHub } from '../src/format/hub/testing/hub-server.ts';
import { findChromium, launch, OWN_FOLDERS, type Site, serve } from './browser/page.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const chromium = findChromium();
const required = process.env.BITLOOM_REQUIRE_BROWSER === '1';
/** What the quick suite leaves to the whole one. */
const testLong = test.skipIf(process.env.BITLOOM_TEST_ALL !== '1');
const COMMIT = 'c0ffee00'.repeat(5);
/** More than a page writes before it makes a draft count. */
const weights = someBytes(6 * 2 ** 20, 1);
const config = new TextEncoder().encode('{}');
const hashes = { 'config.json': sha256(config), 'model.safetensors': sha256(weights) };

interface Fetched {
  readonly hashes: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
  readonly first?: number;
  readonly total?: number;
  readonly last?: number;
}

describe.skipIf(!chromium && !required)('the hub in a browser (skipped where no Chromium is installed)', () => {
  let folder: string;
  let site: Site;
  let browser: Browser;
  let hub: FakeHub;
  let context: BrowserContext;

  beforeAll(async () => {
    if (!chromium) throw new Error('BITLOOM_REQUIRE_BROWSER=1, but no Chromium is on the PATH.');
    folder = mkdtempSync(join(tmpdir(), 'bitloom-page-'));
    await build({
      entryPoints: [join(root, 'tests/browser/hub-script.ts')],
      absWorkingDir: root,
      bundle: true,
      outfile: join(folder, 'hub-script.js'),
      format: 'esm',
      target: 'es2022',
      conditions: ['bitloom-source', 'browser'],
      logLevel: 'error',
    });
    site = await serve({ ...OWN_FOLDERS, '/': folder });
    browser = await launch(chromium);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    hub = await startHub();
    hub.repositories.set('org/name', {
      commit: COMMIT,
      files: { 'config.json': config, 'model.safetensors': weights },
    });
    context = await browser.newContext();
  });
  afterEach(async () => {
    await context.close();
    await hub.close();
  });

  async function openTab(script = '/hub-script.js'): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${site.address}/page?script=${script}`);
    await page.waitForFunction('window.ready === true');
    return page;
  }
  const options = (more = {}) => ({ endpoint: hub.endpoint, retryMs: 10, ...more });
  const call = (page: Page, inWorker: boolean, method: string, ...args: unknown[]): Promise<unknown> =>
    page.evaluate(`call(${inWorker}, ${[method, ...args].map((arg) => JSON.stringify(arg)).join(', ')})`);
  const fetchModel = async (page: Page, inWorker: boolean, more = {}): Promise<Fetched> =>
    (await call(page, inWorker, 'fetchModel', 'org/name', options(more))) as Fetched;
  /** Offsets that the weights were asked for from, by downloads. */
  const offsets = (): number[] =>
    hub.seen
      .filter(({ isStore, range }) => isStore && !/\d-\d/.test(range ?? ''))
      .map(({ range }) => Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0));
  const limitQuota = async (page: Page, quotaSize: number): Promise<void> => {
    const session = await context.newCDPSession(page);
    await session.send('Storage.overrideQuotaForOrigin', { origin: site.address, quotaSize });
  };
  const places: readonly [string, boolean][] = [
    ['a worker', true],
    ['a page', false],
  ];

  test.each(places)('%s keeps a model, lists, verifies and deletes it', async (_, inWorker) => {
    const page = await openTab();
    const fetched = await fetchModel(page, inWorker);
    const total = weights.length + config.length;
    expect(fetched).toEqual({ hashes, warnings: [], first: 0, total, last: total });
    hub.seen.length = 0;
    expect(await fetchModel(await openTab(), inWorker, { offline: true })).toEqual({ hashes, warnings: [] });
    expect(hub.seen).toEqual([]);
    expect(await call(page, inWorker, 'list')).toMatchObject([
      {
        repository: 'org/name',
        sizeBytes: total,
        partialBytes: 0,
        revisions: [{ commit: COMMIT, names: ['main'], files: ['config.json', 'model.safetensors'], sizeBytes: total }],
      },
    ]);
    expect(await call(page, inWorker, 'size')).toBe(total);
    expect(await call(page, inWorker, 'verify')).toEqual([]);
    expect(typeof (await call(page, inWorker, 'persist'))).toBe('boolean');
    expect(await call(page, inWorker, 'delete', 'org/name')).toBe(total);
    expect(await call(page, inWorker, 'list')).toEqual([]);
    expect(await fetchModel(page, inWorker, { offline: true })).toMatchObject({ error: 'NOT_FOUND' });
  });

  const inTurn = process.env.BITLOOM_TEST_ALL === '1' ? places : [places[0]!];
  test.each(inTurn)('%s whose tab is closed leaves what came, and the next one goes on', async (_, inWorker) => {
    hub.fault = ({ isStore }) => (isStore ? { stallAfter: 5 * 2 ** 20 } : undefined);
    const page = await openTab();
    void fetchModel(page, inWorker).catch(() => {});
    await page.waitForFunction(`state.loadedBytes >= ${5 * 2 ** 20 - 2 ** 17}`);
    await page.close();
    hub.fault = () => undefined;
    const fetched = await fetchModel(await openTab(), inWorker);
    expect(fetched).toMatchObject({ hashes, warnings: [] });
    expect(offsets()[0]).toBe(0);
    expect(offsets()[1]).toBeGreaterThanOrEqual(4 * 2 ** 20);
    expect(fetched.first).toBeGreaterThanOrEqual(4 * 2 ** 20);
    expect(offsets()).toHaveLength(2);
  });

  testLong('two tabs that want one model fetch it once', async () => {
    hub.fault = ({ isStore }) => (isStore ? { delayMs: 300 } : undefined);
    const tabs = [await openTab(), await openTab()];
    for (const fetched of await Promise.all(tabs.map((page) => fetchModel(page, true)))) {
      expect(fetched).toMatchObject({ hashes });
    }
    expect(offsets()).toEqual([0]);
  });

  testLong.each(places)('%s without room reads from the hub, and says so', async (_, inWorker) => {
    const page = await openTab();
    await limitQuota(page, 2 ** 20);
    const fetched = await fetchModel(page, inWorker);
    expect(fetched).toMatchObject({ hashes, warnings: [expect.stringMatching(/^no-room: /)] });
    expect(await call(page, inWorker, 'size')).toBe(config.length);
  });

  test.each(inTurn)('%s whose quota ends midway goes on from the hub, and says so', async (_, inWorker) => {
    const page = await openTab();
    hub.fault = ({ isStore, range }) => {
      if (!isStore || range !== undefined) return undefined;
      void limitQuota(page, 3 * 2 ** 20);
      return { delayMs: 500 };
    };
    const fetched = await fetchModel(page, inWorker);
    expect(fetched).toMatchObject({
      hashes,
      warnings: [expect.stringMatching(/^no-room: model\.safetensors, .* is read from the hub: /)],
    });
    expect(await call(page, inWorker, 'size')).toBe(config.length);
  });

  test('the built bundle loads an id, and the model tells its story; without a network too', async () => {
    const names = [
      'config.json',
      'generation_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'model.safetensors',
    ];
    const files = names.map((name) => [name, new Uint8Array(readFileSync(join(root, 'assets/tiny', name)))]);
    hub.repositories.set('org/tiny', { commit: COMMIT, token: 'hf_secret', files: Object.fromEntries(files) });
    const { prompt, greedy_ids: expected } = JSON.parse(readFileSync(join(root, 'assets/tiny/goldens.json'), 'utf8'))
      .goldens[0];
    const page = await openTab('/tests/browser/page-script.js');
    for (const options of [{ endpoint: hub.endpoint, token: 'hf_secret' }, { offline: true }]) {
      hub.seen.length = 0;
      const result = await page.evaluate(
        `goldens([${JSON.stringify(prompt)}], 8, ${JSON.stringify({ threads: 1, hub: options })}, 'org/tiny')`,
      );
      expect(result).toMatchObject({ replies: [expected.slice(0, 8)], warnings: [] });
      expect(hub.seen.filter(({ isStore, authorization }) => isStore && authorization !== undefined)).toEqual([]);
      expect(hub.seen.length > 0).toBe('token' in options);
    }
  });
});
