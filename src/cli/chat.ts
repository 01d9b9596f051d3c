/** The chat on a terminal: one line in, one streamed reply out, the conversation kept. */

import type { GenerateOptions } from '../engine/index.ts';
import { BitloomError } from '../ir/error.ts';
import type { ChatMessage } from '../text/index.ts';
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
  const opening: readonly ChatMessage[] =
    options.system === undefined ? [] : [{ role: 'system', content: options.system }];
  let messages = opening;
  if (!options.quiet) terminal.note(HELP);
  for (let turn = 0; !terminal.closed.aborted; turn++) {
    const line = (await terminal.ask('> '))?.trim();
    if (line === undefined || line === '/exit' || line === '/quit') return;
    if (line === '') continue;
    if (line === '/reset') {
      messages = opening;
      continue;
    }
    if (line.startsWith('/')) {
      terminal.note(HELP);
      continue;
    }
    // Each turn draws anew, and the same seed and lines give the same conversation.
    const generate = { ...sampling, seed: (sampling.seed + turn) % 2 ** 32 };
    messages = await reply(model, [...messages, { role: 'user', content: line }], generate, terminal);
  }
}

/** Streams one reply; returns the conversation with what was said, or as it was before where nothing was. */
async function reply(
  model: TextModel,
  messages: readonly ChatMessage[],
  options: GenerateOptions,
  terminal: Terminal,
): Promise<readonly ChatMessage[]> {
  const abort = new AbortController();
  const stopListening = terminal.onInterrupt(() => abort.abort());
  let said = '';
  try {
    const signal = AbortSignal.any([abort.signal, terminal.closed]);
    await stream(model.generate(messages, { ...options, signal }), (text) => {
      said += text;
      terminal.write(text);
    });
  } catch (error) {
    if (!(error instanceof BitloomError)) throw error;
    if (error.code !== 'ABORTED') terminal.note(`error: ${error.message}`);
    if (error.code === 'CONTEXT_OVERFLOW') terminal.note('/reset makes room.');
  } finally {
    stopListening();
  }
  return said === '' ? messages.slice(0, -1) : [...messages, { role: 'assistant', content: said.trimEnd() }];
}
