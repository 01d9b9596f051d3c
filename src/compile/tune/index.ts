/** Public names of tuning. */
export { measureRates } from './machine-rates.ts';
export { ScheduleTuner, type TuneOptions, type TuneReport } from './schedule-tuner.ts';
export { emptyRecord, readRecord, type TuningRecord } from './tuning-record.ts';
