/** The built one-file bundle in a real Chromium: the same tokens in a worker and in the page, with and without isolation. */
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { load, type MemoryEstimate } from '../src/engine/index.ts';
import { writeTinyGguf } from './browser/gguf-file.ts';
import { findChromium, launch, OWN_FOLDERS, openPage, type SiteOptions, serve } from './browser/page.ts';

const { goldens } = JSON.parse(readFileSync(new URL('../assets/tiny/goldens.json', import.meta.url), 'utf8')) as {
  goldens: { prompt: string; greedy_ids: number[] }[];
};
const chromium = findChromium();
const required = process.env.BITLOOM_REQUIRE_BROWSER === '1';
const SCRIPT = '/page?script=/tests/browser/page-script.js';
/** The quick suite leaves out some tests, and takes fewer prompts and tokens of the golden replies. */
const all = process.env.BITLOOM_TEST_ALL === '1';
const [PROMPTS, TOKENS] = all ? [8, 64] : [2, 24];
const ONE_THREAD = /^one-thread: threads are not available: /;

describe.skipIf(!chromium && !required)('browser (skipped where no Chromium is installed)', () => {
  let browser: Browser;
  let page: Page;

  /** A page of a site of its own, closed after use. */
  const opened = async <T>(options: SiteOptions, use: (page: Page) => Promise<T>): Promise<T> => {
    const site = await serve(OWN_FOLDERS, options);
    const other = await openPage(browser, site.address + SCRIPT);
    try {
      return await use(other);
    } finally {
      await other.close();
      site.close();
    }
  };
  let done = (): void => {};

  beforeAll(async () => {
    if (!chromium) throw new Error('BITLOOM_REQUIRE_BROWSER=1, but no Chromium is on the PATH.');
    browser = await launch(chromium);
    const site = await serve(OWN_FOLDERS, { isolated: true, policy: 'strict' });
    done = site.close;
    page = await openPage(browser, site.address + SCRIPT);
  });
  afterAll(async () => {
    await browser?.close();
    done();
  });

  /** Runs an expression of page-script.js. */
  const run = <T>(expression: string): Promise<T> => page.evaluate(expression) as Promise<T>;
  const replies = (count: number, tokens: number): number[][] =>
    goldens.slice(0, count).map((golden) => golden.greedy_ids.slice(0, tokens));
  const call = (count: number, tokens: number, options: object): string =>
    `goldens(${JSON.stringify(goldens.slice(0, count).map(({ prompt }) => prompt))}, ${tokens}, ${JSON.stringify(options)})`;

  test('isolated, under a policy of files only: the golden tokens, from a worker with two threads', async () => {
    expect(await run('crossOriginIsolated')).toBe(true);
    const result = await run<{ features: string[] }>(call(PROMPTS, TOKENS, { threads: 2 }));
    expect(result).toMatchObject({
      replies: replies(PROMPTS, TOKENS),
      device: 'wasm',
      threads: 2,
      threadsNote: null,
      warnings: [],
    });
    expect(result.features).toEqual(expect.arrayContaining(['relaxed-simd', 'threads']));
  });

  test('not isolated: the golden tokens from one thread, which says why', async () => {
    const result = await opened({ policy: 'strict' }, (other) => other.evaluate(call(PROMPTS, TOKENS, { threads: 2 })));
    expect(result).toMatchObject({
      replies: replies(PROMPTS, TOKENS),
      threads: 1,
      warnings: [expect.stringMatching(ONE_THREAD)],
    });
    expect((result as { threadsNote: string }).threadsNote).toContain('Cross-Origin-Opener-Policy');
  });

  test('in the page itself, with threads that start from their text', async () => {
    const options = { worker: false, threads: 2 };
    const result = await opened({ isolated: true, policy: 'blob' }, (other) => other.evaluate(call(1, 16, options)));
    expect(result).toMatchObject({ replies: replies(1, 16), threads: 2, warnings: [] });
  });

  test('in the page itself, under a policy that forbids such threads: one does the work', async () => {
    const result = await run<{ threadsNote: string }>(call(1, 16, { worker: false, threads: 2 }));
    expect(result).toMatchObject({
      replies: replies(1, 16),
      threads: 1,
      warnings: [expect.stringMatching(ONE_THREAD)],
    });
    expect(result.threadsNote).toContain('worker-src');
  });

  test.skipIf(!all)('a file from another origin is started through a worker of this one', async () => {
    const elsewhere = await serve(OWN_FOLDERS);
    const result = await opened({}, (other) => other.evaluate(`fromElsewhere("${elsewhere.address}")`));
    elsewhere.close();
    expect(result).toEqual(replies(1, 4)[0]);
  });

  test.skipIf(!all).each(['Q4_K'])(
    'a %s GGUF file gives the tokens that Node gives, by address, as a Blob and as bytes',
    async (format) => {
      const file = await writeTinyGguf(format);
      const { prompt } = goldens[0]!;
      const maxTokens = TOKENS / 2;
      const here = await load(file.path, { device: 'wasm', kvCacheType: 'f32', threads: 2, onWarning: () => {} });
      const options = { temperature: 0, maxTokens, ignoreEos: true };
      const { tokens } = await here.generate(prompt, options).result;
      const { formats } = here.info;
      await here.dispose();
      expect(formats[0]).toContain(format);
      const site = await serve({ ...OWN_FOLDERS, '/file/': file.folder }, { isolated: true, policy: 'strict' });
      const other = await openPage(browser, site.address + SCRIPT);
      const there = await other.evaluate(`gguf("./file/model.gguf", ${JSON.stringify(prompt)}, ${maxTokens})`);
      expect(there).toEqual([tokens, tokens, tokens].map((each) => ({ tokens: each, formats, threads: 2 })));
      await other.close();
      site.close();
      file.remove();
    },
  );

  test.skipIf(!all)(
    'picked files, which cannot leave the page whole, are read piece by piece from the worker',
    async () => {
      const result = await run<{ tokens: number[] }>('picked()');
      expect(result).toEqual({ tokens: replies(1, 8)[0], source: 'model.safetensors', text: expect.any(String) });
    },
  );

  test('errors keep code, values and cause across the worker', async () => {
    const missing = await run('load("./assets/none").catch(told)');
    expect(missing).toMatchObject({ code: 'MISSING_FILE', details: { source: './assets/none' } });
    const bad = await run('load(new Blob(["no model at all"])).catch(told)');
    expect(bad).toMatchObject({ code: 'BAD_FILE', details: { sizeBytes: 15 } });
    const unsent = await run('load("./assets/tiny", { onlyOnce() {} }).catch(told)');
    expect(unsent).toMatchObject({ code: 'INVALID_ARGUMENT', details: { option: 'onlyOnce' } });
    const nameless = await run('load("./assets/tiny", { worker: "./nothing.js" }).catch(told)');
    expect(nameless).toMatchObject({ code: 'NO_DEVICE' });
  });

  test('a machine without SIMD is refused by name; memory is told without loading', async () => {
    expect(await run('withoutSimd()')).toMatchObject({
      code: 'NO_DEVICE',
      message: expect.stringContaining('no SIMD'),
    });
    const told = await run<MemoryEstimate>('bitloom.estimate("./assets/tiny", { contextLength: 256 })');
    expect(told).toMatchObject({ contextLength: 256, limitBytes: 2 ** 32, availableBytes: null, fits: true });
    expect(told.totalBytes).toBe(told.weightBytes + told.cacheBytes + told.scratchBytes);
  });

  test('a signal ends loading and replies, with its own reason; the model answers again', async () => {
    const result = await run('aborts()');
    expect(result).toEqual({
      load: { code: 'ABORTED', cause: 'no time' },
      reply: { code: 'ABORTED', cause: 'enough' },
      sawTokens: true,
      again: replies(1, 4)[0],
      disposed: 'DISPOSED',
    });
  });

  test.skipIf(!all)('a tab that is closed in the middle of a reply leaves the others as they were', async () => {
    await opened({ isolated: true, policy: 'strict' }, (other) => other.evaluate('endless()'));
    expect(await run(call(1, 4, {}))).toMatchObject({ replies: replies(1, 4) });
  });
});
