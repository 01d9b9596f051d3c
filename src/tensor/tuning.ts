/** Tuning of one device: which schedules measured fastest on this machine, kept in a file of the user's cache. */

import type { ScheduleChoice } from '../compile/index.ts';
import {
  emptyRecord,
  measureRates,
  readRecord,
  ScheduleTuner,
  type TuneOptions,
  type TuneReport,
} from '../compile/tune/index.ts';
import type { MachineRates } from '../kernel/machine.ts';
import { type FileStore, platform } from '../platform/index.ts';
import type { Target } from '../target/target.ts';

const OFF: readonly string[] = ['0', 'false', 'no', 'off'];

/**
 * The folder of records: BITLOOM_TUNING, else bitloom/tuning under XDG_CACHE_HOME or ~/.cache; undefined where that says
 * off, or the platform keeps no files for its users.
 */
async function openStore(): Promise<FileStore | undefined> {
  if (platform.name !== 'node') return undefined;
  const named = platform.environment('BITLOOM_TUNING');
  if (named && OFF.includes(named.toLowerCase())) return undefined;
  const cache = platform.environment('XDG_CACHE_HOME') || platform.joinPath(platform.homeFolder(), '.cache');
  return platform.openStore(named || platform.joinPath(platform.joinPath(cache, 'bitloom'), 'tuning'));
}

export class DeviceTuning {
  readonly #store: FileStore;
  readonly #file: string;
  readonly #record: ReturnType<typeof emptyRecord>;
  readonly #tuner: ScheduleTuner;

  private constructor(store: FileStore, file: string, record: ReturnType<typeof emptyRecord>) {
    this.#store = store;
    this.#file = file;
    this.#record = record;
    this.#tuner = new ScheduleTuner(record);
  }

  /** What is known of a machine, by any text that names it; undefined where nothing is kept. */
  static async open(machine: string): Promise<DeviceTuning | undefined> {
    const store = await openStore();
    if (store === undefined) return undefined;
    const file = `${machine.replace(/[^A-Za-z0-9.-]+/g, '-')}.json`;
    try {
      return new DeviceTuning(store, file, readRecord(await store.readText(file)));
    } catch {
      return new DeviceTuning(store, file, emptyRecord()); // what cannot be read is measured again
    }
  }

  /** The machine's rates, once they were measured. */
  get rates(): MachineRates | undefined {
    return this.#record.rates;
  }

  get choose(): ScheduleChoice {
    return this.#tuner.choose;
  }

  /** Kernels in use that were not measured yet. */
  get openCount(): number {
    return this.#tuner.openCount;
  }

  /** Measures, and keeps what was found. Throws BAD_FILE or QUOTA_EXCEEDED where it cannot be kept. */
  async tune(target: Target, options: TuneOptions): Promise<TuneReport> {
    this.#record.rates ??= await measureRates(target);
    const report = await this.#tuner.tune(target, options);
    if (report.measured > 0) await this.#store.writeText(this.#file, `${JSON.stringify(this.#record, null, 1)}\n`);
    return report;
  }
}
