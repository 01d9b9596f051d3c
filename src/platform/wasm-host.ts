/** What bitloom asks of a WebAssembly engine's host: compilation at full speed, and threads. */

/** A thread that runs a program given as source text. Messages are structured clones. */
export interface HostThread {
  post(message: unknown): void;
  /** Resolves with the next message from now on; rejects when the thread fails or ends before one comes. */
  receive(): Promise<unknown>;
  terminate(): void;
}

export interface WasmHost {
  /** Whether the calling thread may block in `Atomics.wait`: a page's main thread may not. */
  mayBlock(): boolean;
  /** Why memory cannot be shared with threads here, or undefined when it can. */
  whyNoThreads(): string | undefined;
  /** Switches on relaxed SIMD where the engine hides it behind a flag. For engines that do not validate it. */
  enableRelaxedSimd(): void;
  /** Compiles with the engine's best optimiser at once where it can be asked for. */
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module>;
  /**
   * Starts a thread. In `source`, `port` has `postMessage` and `onmessage`. The thread does not keep
   * the process alive.
   */
  startThread(source: string, name: string): HostThread;
}
