/** What goes wrong between here and a hub, by name: with what was asked for, from where, and what to do. */
import { BitloomError, type ErrorCode } from '../../ir/error.ts';

export const abortError = (what: string, signal: AbortSignal): BitloomError =>
  new BitloomError('ABORTED', `Fetching ${what} was cancelled.`, { what }, { cause: signal.reason });

/** A failure of the line. `isPassing` ones are worth another try. */
export function networkError(text: string, details: Readonly<Record<string, unknown>>, cause?: unknown): BitloomError {
  return new BitloomError('NETWORK', text, details, cause === undefined ? undefined : { cause });
}

/** The innermost reason that fetch gives, for a reader. */
export function reason(cause: unknown): string {
  let error = cause;
  while (error instanceof Error && error.cause !== undefined) error = error.cause;
  if (!(error instanceof Error)) return String(error);
  return error.message || String((error as { code?: unknown }).code ?? error.name);
}

/** What a refusal depends on, besides the answer. */
export interface Asked {
  readonly address: string;
  /** As errors name it. */
  readonly what: string;
  readonly endpoint: string;
  readonly hasToken: boolean;
}

/** What a status other than 2xx means. Failures that may pass say so in `isPassing`, and perhaps when in `waitMs`. */
export function refusal(asked: Asked, { status, headers, url }: Response): BitloomError {
  const from = new URL(url || asked.address);
  const where = `(HTTP ${status} from ${from.host})`;
  const details = { address: asked.address, status };
  if (status === 429 || status >= 500) {
    const waitMs = retryAfterMs(headers);
    const why = status === 429 ? 'the hub asks for fewer requests' : 'the hub fails';
    const when = waitMs === undefined ? '' : `; it asks to wait ${Math.ceil(waitMs / 1000)} s`;
    return networkError(`${asked.what}: ${why} ${where}${when}`, { ...details, waitMs, isPassing: true });
  }
  // Signed addresses of a store behind the hub expire, and the hub gives a new one.
  const isPassing = from.origin !== new URL(asked.endpoint).origin && status !== 416;
  const [code, text] = isPassing ? (['NETWORK', 'the store refuses'] as const) : meaning(asked, status, headers);
  return new BitloomError(code, `${asked.what}: ${text} ${where}`, { ...details, isPassing });
}

/** What the hub itself means by a status below 500. */
function meaning({ endpoint, hasToken }: Asked, status: number, headers: Headers): readonly [ErrorCode, string] {
  const kind = headers.get('x-error-code');
  const advice = 'set HF_TOKEN to a token that may read it';
  if (kind === 'GatedRepo') return ['UNAUTHORIZED', `its makers ask for consent at ${endpoint} first; then ${advice}`];
  if (status === 401 || status === 403) {
    const why = hasToken ? 'the token may not read it' : 'there is no such repository, or it is private';
    return ['UNAUTHORIZED', `${why}: ${advice}`];
  }
  if (kind === 'RevisionNotFound') return ['NOT_FOUND', 'the repository has no such revision'];
  if (kind === 'EntryNotFound') return ['MISSING_FILE', 'the repository has no such file'];
  if (status === 404 || status === 410) return ['NOT_FOUND', 'the hub has no such repository; check the id'];
  return ['NETWORK', 'the hub refuses'];
}

/** RFC 9110, 10.2.3: seconds, or a date. Undefined where there is neither. */
function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
