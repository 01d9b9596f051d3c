/**
 * A hub on this machine that speaks the public hub's HTTP layout, with a second origin for large files as the real one
 * has, and that fails on demand: it cuts lines, stalls, lies, redirects in circles, asks for tokens and for patience.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepository {
  readonly commit: string;
  /** Branches and other names of the commit, besides `main`. */
  readonly revisions?: readonly string[];
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** The token it asks for. */
  readonly token?: string;
  readonly isGated?: boolean;
}

/** What one answer does wrong. */
export interface Fault {
  /** Sends this many bytes of the body and breaks the line. */
  readonly cutAfter?: number;
  /** Sends this many bytes of the body and then nothing. */
  readonly stallAfter?: number;
  /** Waits so long before each piece of the body: slow, but not dead. */
  readonly paceMs?: number;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends the whole file, whatever range was asked for. */
  readonly ignoresRanges?: boolean;
  /** Sends this in place of what it has. */
  readonly body?: Uint8Array | string;
  /** Waits before it answers. */
  readonly delayMs?: number;
  /** Breaks the line before anything is sent. */
  readonly hangsUp?: boolean;
}

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Whether the origin for large files was asked. */
  readonly isStore: boolean;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface FakeHub {
  readonly endpoint: string;
  readonly seen: SeenRequest[];
  readonly repositories: Map<string, FakeRepository>;
  /** What goes wrong with a request; undefined for nothing. Set by tests. */
  fault: (request: SeenRequest) => Fault | undefined;
  /** Changes the listing that is told: a hub that lies about sizes and hashes. */
  lie: (entry: ListedFile) => ListedFile;
  close(): Promise<void>;
}

export interface ListedFile {
  readonly type: 'file';
  readonly path: string;
  readonly size: number;
  readonly oid: string;
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number };
}

/** Files from this size on lie in the store, named by their sha256. */
const LARGE_BYTES = 1000;
const PAGE_FILES = 5;
/** Small enough that a cut falls between two writes, large enough to be quick. */
const PIECE_BYTES = 16_384;

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const gitHash = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
/** The name of a file's blob in the cache. */
export const blobHash = (bytes: Uint8Array): string => (bytes.length >= LARGE_BYTES ? sha256(bytes) : gitHash(bytes));

/** Bytes that repeat nowhere nearby, the same for the same seed. */
export function someBytes(length: number, seed = 1): Uint8Array {
  let state = seed * 2654435761;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 24;
  });
}

const listed = (path: string, bytes: Uint8Array): ListedFile => ({
  type: 'file',
  path,
  size: bytes.length,
  oid: gitHash(bytes),
  ...(bytes.length >= LARGE_BYTES ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : {}),
});

async function sendBody(response: ServerResponse, body: Uint8Array, fault: Fault): Promise<void> {
  const { cutAfter, stallAfter, paceMs } = fault;
  const limit = Math.min(cutAfter ?? stallAfter ?? body.length, body.length);
  for (let at = 0; at < limit; at += PIECE_BYTES) {
    const piece = body.subarray(at, Math.min(at + PIECE_BYTES, limit));
    if (paceMs !== undefined) await new Promise((resolve) => setTimeout(resolve, paceMs));
    await new Promise<void>((resolve) => response.write(piece, () => resolve()));
  }
  if (cutAfter !== undefined) {
    response.destroy();
  } else if (stallAfter === undefined) response.end();
}

/** Sends bytes, or the part of them that a range names. */
function sendFile(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array, fault: Fault): void {
  const asked = fault.ignoresRanges ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const from = asked ? Number(asked[1]) : 0;
  const end = asked?.[2] ? Math.min(Number(asked[2]) + 1, bytes.length) : bytes.length;
  if (asked && from >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    return;
  }
  if (asked) response.setHeader('content-range', `bytes ${from}-${end - 1}/${bytes.length}`);
  response.writeHead(asked ? 206 : 200, { 'content-length': end - from, 'accept-ranges': 'bytes', ...fault.headers });
  if (request.method === 'HEAD') response.end();
  else void sendBody(response, bytes.subarray(from, end), fault);
}

function sendJson(response: ServerResponse, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(JSON.stringify(value));
}

function sendError(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'x-error-code': code, 'content-type': 'application/json' }).end(`{"error":"${code}"}`);
}

async function listen(server: Server, host: string): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

/** Starts a hub without repositories. */
export async function startHub(): Promise<FakeHub> {
  const repositories = new Map<string, FakeRepository>();
  const seen: SeenRequest[] = [];
  let storeOrigin = '';

  const bytesOfStore = (url: string): Uint8Array | undefined => {
    const hash = /^\/(\w+)\?signed$/.exec(url)?.[1];
    const all = [...repositories.values()].flatMap((each) => Object.values(each.files));
    return all.find((bytes) => sha256(bytes) === hash);
  };

  const answer = (isStore: boolean) => async (request: IncomingMessage, response: ServerResponse) => {
    const { method = 'GET', url = '/', headers } = request;
    allowPages(request, response);
    if (method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    const told = { method, path: url, isStore, range: headers.range, authorization: headers.authorization };
    seen.push(told);
    const fault = hub.fault(told) ?? {};
    if (fault.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    const body = typeof fault.body === 'string' ? new TextEncoder().encode(fault.body) : fault.body;
    const stored = isStore ? bytesOfStore(url) : undefined;
    if (fault.hangsUp) response.destroy();
    else if (fault.status !== undefined) response.writeHead(fault.status, fault.headers).end(body ?? '');
    else if (body !== undefined) sendFile(request, response, body, fault);
    else if (stored !== undefined) sendFile(request, response, stored, fault);
    else if (isStore) response.writeHead(403).end();
    else route(request, response, fault);
  };

  const route = (request: IncomingMessage, response: ServerResponse, fault: Fault): void => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://hub');
    const [, api, id = '', verb, revision = '', path = ''] =
      /^\/(api\/models\/)?([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.*))?$/.exec(pathname) ?? [];
    const repository = repositories.get(id);
    const mayRead = repository?.token === undefined || request.headers.authorization === `Bearer ${repository.token}`;
    const names = ['main', repository?.commit, ...(repository?.revisions ?? [])];
    if (!mayRead) sendError(response, 401, repository.isGated ? 'GatedRepo' : 'RepoNotFound');
    else if (repository === undefined) sendError(response, 404, 'RepoNotFound');
    else if (!names.includes(decodeURIComponent(revision))) sendError(response, 404, 'RevisionNotFound');
    else if (!api) sendResolved(request, response, repository, decodeURIComponent(path), fault);
    else {
      const files = Object.entries(repository.files).map(([name, bytes]) => hub.lie(listed(name, bytes)));
      const siblings = files.map((file) => ({ rfilename: file.path }));
      const from = Number(searchParams.get('cursor') ?? 0);
      const next = `<${hub.endpoint}${pathname}?recursive=true&cursor=${from + PAGE_FILES}>; rel="next"`;
      const link = from + PAGE_FILES < files.length ? { link: next } : {};
      if (verb === 'tree') sendJson(response, files.slice(from, from + PAGE_FILES), link);
      else sendJson(response, { id, sha: repository.commit, private: false, gated: false, siblings });
    }
  };

  const sendResolved = (
    request: IncomingMessage,
    response: ServerResponse,
    { commit, files }: FakeRepository,
    path: string,
    fault: Fault,
  ): void => {
    const bytes = files[path];
    response.setHeader('x-repo-commit', commit);
    if (bytes === undefined) {
      sendError(response, 404, 'EntryNotFound');
    } else if (bytes.length < LARGE_BYTES) {
      response.setHeader('etag', `"${gitHash(bytes)}"`);
      sendFile(request, response, bytes, fault);
    } else {
      const headers = { 'x-linked-etag': `"${sha256(bytes)}"`, 'x-linked-size': String(bytes.length) };
      response.writeHead(302, { location: `${storeOrigin}/${sha256(bytes)}?signed`, ...headers }).end();
    }
  };

  const servers = [createServer(answer(false)), createServer(answer(true))];
  const hub: FakeHub = {
    endpoint: await listen(servers[0]!, '127.0.0.1'),
    seen,
    repositories,
    fault: () => undefined,
    lie: (entry) => entry,
    async close() {
      for (const server of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
  storeOrigin = await listen(servers[1]!, 'localhost');
  return hub;
}

/** The headers by which the public hub lets pages of other origins in. */
function allowPages(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('cross-origin-resource-policy', 'cross-origin');
  response.setHeader('access-control-expose-headers', 'X-Repo-Commit,X-Error-Code,ETag,Link,Content-Range,Retry-After');
  const wanted = request.headers['access-control-request-headers'];
  if (wanted) response.setHeader('access-control-allow-headers', wanted);
}
