/** webpack and Rollup, which are installed apart: npm ci --prefix tests/bundlers. Without any configuration that is not theirs. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, launch } from './browser/page.ts';
import { createProject, type Project, runBuilt, scriptSizes } from './bundlers/project.ts';

const { goldens } = JSON.parse(readFileSync(new URL('../assets/tiny/goldens.json', import.meta.url), 'utf8')) as {
  goldens: { prompt: string; greedy_ids: number[] }[];
};
const golden = goldens[2]!;
const call = `generate(${JSON.stringify(golden.prompt)}, 8)`;
const tokens = golden.greedy_ids.slice(0, 8);
const fixture = fileURLToPath(new URL('./bundlers/', import.meta.url));
const chromium = findChromium();
const isInstalled = existsSync(join(fixture, 'node_modules', 'webpack'));

/** What the tests use of packages that are no dependencies of this one. */
type Webpack = (
  options: object,
  done: (error: Error | null, stats?: { hasErrors(): boolean; toString(): string }) => void,
) => { close(done: () => void): void };
interface Rollup {
  rollup(options: object): Promise<{ write(options: object): Promise<unknown>; close(): Promise<void> }>;
}
const fromFixture = <T>(name: string): T => createRequire(join(fixture, 'package.json'))(name) as T;

describe.skipIf(!chromium || !isInstalled)('bundlers (skipped where they or Chromium are not installed)', () => {
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

  test('webpack takes the worker file along: a policy of files only is enough, for threads too', async () => {
    const out = join(project.folder, 'webpack');
    const webpack = fromFixture<Webpack>('webpack');
    const options = { mode: 'production', context: project.folder, entry: './app.js', output: { path: out } };
    await new Promise<void>((resolve, reject) => {
      const compiler = webpack(options, (error, stats) => {
        const failure = error ?? (stats?.hasErrors() ? new Error(stats.toString()) : null);
        compiler.close(() => (failure === null ? resolve() : reject(failure)));
      });
    });
    const page = '/page?script=/main.js';
    const headers = { isolated: true, policy: 'strict' } as const;
    expect(await runBuilt(browser, out, page, call, headers)).toEqual({ tokens, threads: 2, warnings: [] });
    const [largest] = scriptSizes(out);
    expect(largest!.gzipBytes).toBeLessThan(200_000);
    expect(scriptSizes(out).find(({ name }) => name === 'main.js')!.gzipBytes).toBeLessThan(10_000);
  });

  test('Rollup leaves the file behind: the worker starts from a text', async () => {
    const out = join(project.folder, 'rollup');
    const { rollup } = fromFixture<Rollup>('@rollup/wasm-node');
    const { nodeResolve } = fromFixture<{ nodeResolve(options: object): object }>('@rollup/plugin-node-resolve');
    const input = join(project.folder, 'app.js');
    const bundle = await rollup({ input, plugins: [nodeResolve({ browser: true })] });
    await bundle.write({ dir: out, format: 'es' });
    await bundle.close();
    const headers = { isolated: true, policy: 'blob' } as const;
    const outcome = await runBuilt(browser, out, '/page?script=/app.js', call, headers);
    expect(outcome).toEqual({ tokens, threads: 2, warnings: [] });
  });
});
