/** WebAssembly in browsers and their workers: engines tier up by themselves, threads are Web Workers. */
import type { HostThread, WasmHost } from './wasm-host.ts';

class WebThread implements HostThread {
  readonly #worker: Worker;
  readonly #address: string;

  constructor(source: string, name: string) {
    const blob = new Blob([`const port = self;\n${source}`], { type: 'text/javascript' });
    this.#address = URL.createObjectURL(blob);
    this.#worker = new Worker(this.#address, { name });
  }

  post(message: unknown): void {
    this.#worker.postMessage(message);
  }

  receive(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const done = new AbortController();
      const { signal } = done;
      const settle = (act: () => void) => {
        done.abort();
        act();
      };
      this.#worker.addEventListener('message', (e) => settle(() => resolve(e.data)), { signal });
      this.#worker.addEventListener('error', (e) => settle(() => reject(new Error(e.message))), { signal });
      this.#worker.addEventListener('messageerror', () => settle(() => reject(new Error('unreadable message'))), {
        signal,
      });
    });
  }

  terminate(): void {
    this.#worker.terminate();
    URL.revokeObjectURL(this.#address);
  }
}

export const wasmHost: WasmHost = {
  // Windows have a document; workers have none and may block.
  mayBlock: () => typeof document === 'undefined',
  whyNoThreads: () =>
    typeof SharedArrayBuffer === 'undefined' || globalThis.crossOriginIsolated === false
      ? 'the page is not cross-origin isolated (it needs the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp)'
      : undefined,
  enableRelaxedSimd() {},
  compile: (bytes) => WebAssembly.compile(bytes),
  startThread: (source, name) => new WebThread(source, name),
};
