/** What a process holds in memory, as Linux counts it. */

/** Megabytes that no file backs: anonymous pages and shared memory. From the text of /proc/PID/smaps_rollup. */
export function ownMegabytes(rollup: string): number {
  const kilobytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
  return ((kilobytes('Anonymous') + kilobytes('Pss_Shmem')) * 1024) / 1e6;
}
