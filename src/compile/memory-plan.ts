/** Lays out intermediates in one arena: storages whose live ranges overlap never share bytes. */

/** Bytes that are live from step `first` to step `last`, both included. */
export interface LiveRange {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface MemoryPlan {
  /** Offset in the arena of each range, in the order given. */
  readonly offsets: readonly number[];
  readonly arenaBytes: number;
  /** Most bytes live at one step: no layout can be smaller. */
  readonly peakBytes: number;
}

const ALIGNMENT = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

interface Placed {
  readonly begin: number;
  readonly end: number;
  /** The range that has met this block last: each meets it once. */
  metBy: number;
}

/** Offset of the smallest gap that holds `bytes` between blocks sorted by where they begin. */
function bestFit(placed: readonly Placed[], bytes: number): number {
  let best = -1;
  let bestSize = Infinity;
  let end = 0;
  for (const block of placed) {
    const gap = block.begin - end;
    if (gap >= bytes && gap < bestSize) [best, bestSize] = [end, gap];
    end = Math.max(end, block.end);
  }
  return best >= 0 ? best : end;
}

/**
 * Places ranges by decreasing size, each into the smallest gap left by what is live with it. Blocks
 * are listed per step, so that short ranges look at their few neighbours only.
 */
export function planMemory(ranges: readonly LiveRange[]): MemoryPlan {
  const steps = ranges.reduce((n, r) => Math.max(n, r.last + 1), 0);
  const liveAt: Placed[][] = Array.from({ length: steps }, () => []);
  const offsets = new Array<number>(ranges.length).fill(0);
  const bySize = ranges
    .map((_, i) => i)
    .sort((a, b) => ranges[b]!.bytes - ranges[a]!.bytes || ranges[a]!.first - ranges[b]!.first);
  let arenaBytes = 0;
  for (const i of bySize) {
    const { bytes, first, last } = ranges[i]!;
    if (bytes === 0) continue;
    const neighbours: Placed[] = [];
    for (let step = first; step <= last; step++) {
      for (const block of liveAt[step]!) {
        if (block.metBy !== i) neighbours.push(block);
        block.metBy = i;
      }
    }
    const begin = bestFit(
      neighbours.sort((a, b) => a.begin - b.begin),
      aligned(bytes),
    );
    const block = { begin, end: begin + aligned(bytes), metBy: i };
    for (let step = first; step <= last; step++) liveAt[step]!.push(block);
    offsets[i] = begin;
    arenaBytes = Math.max(arenaBytes, block.end);
  }
  const peakBytes = liveAt.reduce(
    (peak, live) =>
      Math.max(
        peak,
        live.reduce((n, b) => n + b.end - b.begin, 0),
      ),
    0,
  );
  return { offsets, arenaBytes, peakBytes };
}
