/** What the two ends of a port say to each other. Whatever a message carries is a structured clone. */
import { BitloomError, type ErrorCode } from '../ir/error.ts';

/** Ends that differ in this do not understand each other: a worker file that was copied long ago. */
export const PROTOCOL = 1;

/** An argument whose functions and signals stay behind: by name, they become messages. */
export interface PackedArgument {
  readonly value: unknown;
  /** Properties that were functions; the other end's calls of them arrive as `notify`. */
  readonly listeners: readonly string[];
  /** Properties that were signals, and whether they had fired. */
  readonly signals: readonly (readonly [name: string, aborted: boolean])[];
}

export interface PackedError {
  readonly code: ErrorCode | null;
  readonly name: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly cause: PackedError | null;
}

export type Message =
  /** A worker's first: it can be called. */
  | { readonly kind: 'ready'; readonly protocol: number }
  // From the caller:
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly method: string;
      readonly args: readonly PackedArgument[];
      /** Items that may be sent ahead of their reader. */
      readonly credits: number;
    }
  /** The reader took an item: one more may be sent. */
  | { readonly kind: 'more'; readonly id: number }
  /** Nobody reads any more. */
  | { readonly kind: 'stop'; readonly id: number }
  /** The signal that the call has under `name` fired. */
  | { readonly kind: 'abort'; readonly id: number; readonly name: string }
  // To the caller:
  | { readonly kind: 'notify'; readonly id: number; readonly name: string; readonly args: readonly unknown[] }
  | { readonly kind: 'item'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'return'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'throw'; readonly id: number; readonly error: PackedError };

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** Packs an argument; only an object's own properties may be functions (named on…) or signals. Throws INVALID_ARGUMENT. */
export function packArgument(argument: unknown): PackedArgument {
  const listeners: string[] = [];
  const signals: [string, boolean][] = [];
  if (!isPlain(argument)) return { value: argument, listeners, signals };
  const value: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(argument)) {
    if (property instanceof AbortSignal) signals.push([name, property.aborted]);
    else if (typeof property !== 'function') value[name] = property;
    else if (/^on[A-Z]/.test(name)) listeners.push(name);
    else {
      const message = `the function ${name} cannot be called from a worker; load the model with worker: false, or leave it out`;
      throw new BitloomError('INVALID_ARGUMENT', message, { option: name });
    }
  }
  return { value, listeners, signals };
}

/** A value that survives the port: itself where it can be cloned, else as text. */
function cloneable(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return String(value);
  }
}

export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) return { code: null, name: 'Error', message: String(error), details: {}, cause: null };
  const isOurs = error instanceof BitloomError;
  const details = isOurs ? Object.entries(error.details).map(([key, value]) => [key, cloneable(value)]) : [];
  return {
    code: isOurs ? error.code : null,
    name: error.name,
    message: error.message,
    details: Object.fromEntries(details),
    cause: error.cause === undefined ? null : packError(error.cause),
  };
}

/** The error as this end throws it. What was no BitloomError at the other end is none here either. */
export function unpackError({ code, name, message, details, cause }: PackedError): Error {
  const options = cause === null ? {} : { cause: unpackError(cause) };
  if (code !== null) return new BitloomError(code, message, details, options);
  const error = new Error(message, options);
  error.name = name;
  return error;
}
