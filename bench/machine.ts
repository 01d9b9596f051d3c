/** What the numbers were measured on: hardware, load, versions. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly nCpus: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly lastLevelCacheBytes: number;
  readonly nodes: Readonly<Record<'newest' | 'current', string>>;
  /** Commit of this repository, with `+` where files differ from it. */
  readonly commit: string;
}

/** Where the system does not tell its cache, one that is larger than most. */
const ASSUMED_CACHE_BYTES = 64 << 20;

const firstLine = (file: string, args: readonly string[]): string => {
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n', 1)[0]!
      .trim();
  } catch {
    return '';
  }
};

export const nodeVersion = (node: string): string => firstLine(node, ['--version']);

/** Size of the largest cache of the first CPU, in bytes. */
export function lastLevelCacheBytes(): number {
  for (const index of [4, 3, 2]) {
    try {
      const size = readFileSync(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, 'utf8');
      return Number.parseInt(size, 10) * (size.includes('M') ? 1 << 20 : 1 << 10);
    } catch {
      // No such cache level, or not Linux.
    }
  }
  return ASSUMED_CACHE_BYTES;
}

export function describeMachine(nodes: Machine['nodes']): Machine {
  const cpu = cpus()[0]?.model ?? 'unknown';
  const changed = firstLine('git', ['status', '--porcelain', '--untracked-files=no']) === '' ? '' : '+';
  return {
    cpu,
    nCpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
    lastLevelCacheBytes: lastLevelCacheBytes(),
    nodes: { newest: nodeVersion(nodes.newest), current: nodeVersion(nodes.current) },
    commit: `${firstLine('git', ['rev-parse', '--short', 'HEAD'])}${changed}`,
  };
}

/** One-minute load average; 0 where the system has none. */
export const load = (): number => Number(loadavg()[0]!.toFixed(2));
