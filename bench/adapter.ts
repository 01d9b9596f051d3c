/**
 * What a contender implements: prepare a piece of work once, then repeat it on request. Each contender
 * lives in a process of its own (child.ts), so that threads and flags of one do not disturb another.
 */

/** Work that is ready to run: inputs made, programs compiled, result checked. */
export interface Workload {
  /** How much work one iteration does, in the base unit of the case: FLOP, integer operations, bytes, tokens. */
  readonly workPerIteration: number;
  /** One line about what really runs: version, threads, special settings. */
  readonly note: string;
  /** Threads that work all the time while it runs, where that is not `threads` of the options; 0 = unknown. */
  readonly busyThreads?: number;
  /** The processes that work, where that is not this one alone. */
  processes?(): readonly number[];
  /** Frees what would outlive the process. */
  close?(): Promise<void>;
  /** Does the work. A workload that measures itself returns its value in the unit of the case. */
  run(iterations: number): number | undefined | Promise<number | undefined>;
}

export type OptionValue = string | number | boolean;
export type Options = Readonly<Record<string, OptionValue>>;

/** Every module in adapters/ exports `prepare`. It throws when the result of the work is wrong. */
export interface Adapter {
  prepare(options: Options): Promise<Workload>;
}

/** A contender cannot take part, and why: not installed, not built, not supported by this Node. */
export class Absent extends Error {
  override readonly name = 'Absent';
}

/** Reads a numeric option. */
export function numberOption(options: Options, key: string): number {
  const value = options[key];
  if (typeof value !== 'number') throw new TypeError(`option ${key} must be a number, got ${String(value)}`);
  return value;
}

/** Imports a package of bench/peers. `T` describes only the part that is used. Throws Absent. */
export async function importPeer<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    if (isMissing) throw new Absent(`${name} is not installed: run \`npm ci --ignore-scripts\` in bench/peers`);
    throw error;
  }
}
