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

/** Fires its signal when nothing has happened for a while. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number) {
    this.#ms = ms;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  restart(): void {
    this.rest();
    this.#timer = setTimeout(() => this.#controller.abort(), this.#ms);
  }

  rest(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Asks once, and hands the answer to `use`; what of it is not taken is let go.
 * Throws NETWORK, UNAUTHORIZED, NOT_FOUND, MISSING_FILE, ABORTED, and what `use` throws.
 */
export async function ask<T>(
  line: HubLine,
  question: Question,
  use: (answer: Answer) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { address, what } = question;
  const watchdog = new Watchdog(line.stallMs);
  const told = (cause: unknown): BitloomError => {
    if (signal?.aborted) return abortError(what, signal);
    const why = watchdog.signal.aborted ? `nothing came for ${line.stallMs} ms` : reason(cause);
    const text = `${what}: ${new URL(address).host} cannot be read: ${why}`;
    return networkError(text, { address, isPassing: true }, cause);
  };
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    watchdog.restart();
    const either = AbortSignal.any([watchdog.signal, ...(signal ? [signal] : [])]);
    const response = await send(line, question, either).catch((cause) => {
      throw told(cause);
    });
    reader = response.body?.getReader();
    if (!response.ok) {
      throw refusal({ address, what, endpoint: line.endpoint, hasToken: line.token !== undefined }, response);
    }
    return await use({
      status: response.status,
      headers: response.headers,
      pieces: piecesOf(reader, watchdog, told),
    });
  } finally {
    watchdog.rest();
    reader?.cancel().catch(() => {}); // a line that broke has nothing to let go
  }
}

function send(line: HubLine, { address, offset = 0, end }: Question, signal: AbortSignal): Promise<Response> {
  const isOurs = new URL(address).origin === new URL(line.endpoint).origin;
  const headers = {
    ...(isOurs && line.token !== undefined ? { Authorization: `Bearer ${line.token}` } : {}),
    ...(offset > 0 || end !== undefined ? { Range: `bytes=${offset}-${end === undefined ? '' : end - 1}` } : {}),
  };
  return fetch(address, { headers, cache: 'no-store', signal });
}

/** The pieces of a body. While a piece is used, nobody watches: a slow disk is no slow server. */
async function* piecesOf(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  watchdog: Watchdog,
  told: (cause: unknown) => BitloomError,
): AsyncGenerator<Uint8Array> {
  for (;;) {
    watchdog.restart();
    const next = await reader?.read().catch((cause) => {
      throw told(cause);
    });
    watchdog.rest();
    if (!next || next.done) return;
    yield next.value;
  }
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
