/** For tests: which levels of the x64 target this machine has, and why not, as a part of a test's name. */
import { platform } from '../../platform/index.ts';
import { detectCpu } from './cpu.ts';
import type { Level } from './features.ts';

const support = await platform.native();
const cpu = 'host' in support ? detectCpu(support.host) : undefined;

/** '' where code of a level can run, else the reason in brackets. */
export function whyNotLevel(level: Level): string {
  if ('why' in support) return ` (skipped: ${support.why})`;
  const { avx2, avx512, avx512Vnni, amx } = cpu!;
  const has = { avx2, avx512: avx512 && avx512Vnni, amx }[level];
  return has ? '' : ` (skipped: the processor has no ${level.toUpperCase()})`;
}
