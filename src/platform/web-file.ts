/**
 * Random access over Web standards: a Blob (or File), and an http(s) address read by ranges. Both
 * work in browsers and in Node, so both platforms share them.
 */
import { BitloomError } from '../ir/error.ts';
import type { RandomAccessFile } from './platform.ts';
import { readAhead } from './read-ahead.ts';

export const isWebAddress = (path: string): boolean => /^(https?|blob|data):/i.test(path);

const aborted = (name: string, signal: AbortSignal): BitloomError =>
  new BitloomError('ABORTED', `Reading ${name} was cancelled.`, { name }, { cause: signal.reason });

const unreadable = (name: string, why: string, cause?: unknown): BitloomError =>
  new BitloomError('BAD_FILE', `Cannot read ${name}: ${why}.`, { name }, { cause });

/** Random access to a Blob or File, e.g. one that a user dropped on the page. */
export function openBlob(blob: Blob, name = 'name' in blob ? String(blob.name) : 'blob'): RandomAccessFile {
  return {
    name,
    sizeBytes: blob.size,
    async readInto(target, offset, signal) {
      if (signal?.aborted) throw aborted(name, signal);
      const piece = blob.slice(offset, offset + target.length);
      try {
        return await fillFromStream(target, piece.stream());
      } catch (cause) {
        throw unreadable(name, 'the browser lost access to it', cause);
      }
    },
    async close() {},
  };
}

/** Random access to an http(s) file by range requests, which take more than was asked for. Throws: MISSING_FILE, BAD_FILE, ABORTED. */
export async function openAddress(address: string, signal?: AbortSignal): Promise<RandomAccessFile> {
  const probe = await request(address, { Range: 'bytes=0-0' }, signal);
  await probe.body?.cancel();
  if (probe.status !== 206) {
    // Without ranges there is one copy to be had: the whole file, held as a Blob the browser may keep on disk.
    const whole = await request(address, {}, signal);
    return openBlob(await whole.blob(), address);
  }
  const sizeBytes = Number(/\/(\d+)$/.exec(probe.headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(sizeBytes)) throw unreadable(address, 'the server does not tell its length');
  return readAhead({
    name: address,
    sizeBytes,
    async readInto(target, offset, readSignal) {
      const end = Math.min(offset + target.length, sizeBytes);
      if (end <= offset) return 0;
      const response = await request(address, { Range: `bytes=${offset}-${end - 1}` }, readSignal);
      if (response.status !== 206 || response.body === null) throw unreadable(address, 'a range came back whole');
      return fillFromStream(target.subarray(0, end - offset), response.body);
    },
    async close() {},
  });
}

/** Reads a whole text file from an address. Throws: MISSING_FILE, BAD_FILE, ABORTED. */
export async function readAddressText(address: string, signal?: AbortSignal): Promise<string> {
  return (await request(address, {}, signal)).text();
}

/** True where an address answers with a file. */
export async function addressExists(address: string): Promise<boolean> {
  try {
    const response = await request(address, { Range: 'bytes=0-0' });
    await response.body?.cancel();
    // Servers of single-page apps send the page for every address that they do not know.
    return !/^text\/html/i.test(response.headers.get('content-type') ?? '') || /\.html?$/i.test(address);
  } catch (error) {
    if (error instanceof BitloomError && error.code === 'MISSING_FILE') return false;
    throw error;
  }
}

async function request(address: string, headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, { headers, ...(signal ? { signal } : {}) });
  } catch (cause) {
    if (signal?.aborted) throw aborted(address, signal);
    throw unreadable(address, 'the request failed; check the address and the network', cause);
  }
  if (response.status === 404 || response.status === 410) {
    throw new BitloomError('MISSING_FILE', `No file at ${address} (HTTP ${response.status}).`, { address });
  }
  if (!response.ok) throw unreadable(address, `the server answered HTTP ${response.status}`);
  return response;
}

/** Copies a stream into `target` as it arrives, without holding it whole. */
async function fillFromStream(target: Uint8Array, stream: ReadableStream<Uint8Array>): Promise<number> {
  const reader = stream.getReader();
  let filled = 0;
  while (filled < target.length) {
    const { done, value } = await reader.read();
    if (done) return filled;
    const part = value.length > target.length - filled ? value.subarray(0, target.length - filled) : value;
    target.set(part, filled);
    filled += part.length;
  }
  await reader.cancel();
  return filled;
}
