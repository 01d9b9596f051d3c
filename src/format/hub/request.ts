/** One request to a hub: its answer as pieces, its failures by name, and when to ask again. */
import { BitloomError, type ErrorCode } from '../../ir/error.ts';
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

export const abortError = (what: string, signal: AbortSignal): BitloomError =>
  new BitloomError('ABORTED', `Fetching ${what} was cancelled.`, { what }, { cause: signal.reason });

/** A failure of the line. `isPassing` ones are worth another try. */
export function networkError(text: string, details: Readonly<Record<string, unknown>>, cause?: unknown): BitloomError {
  return new BitloomError('NETWORK', text, details, cause === undefined ? undefined : { cause });
}

/** The innermost reason that fetch gives, for a reader. */
function reason(cause: unknown): string {
  let error = cause;
  while (error instanceof Error && error.cause !== undefined) error = error.cause;
  if (!(error instanceof Error)) return String(error);
  return error.message || String((error as { code?: unknown }).code ?? error.name);
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
    throw refusal(line, question, response);
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

/** What a status other than 2xx means. */
function refusal({ token, endpoint }: HubLine, { address, what }: Question, response: Response): BitloomError {
  const { status, headers } = response;
  const details = { address, status };
  const from = new URL(response.url || address);
  if (from.origin !== new URL(endpoint).origin && status !== 416) {
    // Signed addresses of a store behind the hub expire: the hub gives a new one.
    return networkError(`${what}: ${from.host} refuses (HTTP ${status})`, { ...details, isPassing: true });
  }
  const made = (code: ErrorCode, text: string): BitloomError =>
    new BitloomError(code, `${what}: ${text} (HTTP ${status} from ${from.host})`, details);
  const kind = headers.get('x-error-code');
  const where = 'set HF_TOKEN to a token that may read it';
  if (kind === 'GatedRepo')
    return made('UNAUTHORIZED', `its makers ask for consent at ${endpoint} first; then ${where}`);
  if (status === 401 || status === 403) {
    const advice =
      token === undefined
        ? `there is no such repository, or it is private: ${where}`
        : `the token may not read it: ${where}`;
    return made('UNAUTHORIZED', advice);
  }
  if (kind === 'RevisionNotFound') return made('NOT_FOUND', 'the repository has no such revision');
  if (kind === 'EntryNotFound') return made('MISSING_FILE', 'the repository has no such file');
  if (status === 404 || status === 410) return made('NOT_FOUND', 'the hub has no such repository; check the id');
  if (status === 429 || status >= 500) {
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    const wait = Number.isFinite(seconds) ? { waitMs: Math.max(0, seconds * 1000) } : {};
    const why = status === 429 ? 'the hub asks for fewer requests' : 'the hub fails';
    return networkError(`${what}: ${why} (HTTP ${status} from ${from.host})`, { ...details, ...wait, isPassing: true });
  }
  return networkError(`${what}: the hub refuses (HTTP ${status} from ${from.host})`, details);
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
