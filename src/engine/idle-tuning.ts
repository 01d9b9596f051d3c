/**
 * Tuning while a model has nothing to do: after a request, when none follows at once, the device measures schedules of the
 * kernels in use, and programs are compiled anew. A request that comes meanwhile waits for one measurement at most.
 */
import { platform } from '#platform';
import type { Device } from '../tensor/index.ts';
import type { RequestQueue } from './request-queue.ts';
import type { Sequence } from './sequence.ts';

/** A model is idle when no request came for so long. */
const IDLE_MS = 100;
/** Time that a model spends on tuning in all. */
const BUDGET_MS = 2000;

export class IdleTuning {
  readonly #device: Device;
  readonly #sequence: Sequence;
  readonly #queue: RequestQueue;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: AbortController | undefined;
  #leftMs = BUDGET_MS;

  constructor(device: Device, sequence: Sequence, queue: RequestQueue) {
    this.#device = device;
    this.#sequence = sequence;
    this.#queue = queue;
  }

  /** Begins once the model has been idle for a while. A process that has nothing else to do does not live on for it. */
  start(): void {
    if (this.#device.untunedCount === 0 || this.#leftMs <= 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#tune(), IDLE_MS);
    (this.#timer as { unref?: () => void }).unref?.();
  }

  /** Stops, because a request came. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#running?.abort();
  }

  /** Stops for good. */
  end(): void {
    this.#leftMs = 0;
    this.stop();
  }

  async #tune(): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    const began = performance.now();
    let leave: (() => void) | undefined;
    try {
      leave = await this.#queue.enter(running.signal);
      const { changed } = await this.#device.tune({
        budgetMs: this.#leftMs,
        signal: running.signal,
        pause: () => platform.nextTurn(),
      });
      if (changed > 0) await this.#sequence.renewPrograms(running.signal);
    } catch {
      this.#leftMs = 0; // a gain that cannot be had is none: requests are served as before
    } finally {
      this.#leftMs -= performance.now() - began;
      this.#running = undefined;
      leave?.();
    }
  }
}
