/** What tuning found on one machine, as JSON: rates, and the schedule chosen for each kernel. */
import type { MachineRates } from '../../kernel/machine.ts';
import type { Schedule } from '../../kernel/template.ts';

/** Grows when kernels change so that old choices no longer mean anything. */
const VERSION = 1;

export interface TuningRecord {
  readonly version: number;
  /** Undefined until they were measured. */
  rates: MachineRates | undefined;
  /** By kernel: operation, types, attributes, machine. */
  readonly schedules: Record<string, Schedule>;
}

export const emptyRecord = (): TuningRecord => ({ version: VERSION, rates: undefined, schedules: {} });

const isNumbers = (value: unknown): value is Record<string, number> =>
  typeof value === 'object' && value !== null && Object.values(value).every((x) => Number.isFinite(x));

/** The record that a text holds; an empty one for a text of another version, or of no version at all: it is only a cache. */
export function readRecord(text: string | undefined): TuningRecord {
  try {
    const { version, rates, schedules } = JSON.parse(text ?? 'null') as Partial<TuningRecord>;
    if (version !== VERSION || typeof schedules !== 'object' || schedules === null) return emptyRecord();
    if (!Object.values(schedules).every(isNumbers) || (rates !== undefined && !isNumbers(rates))) return emptyRecord();
    return { version, rates, schedules };
  } catch {
    return emptyRecord();
  }
}
