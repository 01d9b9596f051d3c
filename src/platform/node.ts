/**
 * The platform of Node: files by descriptor, memory and cores from the operating system. `process` is the global one: the module
 * `node:process` opens the standard streams as it is imported, which takes 6 ms.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { access, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { availableParallelism, freemem, homedir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BitloomError } from '../ir/error.ts';
import { DiskFile, readError, writeError } from './disk-file.ts';
import { diskStore } from './disk-store.ts';
import type { Platform } from './platform.ts';
import { wasmHost } from './wasm-host-node.ts';
import { addressExists, isWebAddress, openAddress, readAddressText } from './web-file.ts';

export type { FileStatus, FileStore, StoreWriter } from './file-store.ts';
export type * from './native-host.ts';
export type { Digest, DigestName, FilePlace, MemoryInfo, Platform, RandomAccessFile } from './platform.ts';
export type { HostThread, ThreadPort, ThreadProgram, WasmHost } from './wasm-host.ts';
export { openBlob } from './web-file.ts';

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
  const partial = `${path}.${process.pid}.partial`;
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
    throw writeError(path, cause);
  }
}

export const platform: Platform = {
  name: 'node',
  async openFile(path, signal) {
    return isWebAddress(path) ? openAddress(path, signal) : new DiskFile(path);
  },
  async readText(path, signal) {
    if (isWebAddress(path)) return readAddressText(path, signal);
    try {
      return await readFile(path, { encoding: 'utf8', ...(signal ? { signal } : {}) });
    } catch (cause) {
      if (signal?.aborted) {
        throw new BitloomError('ABORTED', `Reading ${path} was cancelled.`, { path }, { cause: signal.reason });
      }
      throw readError(path, cause);
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
  environment: (name) => process.env[name],
  homeFolder: homedir,
  openStore: async (folder) => diskStore(folder),
  createDigest(name) {
    const hash = createHash(name);
    return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
  },
  nextTurn: () => setImmediate(),
  wasm: wasmHost,
  // Few programs ask: the others need not load it.
  native: async () => (await import('./native-host-node.ts')).native(),
};
