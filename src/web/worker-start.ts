/** Starting the engine's worker: the ways there are, one after the other, until one answers. */
import { BitloomError } from '../ir/error.ts';
import { ENGINE_WORKER } from '../platform/wasm-host-browser.ts';
import { type Message, PROTOCOL } from './protocol.ts';

/** A way to a worker. It may fail at once, or the worker may fail later: content policies and lost files show late. */
export type WorkerWay = () => Worker | Promise<Worker>;

/** A worker from a file at an address, or from a text, that knows by its name what it is for. */
export const workerFrom = (address: string | URL, type: WorkerType = 'module'): Worker =>
  new Worker(address, { type, name: ENGINE_WORKER });

export function workerFromText(text: string, type: WorkerType): Worker {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
  return workerFrom(address, type);
}

/** Resolves when the worker says that it can be called. */
function answered(worker: Worker, signal: AbortSignal | undefined): Promise<void> {
  const done = new AbortController();
  const listening = { signal: done.signal };
  return new Promise<void>((resolve, reject) => {
    const onMessage = ({ data }: MessageEvent): void => {
      const message = data as Message;
      if (message.kind === 'ready' && message.protocol === PROTOCOL) resolve();
      else reject(new Error('its file is of another version'));
    };
    const onError = (event: Event): void => {
      event.preventDefault();
      reject(new Error((event as ErrorEvent).message || 'its file is not there, or a policy forbids it'));
    };
    const onAbort = (): void => {
      reject(new BitloomError('ABORTED', 'loading was cancelled', {}, { cause: signal?.reason }));
    };
    if (signal?.aborted) onAbort();
    worker.addEventListener('message', onMessage, listening);
    worker.addEventListener('error', onError, listening);
    signal?.addEventListener('abort', onAbort, listening);
  }).finally(() => done.abort());
}

/** The first worker that answers, or why none did. Throws ABORTED. */
export async function startWorker(
  ways: readonly WorkerWay[],
  signal: AbortSignal | undefined,
): Promise<{ readonly worker: Worker } | { readonly reasons: readonly string[] }> {
  const reasons: string[] = [];
  for (const way of ways) {
    let worker: Worker | undefined;
    try {
      worker = await way();
      await answered(worker, signal);
      return { worker };
    } catch (error) {
      worker?.terminate();
      if (error instanceof BitloomError) throw error;
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  return { reasons };
}
