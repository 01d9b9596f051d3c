/** Carries a reply to the terminal. */
import { setImmediate } from 'node:timers/promises';
import type { GenerationResult } from '../engine/index.ts';
import type { Reply } from './engine-face.ts';

/**
 * Writes a reply's text as it comes and ends the line, also when it fails half-way. Lets the process
 * breathe between tokens, so that Ctrl-C and closed pipes are seen.
 */
export async function stream(reply: Reply, write: (text: string) => void): Promise<GenerationResult> {
  let written = '';
  try {
    for await (const { text } of reply) {
      if (text !== '') write(text);
      written += text;
      await setImmediate();
    }
    return await reply.result;
  } finally {
    if (written !== '') write('\n');
  }
}
