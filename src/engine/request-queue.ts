/** Requests to one model, one after the other. */
import { BitloomError } from '../ir/error.ts';
import { throwIfAborted } from './turns.ts';

/** The error of requests to a model that is gone. */
export const disposedError = (): BitloomError => new BitloomError('DISPOSED', 'the model was used after dispose()');

export class RequestQueue {
  #last: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();

  /**
   * Waits for the requests before; the result lets the next one go and must be called once.
   * Throws ABORTED as soon as the signal fires, DISPOSED as soon as the queue is closed.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    const before = this.#last;
    let leave: () => void = () => {};
    this.#last = new Promise<void>((resolve) => {
      leave = resolve;
    });
    try {
      await firstOf(before, [this.#closing.signal, ...(signal ? [signal] : [])]);
      if (this.#closing.signal.aborted) throw disposedError();
      throwIfAborted(signal);
      return leave;
    } catch (error) {
      void before.then(leave); // those behind go on when those before are done
      throw error;
    }
  }

  /** Turns away all who wait and all who come. */
  close(): void {
    this.#closing.abort();
  }
}

/** Resolves when the promise does or one of the signals fires. */
async function firstOf(promise: Promise<unknown>, signals: readonly AbortSignal[]): Promise<void> {
  const done = new AbortController(); // takes the listeners away
  try {
    await new Promise<unknown>((resolve) => {
      for (const signal of signals) {
        if (signal.aborted) resolve(undefined);
        signal.addEventListener('abort', resolve, { once: true, signal: done.signal });
      }
      void promise.then(resolve);
    });
  } finally {
    done.abort();
  }
}
