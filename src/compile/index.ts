/** The compiler: graphs in, programs out. */
export { compileGraph } from './compile.ts';
export { explain } from './explain.ts';
export type { CompileOptions, ScheduleChoice } from './options.ts';
export { DEFAULT_PASSES } from './pass/index.ts';
export type { Pass, PassRecord } from './pass/pass.ts';
export { type CompiledGraph, planGraph } from './plan.ts';
export { Program } from './program.ts';
export type { CompileReport, StepRecord } from './report.ts';
export type { Donation } from './storage.ts';
