/** WebAssembly in Node: V8 flags around compilation, threads of worker_threads. */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { HostThread, ThreadProgram, WasmHost } from './wasm-host.ts';

/**
 * V8 normally compiles each function badly at its first call, and well in the background once it
 * proves hot. Generated kernels are hot from the start, so the baseline compiler is switched off for
 * the moment of compilation: 30 kernels then take some 12 ms. Inlining must be off with it: it reads
 * call counts that only baseline code collects, and newer V8 aborts without them. Node 20's baseline
 * compiler also drops the accumulator of relaxed dot products; code from here never runs in it.
 */
const OPTIMISE_AT_ONCE = ['--no-liftoff', '--no-wasm-lazy-compilation', '--no-wasm-inlining'];
const USUAL = ['--liftoff', '--wasm-lazy-compilation', '--wasm-inlining'];

class NodeThread implements HostThread {
  readonly #worker: Worker;
  #isTold = false;

  constructor(program: ThreadProgram, name: string) {
    const source = `(${program})(require('node:worker_threads').parentPort)`;
    this.#worker = new Worker(source, { eval: true, name, execArgv: [] });
    this.#worker.unref();
    // Failures reject `receive`; without a listener they would end the process.
    this.#worker.on('error', () => {});
  }

  post(message: unknown): void {
    this.#worker.postMessage(message);
  }

  receive(): Promise<unknown> {
    const worker = this.#worker;
    worker.ref(); // someone waits: the process must live until the answer
    return new Promise((resolve, reject) => {
      const settle = (act: (value: unknown) => void) => (value: unknown) => {
        worker.off('message', onMessage).off('error', onError).off('exit', onExit);
        worker.unref();
        act(value);
      };
      const onMessage = settle(resolve);
      const onError = settle(reject);
      const onExit = settle((code) => reject(new Error(`the thread ended with code ${code}`)));
      worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    });
  }

  onEnd(listener: (why: Error) => void): void {
    this.#worker.once('error', (cause) => listener(cause as Error));
    this.#worker.once('exit', (code) => {
      if (!this.#isTold) listener(new Error(`exit code ${code}`));
    });
  }

  terminate(): void {
    this.#isTold = true;
    void this.#worker.terminate();
  }
}

export const wasmHost: WasmHost = {
  mayBlock: () => true,
  whyNoThreads: async () => undefined,
  enableRelaxedSimd() {
    setFlagsFromString('--experimental-wasm-relaxed-simd');
  },
  async compile(bytes) {
    for (const flag of OPTIMISE_AT_ONCE) setFlagsFromString(flag);
    try {
      return new WebAssembly.Module(bytes);
    } finally {
      for (const flag of USUAL) setFlagsFromString(flag);
    }
  },
  startThread: (program, name) => new NodeThread(program, name),
};
