/** The chat on a terminal: one line in, one streamed reply out, the conversation kept. */

import { Chat } from '../engine/chat.ts';
import type { GenerateOptions } from '../engine/index.ts';
import { BitloomError } from '../ir/error.ts';
import type { TextModel } from './engine-face.ts';
import type { RunOptions } from './run.ts';
import { stream } from './stream.ts';
import type { Terminal } from './terminal.ts';

const HELP = 'Type a message. /reset forgets the conversation, /exit or Ctrl-D leaves, Ctrl-C stops a reply.';

/** Talks until the person leaves. A failed reply is told and forgotten; the conversation goes on. */
export async function chat(
  model: TextModel,
  sampling: GenerateOptions & { readonly seed: number },
  options: RunOptions,
  terminal: Terminal,
): Promise<void> {
  const conversation = new Chat(model, options.system === undefined ? {} : { system: options.system });
  if (!options.quiet) terminal.note(HELP);
  for (let turn = 0; !terminal.closed.aborted; turn++) {
    const line = (await terminal.ask('> '))?.trim();
    if (line === undefined || line === '/exit' || line === '/quit') return;
    if (line === '') continue;
    if (line === '/reset') {
      conversation.reset();
      continue;
    }
    if (line.startsWith('/')) {
      terminal.note(HELP);
      continue;
    }
    // Each turn draws anew, and the same seed and lines give the same conversation.
    const generate = { ...sampling, seed: (sampling.seed + turn) % 2 ** 32 };
    await reply(conversation, line, generate, terminal);
  }
}

/** Streams one reply. */
async function reply(conversation: Chat, line: string, options: GenerateOptions, terminal: Terminal): Promise<void> {
  const abort = new AbortController();
  const stopListening = terminal.onInterrupt(() => abort.abort());
  try {
    const signal = AbortSignal.any([abort.signal, terminal.closed]);
    await stream(conversation.send(line, { ...options, signal }), terminal.write);
  } catch (error) {
    if (!(error instanceof BitloomError)) throw error;
    if (error.code !== 'ABORTED') terminal.note(`error: ${error.message}`);
    if (error.code === 'CONTEXT_OVERFLOW') terminal.note('/reset makes room.');
  } finally {
    stopListening();
  }
}
