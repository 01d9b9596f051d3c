/**
 * Turns of the event loop during long work: computing would else hold the thread from the first token to the last,
 * and no signal, timer, message or socket would be heard.
 */
import { platform } from '#platform';
import { BitloomError } from '../ir/error.ts';
import type { Pause } from '../target/target.ts';

/** Others wait this long at most while nothing pauses longer: one frame of a screen. */
const TURN_MS = 16;

/** Rejects with the signal's reason as cause once it fired. Throws ABORTED. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new BitloomError('ABORTED', 'the call was aborted by its signal', {}, { cause: signal.reason });
}

/** What to await between pieces of work: lets others have their turn now and then. Throws ABORTED once the signal fired. */
export function turnTaker(signal: AbortSignal | undefined): Pause {
  let last = performance.now();
  return async () => {
    if (performance.now() - last >= TURN_MS) {
      await platform.nextTurn();
      last = performance.now();
    }
    throwIfAborted(signal);
  };
}
