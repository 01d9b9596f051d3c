/** Chromium, and a server of this package for it: built files, assets, and pages with the headers that a test asks for. */
import { accessSync, createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Path of an installed Chromium, or undefined. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const paths = folders.flatMap((folder) => names.map((name) => join(folder, name)));
  return [process.env.BITLOOM_CHROMIUM, ...paths].find((path) => {
    if (!path || !existsSync(path)) return false;
    try {
      accessSync(path, 1);
      return true;
    } catch {
      return false;
    }
  });
}

/** What scripts may be on a page. All answers carry it, those that workers come from too. */
export const POLICIES = {
  /** Scripts from files, and WebAssembly: the strictest that can run any. */
  strict: "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
  /** Workers from texts besides, as a page needs whose bundler leaves worker files behind. */
  blob: "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:",
} as const;

export interface SiteOptions {
  /** Sends COOP and COEP, without which there is no shared memory. */
  readonly isolated?: boolean;
  readonly policy?: keyof typeof POLICIES;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

function sendFile(response: ServerResponse, path: string, range: string | undefined): void {
  const size = statSync(path).size;
  const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? '');
  const from = match ? Number(match[1]) : 0;
  const to = match?.[2] ? Math.min(Number(match[2]), size - 1) : size - 1;
  if (match) response.setHeader('Content-Range', `bytes ${from}-${to}/${size}`);
  response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
  response.writeHead(match ? 206 : 200);
  createReadStream(path, { start: from, end: to }).pipe(response);
}

export interface Site {
  readonly address: string;
  close(): void;
}

/** The file under `folders` (each at its prefix, the longest first) that a path names. */
function fileAt(folders: Readonly<Record<string, string>>, path: string): string | undefined {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const files = prefixes
    .filter((name) => path.startsWith(name))
    .map((name) => join(folders[name]!, path.slice(name.length)));
  return files.find((file) => existsSync(file) && statSync(file).isFile());
}

/** Serves folders, all with the same headers, and at /page?script= a page that runs one module. */
export async function serve(
  folders: Readonly<Record<string, string>>,
  { isolated = false, policy }: SiteOptions = {},
): Promise<Site> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    // As content networks send them: any origin may import.
    response.setHeader('Access-Control-Allow-Origin', '*');
    if (policy) response.setHeader('Content-Security-Policy', POLICIES[policy]);
    const file = fileAt(folders, normalize(decodeURIComponent(pathname)));
    if (pathname === '/page') {
      response.setHeader('Content-Type', 'text/html');
      const script = searchParams.get('script');
      response.end(`<!doctype html><title>bitloom</title><script type="module" src="${script}"></script>`);
    } else if (file !== undefined) sendFile(response, file, request.headers.range);
    else response.writeHead(404).end();
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://localhost:${(server.address() as AddressInfo).port}`;
  return { address, close: () => void server.close() };
}

export const launch = (executablePath: string): Promise<Browser> =>
  chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

/** Opens a page and waits until its script has set `ready`. */
export async function openPage(browser: Browser, address: string): Promise<Page> {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(address);
  // Not by `waitForFunction`, which evaluates a text in the page: the policy forbids that.
  for (let tries = 0; !(await page.evaluate('window.ready === true')); tries++) {
    if (tries === 600) throw new Error(`${address} did not get ready: ${errors.join('; ') || 'no error on the page'}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return page;
}

/** The package as it lies here: dist/, assets/, and this folder's scripts. */
export const OWN_FOLDERS: Readonly<Record<string, string>> = {
  '/dist/': join(root, 'dist'),
  '/assets/': join(root, 'assets'),
  '/tests/': join(root, 'tests'),
};
