/** What is measured: a case puts several contenders in front of the same work. */
import type { Options } from './adapter.ts';

/** How the values of a case are shown; `scale` turns the base unit into the shown one. */
export interface Unit {
  readonly name: string;
  readonly scale: number;
  readonly better: 'higher' | 'lower';
}

export const UNITS = {
  gflops: { name: 'GFLOP/s', scale: 1e-9, better: 'higher' },
  gops: { name: 'GOP/s', scale: 1e-9, better: 'higher' },
  bandwidth: { name: 'GB/s', scale: 1e-9, better: 'higher' },
  tokens: { name: 'tokens/s', scale: 1, better: 'higher' },
  matrices: { name: 'matrices/s', scale: 1, better: 'higher' },
  milliseconds: { name: 'ms', scale: 1, better: 'lower' },
  megabytes: { name: 'MB', scale: 1, better: 'lower' },
} as const satisfies Record<string, Unit>;

export interface Contender {
  /** Unique within its case. */
  readonly name: string;
  /** `ceiling` = a probe of the machine; the lowest ceiling of a case is its roofline. */
  readonly role: 'ours' | 'peer' | 'ceiling';
  /** Module in adapters/, without extension. */
  readonly adapter: string;
  readonly options: Options;
  readonly node: 'newest' | 'current';
  /** Units of the case per unit of the contender's own work: a bandwidth probe as tokens per byte. 1 if absent. */
  readonly workRatio?: number;
  /** Bytes that one unit of the case reads from memory: the report then tells GB/s, and the time of one unit, as well. */
  readonly bytesPerUnit?: number;
}

/** Thread counts that are measured. */
export const THREADS = [1, 2] as const;

export const plural = (threads: number): string => `${threads} thread${threads > 1 ? 's' : ''}`;

/** One contender; its thread count is part of the options, so that every adapter gets it the same way. */
export const contender = (
  name: string,
  role: Contender['role'],
  adapter: string,
  options: Options,
  node: Contender['node'] = 'newest',
): Contender => ({ name, role, adapter, options, node });

/** Something the project promised: ours against one contender, the `roofline` or the `best peer`, as a ratio of medians. */
export interface Goal {
  readonly against: string;
  readonly atLeast: number;
}

export interface Case {
  /** Selected by this on the command line; a part of it is enough. */
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  /** Every sample is a new process: cold start, peak memory. */
  readonly perProcess?: boolean;
  /** Part of `--quick`. */
  readonly isQuick: boolean;
  /** The first one is the subject; the table shows its ratio to each other one. */
  readonly contenders: readonly Contender[];
  readonly goals?: readonly Goal[];
  /** For `lower` units: the value must not exceed this. */
  readonly limit?: number;
}
