/** The platform of Node: files by descriptor, memory and cores from the operating system. */

import { closeSync, fstatSync, openSync, read, readFileSync, readSync } from 'node:fs';
import { access, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { env, pid } from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BitloomError } from '../ir/error.ts';
import type { Platform, RandomAccessFile } from './platform.ts';
import { wasmHost } from './wasm-host-node.ts';
import { addressExists, isWebAddress, openAddress, readAddressText } from './web-file.ts';

export type { MemoryInfo, Platform, RandomAccessFile } from './platform.ts';
export type { HostThread, ThreadPort, ThreadProgram, WasmHost } from './wasm-host.ts';
export { openBlob } from './web-file.ts';

/** Bytes of one asynchronous read: large enough to run at full speed, small enough to stop between two. */
const READ_BYTES = 1 << 24;

function fileError(path: string, cause: unknown): BitloomError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new BitloomError('MISSING_FILE', `No file at ${path}. Check the path.`, { path }, { cause });
  }
  const why = code === 'EISDIR' ? 'it is a folder' : String((cause as Error).message ?? cause);
  return new BitloomError('BAD_FILE', `Cannot read ${path}: ${why}.`, { path, code }, { cause });
}

const readOnce = (descriptor: number, target: Uint8Array, offset: number): Promise<number> =>
  new Promise((resolve, reject) => {
    read(descriptor, target, 0, target.length, offset, (error, count) => (error ? reject(error) : resolve(count)));
  });

class DescriptorFile implements RandomAccessFile {
  readonly name: string;
  readonly sizeBytes: number;
  #descriptor: number;

  constructor(path: string) {
    this.name = path;
    try {
      this.#descriptor = openSync(path, 'r');
      const status = fstatSync(this.#descriptor);
      this.sizeBytes = status.size;
      if (status.isFile()) return;
    } catch (cause) {
      throw fileError(path, cause);
    }
    closeSync(this.#descriptor);
    throw new BitloomError('BAD_FILE', `Cannot read ${path}: it is not a regular file.`, { path });
  }

  async readInto(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      if (signal?.aborted) {
        throw new BitloomError('ABORTED', `Reading ${this.name} was cancelled.`, {}, { cause: signal.reason });
      }
      const piece = target.subarray(filled, filled + READ_BYTES);
      const count = await readOnce(this.#descriptor, piece, offset + filled).catch((cause) => {
        throw fileError(this.name, cause);
      });
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  readIntoSync(target: Uint8Array, offset: number): number {
    let filled = 0;
    try {
      while (filled < target.length) {
        const length = Math.min(target.length - filled, READ_BYTES);
        const count = readSync(this.#descriptor, target, filled, length, offset + filled);
        if (count === 0) break;
        filled += count;
      }
    } catch (cause) {
      throw fileError(this.name, cause);
    }
    return filled;
  }

  async close(): Promise<void> {
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}

/**
 * Linux lists each logical processor with its package and core; processors that share both are threads of
 * one core. Elsewhere the count of logical processors has to do.
 */
function physicalCores(): number {
  const logical = availableParallelism();
  try {
    const cores = new Set<string>();
    for (const processor of readFileSync('/proc/cpuinfo', 'utf8').split('\n\n')) {
      const core = /^core id\s*:\s*(\d+)/m.exec(processor)?.[1];
      const socket = /^physical id\s*:\s*(\d+)/m.exec(processor)?.[1];
      if (core !== undefined && socket !== undefined) cores.add(`${socket}/${core}`);
    }
    if (cores.size > 0) return Math.min(cores.size, logical);
  } catch {
    // No /proc: not Linux.
  }
  return Math.max(1, logical);
}

async function writeFile(path: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const partial = `${path}.${pid}.partial`;
  try {
    const file = await open(partial, 'w');
    try {
      for await (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true });
    if (cause instanceof BitloomError) throw cause;
    const why = String((cause as Error).message ?? cause);
    throw new BitloomError('BAD_FILE', `Cannot write ${path}: ${why}.`, { path }, { cause });
  }
}

export const platform: Platform = {
  name: 'node',
  async openFile(path, signal) {
    return isWebAddress(path) ? openAddress(path, signal) : new DescriptorFile(path);
  },
  async readText(path, signal) {
    if (isWebAddress(path)) return readAddressText(path, signal);
    try {
      return await readFile(path, { encoding: 'utf8', ...(signal ? { signal } : {}) });
    } catch (cause) {
      if (signal?.aborted) {
        throw new BitloomError('ABORTED', `Reading ${path} was cancelled.`, { path }, { cause: signal.reason });
      }
      throw fileError(path, cause);
    }
  },
  async exists(path) {
    if (isWebAddress(path)) return addressExists(path);
    return access(path).then(
      () => true,
      () => false,
    );
  },
  writeFile,
  async listFolder(path) {
    if (isWebAddress(path)) return undefined;
    try {
      return (await readdir(path)).sort();
    } catch {
      return undefined;
    }
  },
  joinPath: (folder, name) => (isWebAddress(folder) ? `${folder.replace(/\/+$/, '')}/${name}` : join(folder, name)),
  // src/platform and dist/platform are equally deep, so one relative address serves both.
  assetPath: (name) => fileURLToPath(new URL(`../../assets/${name}`, import.meta.url)),
  physicalCores,
  memory: () => ({
    totalBytes: Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
    availableBytes: process.availableMemory?.() ?? freemem(),
  }),
  environment: (name) => env[name],
  nextTurn: () => setImmediate(),
  wasm: wasmHost,
};
