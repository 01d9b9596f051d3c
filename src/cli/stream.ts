/** Carries a generation to the terminal. */
import { setImmediate } from 'node:timers/promises';
import type { Generation, GenerationResult } from './engine-face.ts';

/** Writes a generation's text as it comes. Returns between tokens, so that Ctrl-C and closed pipes are seen. */
export async function stream(generation: Generation, write: (text: string) => void): Promise<GenerationResult> {
  for await (const { text } of generation) {
    if (text !== '') write(text);
    await setImmediate();
  }
  return generation.result;
}
