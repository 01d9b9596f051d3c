/**
 * How much of a stretch of time other programs took from this process. Source: Linux
 * Documentation/scheduler/sched-stats.rst: each thread's schedstat gives nanoseconds run and nanoseconds
 * waited in the run queue; /proc/stat gives ticks stolen by the hypervisor.
 */
import { readdirSync, readFileSync } from 'node:fs';

interface ThreadTimes {
  readonly ranNs: number;
  readonly waitedNs: number;
}

export interface SchedulerReading {
  readonly threads: ReadonlyMap<string, ThreadTimes>;
  readonly stolenMs: number;
  readonly atMs: number;
}

/** /proc/stat counts in USER_HZ, 100 on every Linux that Node runs on. */
const TICK_MS = 10;
const STEAL_COLUMN = 8;

/** Reads the counters of all threads of this process, or of others; null where the system has none (macOS, Windows). */
export function readScheduler(processes: readonly number[] = [process.pid]): SchedulerReading | null {
  const threads = new Map<string, ThreadTimes>();
  try {
    for (const path of processes.flatMap(threadPaths)) {
      const times = readThread(path);
      if (times !== null) threads.set(path, times);
    }
    const cpu = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.split(/\s+/);
    const stolenMs = Number(cpu[STEAL_COLUMN] ?? 0) * TICK_MS;
    return threads.size === 0 ? null : { threads, stolenMs, atMs: performance.now() };
  } catch {
    return null;
  }
}

/** Folders of a process's threads; none for a process that has just ended. */
function threadPaths(id: number): string[] {
  try {
    return readdirSync(`/proc/${id}/task`).map((thread) => `/proc/${id}/task/${thread}`);
  } catch {
    return [];
  }
}

/** Null for a thread that has just ended, or where the kernel keeps no such counters. */
function readThread(path: string): ThreadTimes | null {
  try {
    const [ran, waited] = readFileSync(`${path}/schedstat`, 'utf8').split(' ').map(Number);
    return { ranNs: ran!, waitedNs: waited! };
  } catch {
    return null;
  }
}

/** The state at the birth of this process: nothing ran, nothing waited. */
export const atProcessStart = (now: SchedulerReading): SchedulerReading => ({
  threads: new Map(),
  stolenMs: now.stolenMs,
  atMs: 0,
});

/**
 * Share (0..1) of the time between two readings that others took from `nThreads` working threads. Two upper
 * bounds, and the smaller one counts: time in which the least busy of the working threads did not run (exact
 * for threads that never rest, hypervisor included); and, with several threads, which may rest by design, run
 * delay of all threads plus stolen ticks. Run delay alone would miss what the hypervisor takes.
 */
export function disturbedShare(
  before: SchedulerReading | null,
  after: SchedulerReading | null,
  nThreads: number,
): number | null {
  if (before === null || after === null) return null;
  const wallMs = after.atMs - before.atMs;
  const ran: number[] = [];
  let waitedNs = 0;
  for (const [thread, times] of after.threads) {
    const earlier = before.threads.get(thread);
    ran.push(times.ranNs - (earlier?.ranNs ?? 0));
    waitedNs += times.waitedNs - (earlier?.waitedNs ?? 0);
  }
  const leastBusyNs = ran.sort((a, b) => b - a)[nThreads - 1] ?? 0; // none where nothing is known
  const idleMs = wallMs - leastBusyNs / 1e6;
  const lostMs = nThreads === 1 ? idleMs : Math.min(idleMs, waitedNs / 1e6 + after.stolenMs - before.stolenMs);
  return Math.min(1, Math.max(0, lostMs / wallMs));
}
