/** A user's project in a temporary folder: a page, and the built package under node_modules as npm would lay it. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { OWN_FOLDERS, openPage, type SiteOptions, serve } from '../browser/page.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Project {
  readonly folder: string;
  remove(): void;
}

export function createProject(): Project {
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-bundle-'));
  const own = join(folder, 'node_modules', 'bitloom');
  for (const name of ['dist', 'package.json']) cpSync(join(root, name), join(own, name), { recursive: true });
  for (const name of Object.keys(dependencies())) {
    cpSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), { recursive: true });
  }
  for (const name of ['app.js', 'index.html']) cpSync(join(root, 'tests', 'bundlers', name), join(folder, name));
  return { folder, remove: () => rmSync(folder, { recursive: true }) };
}

const dependencies = (): Readonly<Record<string, string>> =>
  JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).dependencies;

export interface Outcome {
  readonly tokens: readonly number[];
  readonly threads: number;
  readonly warnings: readonly string[];
}

/** Runs a built page: `folder` is served as a site's root, `path` opened there. */
export async function runBuilt(
  browser: Browser,
  folder: string,
  path: string,
  call: string,
  options: SiteOptions,
): Promise<Outcome> {
  const site = await serve({ '/assets/tiny/': join(OWN_FOLDERS['/assets/']!, 'tiny'), '/': folder }, options);
  try {
    const page = await openPage(browser, site.address + path);
    const outcome = (await page.evaluate(call)) as Outcome;
    await page.close();
    return outcome;
  } finally {
    site.close();
  }
}

/** Compressed bytes of all scripts in a folder, largest first. */
export function scriptSizes(folder: string): { readonly name: string; readonly gzipBytes: number }[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  const sizes = names.map((name) => ({
    name,
    gzipBytes: gzipSync(readFileSync(join(folder, name)), { level: 9 }).length,
  }));
  return sizes.sort((a, b) => b.gzipBytes - a.gzipBytes);
}
