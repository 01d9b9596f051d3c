/** What bitloom asks of a WebAssembly engine's host: compilation at full speed, and threads. */

/** A thread's own end of its messages. */
export interface ThreadPort {
  postMessage(message: unknown): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

/** What a thread does with its port. It refers to nothing outside itself: hosts may run its text elsewhere. */
export type ThreadProgram = (port: ThreadPort) => void;

/** A thread that runs a program. Messages are structured clones. */
export interface HostThread {
  post(message: unknown): void;
  /** Resolves with the next message from now on; rejects when the thread fails or ends before one comes. */
  receive(): Promise<unknown>;
  /** Calls back when the thread fails or ends without having been told to; perhaps more than once. */
  onEnd(listener: (why: Error) => void): void;
  terminate(): void;
}

export interface WasmHost {
  /** Whether the calling thread may block in `Atomics.wait`: a page's main thread may not. */
  mayBlock(): boolean;
  /** Why no thread can be started that shares memory, or undefined when it can. */
  whyNoThreads(): Promise<string | undefined>;
  /** Switches on relaxed SIMD where the engine hides it behind a flag. For engines that do not validate it. */
  enableRelaxedSimd(): void;
  /** Compiles with the engine's best optimiser at once where it can be asked for. */
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module>;
  /** Starts a thread. It does not keep the process alive. */
  startThread(program: ThreadProgram, name: string): HostThread;
}
