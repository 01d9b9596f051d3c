/** What a repository of the hub holds at a revision: its commit, and its files with their sizes and hashes. */
import type { BitloomError } from '../../ir/error.ts';
import { isRecord } from '../json.ts';
import { networkError } from './failure.ts';
import type { HubId } from './hub-id.ts';
import { type Answer, ask, Patience, type Question } from './request.ts';
import type { HubLine } from './settings.ts';

/** A file as the hub promises it. */
export interface RemoteFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Hexadecimal: of the bytes (sha256, for large files) or of their git blob (sha1). Names the blob in the cache. */
  readonly hash: string;
}

export interface Listing {
  readonly commit: string;
  readonly files: readonly RemoteFile[];
}

/** Fewer than for files: without a network, what the cache has should not wait long. */
const MOST_REPEATS = 2;
const MOST_PAGES = 500;
const MOST_JSON_BYTES = 2 ** 26;

export const isCommit = (text: string): boolean => /^[0-9a-f]{40}$/.test(text);
/** Names of blobs: a sha1 or a sha256. They become names of files. */
export const isHash = (text: string): boolean => /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(text);

/** The address of a file. */
export const fileAddress = (line: HubLine, { repository }: HubId, commit: string, path: string): string =>
  `${line.endpoint}/${repository}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;

const unclear = (what: string, why: string, address: string): BitloomError =>
  networkError(`${what}: ${why}; does ${new URL(address).host} speak the hub's language?`, { address });

/** Refuses a web page in place of data: portals and sign-in pages answer anything with 200. */
export function refuseWebPage({ headers }: Answer, { what, address }: Question): void {
  if (!/^text\/html/i.test(headers.get('content-type') ?? '')) return;
  const text = `${what}: a web page came in its place; a proxy or a sign-in page may stand between. Open ${address} in a browser`;
  throw networkError(text, { address });
}

async function readText(answer: Answer, question: Question): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let count = 0;
  for await (const piece of answer.pieces) {
    count += piece.length;
    if (count > MOST_JSON_BYTES) throw unclear(question.what, 'the answer does not end', question.address);
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

/** A JSON answer and the address of the next one. */
interface Page {
  readonly value: unknown;
  readonly next: string | undefined;
}

async function readPage(answer: Answer, question: Question): Promise<Page> {
  refuseWebPage(answer, question);
  const text = await readText(answer, question);
  try {
    return { value: JSON.parse(text), next: nextPage(answer, question.address) };
  } catch {
    throw unclear(question.what, 'the answer is not JSON', question.address);
  }
}

/** Asks for JSON, and again where a failure passes. */
async function fetchJson(line: HubLine, question: Question, signal?: AbortSignal): Promise<Page> {
  const patience = new Patience(line, signal, MOST_REPEATS);
  for (;;) {
    try {
      return await ask(line, question, (answer) => readPage(answer, question), signal);
    } catch (error) {
      await patience.wait(error);
    }
  }
}

/** RFC 8288: `<address>; rel="next"`. Pages elsewhere are not followed. */
function nextPage({ headers }: Answer, address: string): string | undefined {
  const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/i.exec(headers.get('link') ?? '') ?? [];
  if (target === undefined) return undefined;
  const next = new URL(target, address);
  return next.origin === new URL(address).origin ? next.href : undefined;
}

/** The commit that a revision stands for now. Throws NETWORK, UNAUTHORIZED, NOT_FOUND, ABORTED. */
export async function resolveRevision(line: HubLine, id: HubId, signal?: AbortSignal): Promise<string> {
  if (isCommit(id.revision)) return id.revision;
  const what = `${id.repository}@${id.revision}`;
  const address = `${line.endpoint}/api/models/${id.repository}/revision/${encodeURIComponent(id.revision)}`;
  const { value } = await fetchJson(line, { address, what }, signal);
  if (isRecord(value) && typeof value.sha === 'string' && isCommit(value.sha)) return value.sha;
  throw unclear(what, 'the answer names no commit', address);
}

function remoteFile(entry: unknown): RemoteFile | undefined {
  if (!isRecord(entry) || entry.type !== 'file') return undefined;
  const { path, size, oid, lfs } = entry;
  const hash = isRecord(lfs) ? lfs.oid : oid;
  const sizeBytes = isRecord(lfs) ? lfs.size : size;
  if (typeof path !== 'string' || typeof hash !== 'string' || !isHash(hash)) return undefined;
  if (typeof sizeBytes !== 'number' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) return undefined;
  return { path, sizeBytes, hash };
}

/** All files at a commit. Throws NETWORK, UNAUTHORIZED, NOT_FOUND, ABORTED. */
export async function listFiles(line: HubLine, id: HubId, commit: string, signal?: AbortSignal): Promise<Listing> {
  const what = `the files of ${id.repository}`;
  const files: RemoteFile[] = [];
  let next: string | undefined = `${line.endpoint}/api/models/${id.repository}/tree/${commit}?recursive=true`;
  for (let page = 0; next !== undefined; page++) {
    const address: string = next;
    if (page === MOST_PAGES) throw unclear(what, `more than ${MOST_PAGES} pages`, address);
    const answer = await fetchJson(line, { address, what }, signal);
    if (!Array.isArray(answer.value)) throw unclear(what, 'the answer is no list', address);
    files.push(...answer.value.map(remoteFile).filter((file) => file !== undefined));
    next = answer.next;
  }
  return { commit, files };
}
