/** Carries a generation to the terminal. */
import { setImmediate } from 'node:timers/promises';
import type { Generation, GenerationResult } from './engine-face.ts';

/**
 * Writes a generation's text as it comes and ends the line, also when it fails half-way. Lets the process
 * breathe between tokens, so that Ctrl-C and closed pipes are seen.
 */
export async function stream(generation: Generation, write: (text: string) => void): Promise<GenerationResult> {
  let written = '';
  try {
    for await (const { text } of generation) {
      if (text !== '') write(text);
      written += text;
      await setImmediate();
    }
    return await generation.result;
  } finally {
    if (written !== '') write('\n');
  }
}
