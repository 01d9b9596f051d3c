/** The progress line of downloads and loading, on stderr. */
import type { LoadProgress } from '../format/index.ts';
import { formatBytes } from './readable.ts';
import type { Terminal } from './terminal.ts';

const BAR_CELLS = 24;
/** Speeds are of the last while: a stall shows soon, a hiccup does not. */
const WINDOW_MS = 3000;

function bar(share: number): string {
  const filled = Math.floor(share * BAR_CELLS);
  return `[${'='.repeat(filled)}${' '.repeat(BAR_CELLS - filled)}]`;
}

/** A listener that keeps one line: phase, bar, bytes of all bytes, and for downloads the speed. */
export function showProgress(
  terminal: Pick<Terminal, 'status'>,
  now: () => number = () => performance.now(),
): (event: LoadProgress) => void {
  const seen: { readonly ms: number; readonly bytes: number }[] = [];
  return ({ phase, loadedBytes, totalBytes, file }) => {
    const ms = now();
    seen.push({ ms, bytes: loadedBytes });
    while (seen.length > 2 && ms - seen[0]!.ms > WINDOW_MS) seen.shift();
    const first = seen[0]!;
    const perSecond = ms > first.ms ? ((loadedBytes - first.bytes) * 1000) / (ms - first.ms) : 0;
    const parts = [
      phase,
      bar(totalBytes > 0 ? Math.min(1, loadedBytes / totalBytes) : 1),
      `${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`,
      ...(phase === 'download' && perSecond > 0 ? [`${formatBytes(Math.round(perSecond))}/s`] : []),
      ...(file === undefined ? [] : [file]),
    ];
    terminal.status(parts.join('  '));
  };
}
