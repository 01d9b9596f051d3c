/** Public names of the x86-64 target. */
export type { Cpu } from './cpu.ts';
export { LEVELS, type Level } from './features.ts';
export { type X64Options, X64Target } from './x64-target.ts';
