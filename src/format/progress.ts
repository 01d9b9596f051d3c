/** The one progress event of loading a model: what is under way, and how far it is over all files. */

/**
 * Bytes of the phase over all its files or tensors. `totalBytes` is known before the first byte and stays;
 * `loadedBytes` never falls, and what an earlier, interrupted download left counts as loaded.
 */
export interface LoadProgress {
  readonly phase: 'download' | 'weights';
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** The file that the bytes belong to, where the phase has several. */
  readonly file?: string;
}
