/** Gives a peer that was made for browsers the global `Worker` it looks for, on top of Node's threads. */
import { resolveObjectURL } from 'node:buffer';
import { Worker as NodeWorker } from 'node:worker_threads';

/** What a worker script expects to find. Messages that come before its `onmessage` is set would be lost. */
const PRELUDE = `
const { parentPort } = require('node:worker_threads');
globalThis.self = globalThis;
globalThis.postMessage = (data) => parentPort.postMessage(data);
parentPort.on('message', (data) => globalThis.onmessage?.({ data }));
`;

type Listener = ((event: { data: unknown }) => void) | null;

/** The few members of the Web API that message-passing pools use; started from a blob URL only. */
class BrowserWorker {
  onmessage: Listener = null;
  onerror: ((error: Error) => void) | null = null;
  readonly #worker: Promise<NodeWorker>;

  constructor(url: string) {
    const source = resolveObjectURL(url)?.text() ?? Promise.reject(new Error(`not a blob URL: ${url}`));
    this.#worker = source.then((text) => {
      const worker = new NodeWorker(PRELUDE + text, { eval: true });
      worker.on('message', (data: unknown) => this.onmessage?.({ data }));
      worker.on('error', (error) => this.onerror?.(error));
      return worker;
    });
  }

  postMessage(data: unknown): void {
    void this.#worker.then((worker) => worker.postMessage(data));
  }
}

/** Installs the global and lets the page's idea of the machine be `nThreads` CPUs. */
export function provideBrowserWorker(nThreads: number): void {
  Object.defineProperty(globalThis, 'Worker', { value: BrowserWorker, configurable: true });
  Object.defineProperty(globalThis, 'navigator', { value: { hardwareConcurrency: nThreads }, configurable: true });
}
