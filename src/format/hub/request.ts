/** One request to a hub: its answer as pieces, its failures by name, and when to ask again. */
import { BitloomError } from '../../ir/error.ts';
import { abortError, networkError, reason, refusal } from './failure.ts';
import type { HubLine } from './settings.ts';

/** Times a request is repeated without a gain in between. */
const MOST_REPEATS = 5;
/** A server that asks for more patience than this is told of rather than waited for. */
const LONGEST_WAIT_MS = 60_000;

/** An answer whose pieces come as long as they keep coming. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Throws NETWORK, worth another try, where the line breaks or stalls; ABORTED. */
  readonly pieces: AsyncIterable<Uint8Array>;
}

/** What is asked for: an address under the endpoint, and what errors call it. */
export interface Question {
  readonly address: string;
  readonly what: string;
  /** First byte wanted. */
  readonly offset?: number;
  /** One past the last byte wanted. */
  readonly end?: number;
}

/** Asks once. Throws NETWORK, UNAUTHORIZED, NOT_FOUND, MISSING_FILE, ABORTED. */
export async function ask(line: HubLine, question: Question, signal?: AbortSignal): Promise<Answer> {
  const { address, what, offset = 0, end } = question;
  const isOurs = new URL(address).origin === new URL(line.endpoint).origin;
  const stalled = new AbortController();
  const watch = (): ReturnType<typeof setTimeout> => setTimeout(() => stalled.abort(), line.stallMs);
  let timer = watch();
  const told = (cause: unknown): BitloomError => {
    if (signal?.aborted) return abortError(what, signal);
    const why = stalled.signal.aborted ? `nothing came for ${line.stallMs} ms` : reason(cause);
    return networkError(
      `${what}: ${new URL(address).host} cannot be read: ${why}`,
      { address, isPassing: true },
      cause,
    );
  };
  let response: Response;
  try {
    response = await fetch(address, {
      headers: {
        ...(isOurs && line.token !== undefined ? { Authorization: `Bearer ${line.token}` } : {}),
        ...(offset > 0 || end !== undefined ? { Range: `bytes=${offset}-${end === undefined ? '' : end - 1}` } : {}),
      },
      cache: 'no-store',
      signal: AbortSignal.any([stalled.signal, ...(signal ? [signal] : [])]),
    });
  } catch (cause) {
    clearTimeout(timer);
    throw told(cause);
  }
  if (!response.ok) {
    clearTimeout(timer);
    await response.body?.cancel().catch(() => {});
    throw refusal({ address, what, endpoint: line.endpoint, hasToken: line.token !== undefined }, response);
  }
  clearTimeout(timer);
  timer = watch();
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    try {
      for (;;) {
        const next = await reader?.read();
        clearTimeout(timer);
        if (!next || next.done) return;
        yield next.value;
        timer = watch();
      }
    } catch (cause) {
      throw told(cause);
    } finally {
      clearTimeout(timer);
      reader?.cancel().catch(() => {});
    }
  }
  return { status: response.status, headers: response.headers, pieces: pieces() };
}

/** Counts failures that pass, and waits longer after each. */
export class Patience {
  readonly #line: HubLine;
  readonly #signal: AbortSignal | undefined;
  readonly #mostRepeats: number;
  #failures = 0;

  constructor(line: HubLine, signal: AbortSignal | undefined, mostRepeats = MOST_REPEATS) {
    this.#line = line;
    this.#signal = signal;
    this.#mostRepeats = mostRepeats;
  }

  /** Something came of the last try. */
  renew(): void {
    this.#failures = 0;
  }

  /** Waits before another try. Throws `error` where none is worth it, ABORTED. */
  async wait(error: unknown): Promise<void> {
    const { isPassing, waitMs } = error instanceof BitloomError ? error.details : {};
    if (!isPassing || this.#failures === this.#mostRepeats) throw error;
    const ms = typeof waitMs === 'number' ? waitMs : this.#line.retryMs * 2 ** this.#failures;
    if (ms > LONGEST_WAIT_MS) throw error;
    this.#failures++;
    await pause(ms, this.#signal);
  }
}

/** Resolves after `ms`. Throws ABORTED. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(abortError('the hub', signal!));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
