/** Counts the bytes of a download over all its files, so that callers see one bar that never goes back. */
import type { LoadProgress } from '../progress.ts';
import type { RemoteFile } from './listing.ts';

export class DownloadMeter {
  readonly #totalBytes: number;
  readonly #onProgress: ((event: LoadProgress) => void) | undefined;
  readonly #loaded = new Map<string, number>();
  /** Sum of `#loaded`: with many files it is not summed anew for every piece. */
  #sum = 0;
  #told = -1;

  constructor(files: readonly RemoteFile[], onProgress: ((event: LoadProgress) => void) | undefined) {
    this.#totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    this.#onProgress = onProgress;
  }

  /** Takes down how many bytes of a file are there. */
  set(file: string, count: number): void {
    this.#sum += count - (this.#loaded.get(file) ?? 0);
    this.#loaded.set(file, count);
  }

  /** The first event: what is there before a byte came. */
  start(): void {
    this.#tell();
  }

  /** The same as `set`, told where it is news: a file that begins anew takes bytes back, which nobody hears. */
  report(file: string, count: number): void {
    this.set(file, count);
    if (this.#sum > this.#told) this.#tell(file);
  }

  #tell(file?: string): void {
    this.#told = this.#sum;
    this.#onProgress?.({
      phase: 'download',
      loadedBytes: this.#sum,
      totalBytes: this.#totalBytes,
      ...(file === undefined ? {} : { file }),
    });
  }
}
