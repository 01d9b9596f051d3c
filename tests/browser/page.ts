/** Serves one bundle and the assets to Chromium, isolated so that shared memory is there. */
import { accessSync, createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
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

/** Bundles `entry` (under tests/browser/) for a browser, from the sources. */
export async function bundle(entry: string): Promise<string> {
  const result = await build({
    entryPoints: [join(root, 'tests', 'browser', entry)],
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    conditions: ['bitloom-source', 'browser'],
    logLevel: 'error',
  });
  return result.outputFiles[0]!.text;
}

function sendFile(response: ServerResponse, path: string, range: string | undefined): void {
  const size = statSync(path).size;
  const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? '');
  const from = match ? Number(match[1]) : 0;
  const to = match?.[2] ? Math.min(Number(match[2]), size - 1) : size - 1;
  if (match) response.setHeader('Content-Range', `bytes ${from}-${to}/${size}`);
  response.writeHead(match ? 206 : 200);
  createReadStream(path, { start: from, end: to }).pipe(response);
}

export interface Session {
  readonly page: Page;
  close(): Promise<void>;
}

/** Opens a page that runs `script` as a module. `isolated` false leaves out COOP/COEP: no shared memory. */
export async function openPage(executablePath: string, script: string, isolated = true): Promise<Session> {
  const server: Server = createServer((request, response) => {
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
    if (path === '/') {
      response.setHeader('Content-Type', 'text/html');
      // Generated WebAssembly is all that the policy has to allow: no eval, no remote code.
      response.setHeader(
        'Content-Security-Policy',
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:",
      );
      response.end('<!doctype html><title>bitloom</title><script type="module" src="/test.js"></script>');
    } else if (path === '/test.js') {
      response.setHeader('Content-Type', 'text/javascript');
      response.end(script);
    } else if (path.startsWith('/assets/') && existsSync(join(root, path))) {
      sendFile(response, join(root, path), request.headers.range);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  let browser: Browser | undefined;
  const close = async (): Promise<void> => {
    await browser?.close();
    server.close();
  };
  try {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
    const page = await browser.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction('window.ready === true');
    return { page, close };
  } catch (error) {
    await close();
    throw error;
  }
}
