/** Chromium, and a server of this package for it: built files, assets, and pages with the headers that a test asks for. */
import { accessSync, createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
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

export interface PageOptions {
  /** Sends COOP and COEP, without which there is no shared memory. */
  readonly isolated?: boolean;
  readonly policy?: keyof typeof POLICIES;
  /** Path of the page's module script. */
  readonly script: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
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
  /** Opens a page that has run its script; its errors are told where it does not. */
  open(options: PageOptions): Promise<Page>;
  close(): Promise<void>;
}

/**
 * Serves `folders` (paths under which files lie, each at its prefix) and opens pages of its own in one browser.
 * A page's headers go with its policy, so each page lives under a path of its own.
 */
export async function openSite(executablePath: string, folders: Readonly<Record<string, string>>): Promise<Site> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    // /isolated,strict/dist/web/bitloom.js: how it is sent, then what.
    const [, how = '', path = ''] = /^\/([a-z,]*)(\/.*)$/.exec(normalize(pathname)) ?? [];
    const [isolation, policy] = how.split(',');
    if (isolation === 'isolated') {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    // As content networks send them: any origin may import.
    response.setHeader('Access-Control-Allow-Origin', '*');
    if (policy) response.setHeader('Content-Security-Policy', POLICIES[policy as keyof typeof POLICIES]);
    const script = new URL(request.url ?? '/', 'http://localhost').searchParams.get('script');
    if (path === '/page') {
      response.setHeader('Content-Type', 'text/html');
      response.end(`<!doctype html><title>bitloom</title><script type="module" src="${script}"></script>`);
      return;
    }
    const prefix = Object.keys(folders).find((name) => path.startsWith(name));
    const file = prefix === undefined ? '' : join(folders[prefix]!, path.slice(prefix.length));
    if (existsSync(file) && statSync(file).isFile()) sendFile(response, file, request.headers.range);
    else response.writeHead(404).end();
  };
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://localhost:${(server.address() as AddressInfo).port}`;
  let browser: Browser | undefined;
  const close = async (): Promise<void> => {
    await browser?.close();
    server.close();
  };
  try {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  } catch (error) {
    await close();
    throw error;
  }
  const started = browser;
  return {
    address,
    async open({ isolated = false, policy, script }) {
      const page = await started.newPage();
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      const base = `${address}/${isolated ? 'isolated' : 'plain'},${policy ?? ''}`;
      await page.goto(`${base}/page?script=${encodeURIComponent(`${new URL(base).pathname}${script}`)}`);
      // Not by `waitForFunction`, which evaluates a text in the page: the policy forbids that.
      for (let tries = 0; !(await page.evaluate('window.ready === true')); tries++) {
        if (tries === 600)
          throw new Error(`${script} did not get ready: ${errors.join('; ') || 'no error on the page'}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return page;
    },
    close,
  };
}

/** The package as it lies here: dist/, assets/, and this folder's scripts. */
export const OWN_FOLDERS: Readonly<Record<string, string>> = {
  '/dist/': join(root, 'dist'),
  '/assets/': join(root, 'assets'),
  '/tests/': join(root, 'tests'),
};
