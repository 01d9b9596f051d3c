/** The platform of browsers and workers: addresses read by range, and what the navigator tells. */
import { BitloomError } from '../ir/error.ts';
import { opfsStore } from './opfs-store.ts';
import type { Platform } from './platform.ts';
import { createPlainDigest } from './sha.ts';
import { wasmHost } from './wasm-host-browser.ts';
import { addressExists, openAddress, readAddressText } from './web-file.ts';

export type { FileStatus, FileStore, StoreWriter } from './file-store.ts';
export type * from './native-host.ts';
export type { Digest, DigestName, FilePlace, MemoryInfo, Platform, RandomAccessFile } from './platform.ts';
export type { HostThread, ThreadPort, ThreadProgram, WasmHost } from './wasm-host.ts';
export { openBlob } from './web-file.ts';

/** Kept apart from its use: bundlers take the literal pattern for a file that they have to copy. */
const here: string = import.meta.url;

/** What relative addresses are relative to, where it is not this thread's own address: the page of a worker. */
let pageAddress: string | undefined;

/** Tells a worker its page's address. */
export function setPageAddress(address: string): void {
  pageAddress = address;
}

const absolute = (path: string): string => new URL(path, pageAddress ?? globalThis.location?.href ?? here).href;

export const platform: Platform = {
  name: 'browser',
  openFile: (path, signal) => openAddress(absolute(path), signal),
  readText: (path, signal) => readAddressText(absolute(path), signal),
  exists: (path) => addressExists(absolute(path)),
  async writeFile(path) {
    throw new BitloomError('UNSUPPORTED_FEATURE', `Cannot write ${path}: a page has no file system.`, { path });
  },
  listFolder: async () => undefined,
  joinPath: (folder, name) => `${folder.replace(/\/+$/, '')}/${name}`,
  assetPath: (name) => new URL(`../../assets/${name}`, here).href,
  physicalCores() {
    // Browsers tell logical processors only, and most machines with many of them run two on a core.
    const logical = globalThis.navigator?.hardwareConcurrency ?? 1;
    return Math.max(Math.min(2, logical), logical >> 1);
  },
  memory: () => undefined,
  environment: () => undefined,
  homeFolder: () => '/',
  openStore: opfsStore,
  createDigest: createPlainDigest,
  // A message to oneself queues behind what waits already; timers of 0 ms wait 4 once they nest.
  nextTurn: () =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    }),
  wasm: wasmHost,
  native: async () => ({ why: 'pages cannot run machine code', isFixable: false }),
};
