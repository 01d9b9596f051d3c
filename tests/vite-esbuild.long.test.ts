/** Bundlers without any configuration: a page that only imports `load` gives the golden tokens, from a worker where it can. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';
import type { Browser } from 'playwright-core';
import { build as vite } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, launch } from './browser/page.ts';
import { createProject, type Project, runBuilt, scriptSizes } from './bundlers/project.ts';

const { goldens } = JSON.parse(readFileSync(new URL('../assets/tiny/goldens.json', import.meta.url), 'utf8')) as {
  goldens: { prompt: string; greedy_ids: number[] }[];
};
const golden = goldens[1]!;
const call = `generate(${JSON.stringify(golden.prompt)}, 8)`;
const tokens = golden.greedy_ids.slice(0, 8);
/** What a page may cost that loads and runs a language model, compressed. */
const BUDGET_BYTES = 200_000;
const chromium = findChromium();

describe.skipIf(!chromium)('bundlers (skipped where no Chromium is installed)', () => {
  let browser: Browser;
  let project: Project;
  beforeAll(async () => {
    browser = await launch(chromium!);
    project = createProject();
  });
  afterAll(async () => {
    await browser?.close();
    project?.remove();
  });

  test('Vite takes the worker file along: a policy of files only is enough, for threads too', async () => {
    await vite({ root: project.folder, configFile: false, logLevel: 'error', build: { outDir: 'vite' } });
    const out = join(project.folder, 'vite');
    const options = { isolated: true, policy: 'strict' } as const;
    expect(await runBuilt(browser, out, '/index.html', call, options)).toEqual({ tokens, threads: 2, warnings: [] });
    // What a page loads at once is small: the engine comes with the worker.
    const sizes = scriptSizes(out);
    const first = sizes.find(({ name }) => name.includes('index-'))!;
    expect(first.gzipBytes).toBeLessThan(10_000);
    expect(sizes[0]!.gzipBytes).toBeLessThan(BUDGET_BYTES);
  });

  test('esbuild leaves the file behind: the worker starts from a text in the one bundle, within the budget', async () => {
    const out = join(project.folder, 'esbuild');
    const entryPoints = [join(project.folder, 'app.js')];
    await esbuild({ entryPoints, bundle: true, minify: true, format: 'esm', outdir: out, logLevel: 'error' });
    const page = '/page?script=/app.js';
    const options = { isolated: true, policy: 'blob' } as const;
    expect(await runBuilt(browser, out, page, call, options)).toEqual({ tokens, threads: 2, warnings: [] });
    expect(scriptSizes(out)).toEqual([{ name: 'app.js', gzipBytes: expect.any(Number) }]);
    expect(scriptSizes(out)[0]!.gzipBytes).toBeLessThan(BUDGET_BYTES);
    // Where even that is forbidden, the page does the work, and says so.
    const alone = await runBuilt(browser, out, page, call, { policy: 'strict' });
    expect(alone).toMatchObject({ tokens, threads: 1 });
    expect(alone.warnings).toEqual([expect.stringMatching(/^no-worker: /), expect.stringMatching(/^one-thread: /)]);
  });
});
