/** WebAssembly in browsers and their workers: engines tier up by themselves, threads are Web Workers. */
import type { HostThread, ThreadProgram, WasmHost } from './wasm-host.ts';

/** Names of the workers that the package starts: its file knows by them what it was started for. */
export const ENGINE_WORKER = 'bitloom-engine';
export const THREAD_WORKER = 'bitloom-thread';

/**
 * How this worker's own file is started once more: where bitloom's file runs as the engine's worker, the same file serves
 * as a thread, which strict content policies allow. Undefined elsewhere; threads then start from their program's text.
 */
function ownFile(): { readonly address: string; readonly type: WorkerType } | undefined {
  const scope = globalThis as { name?: unknown; importScripts?: () => void };
  if (typeof document !== 'undefined' || scope.name !== ENGINE_WORKER) return undefined;
  const { href, protocol } = globalThis.location;
  if (protocol === 'blob:' || protocol === 'data:') return undefined;
  try {
    scope.importScripts?.(); // refused in modules
    return { address: href, type: 'classic' };
  } catch {
    return { address: href, type: 'module' };
  }
}

class WebThread implements HostThread {
  readonly #worker: Worker;
  readonly #textAddress: string | undefined;

  constructor(program: ThreadProgram, name: string) {
    const file = ownFile();
    if (file !== undefined) {
      this.#worker = new Worker(file.address, { name, type: file.type });
    } else {
      const text = new Blob([`(${program})(self)`], { type: 'text/javascript' });
      this.#textAddress = URL.createObjectURL(text);
      this.#worker = new Worker(this.#textAddress, { name });
    }
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
      const fail = (event: Event) =>
        settle(() => reject(new Error((event as ErrorEvent).message || 'the browser refused the worker')));
      this.#worker.addEventListener('message', (e) => settle(() => resolve(e.data)), { signal });
      this.#worker.addEventListener('error', fail, { signal });
      this.#worker.addEventListener('messageerror', () => settle(() => reject(new Error('unreadable message'))), {
        signal,
      });
    });
  }

  onEnd(listener: (why: Error) => void): void {
    this.#worker.addEventListener('error', (event) => listener(new Error(event.message || 'the worker failed')));
  }

  terminate(): void {
    this.#worker.terminate();
    if (this.#textAddress !== undefined) URL.revokeObjectURL(this.#textAddress);
  }
}

/** Whether a worker may start from a text: a page's content policy can forbid it, and says so only when one is tried. */
async function mayStartText(): Promise<boolean> {
  let probe: WebThread | undefined;
  try {
    probe = new WebThread((port) => port.postMessage(true), THREAD_WORKER);
    await probe.receive();
    return true;
  } catch {
    return false;
  } finally {
    probe?.terminate();
  }
}

export const wasmHost: WasmHost = {
  // Windows have a document; workers have none and may block.
  mayBlock: () => typeof document === 'undefined',
  async whyNoThreads() {
    if (typeof SharedArrayBuffer === 'undefined' || globalThis.crossOriginIsolated === false) {
      return 'the page is not cross-origin isolated (it needs the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp)';
    }
    if (ownFile() !== undefined || (await mayStartText())) return undefined;
    return "the page's content policy allows workers neither from bitloom's own file nor from a blob: (worker-src)";
  },
  enableRelaxedSimd() {},
  compile: (bytes) => WebAssembly.compile(bytes),
  startThread: (program, name) => new WebThread(program, name),
};
