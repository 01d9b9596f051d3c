/** Conversations, with a model that repeats what it is told. */
import { describe, expect, test } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import type { ChatMessage } from '../text/index.ts';
import { type Answering, Chat } from './chat.ts';
import { Generation, type GenerationChunk, type GenerationResult } from './generation.ts';

function parrot(failAt = Number.POSITIVE_INFINITY): Answering & { readonly heard: ChatMessage[][] } {
  const heard: ChatMessage[][] = [];
  async function* answer(messages: readonly ChatMessage[]): AsyncGenerator<GenerationChunk, GenerationResult> {
    heard.push([...messages]);
    for (const [tokenId, text] of [...messages.at(-1)!.content].entries()) {
      if (tokenId >= failAt) throw new BitloomError('ABORTED', 'enough');
      yield { tokenId, text };
    }
    return { text: messages.at(-1)!.content } as GenerationResult;
  }
  return { heard, generate: (messages) => new Generation(answer(messages)) };
}

describe('a conversation', () => {
  test('grows by what is said and answered', async () => {
    const model = parrot();
    const chat = new Chat(model, { system: 'repeat', messages: [{ role: 'user', content: 'earlier' }] });
    expect((await chat.send('one').result).text).toBe('one');
    for await (const _ of chat.send('two ')) expect(chat.messages).toHaveLength(4);
    expect(model.heard[1]!.map(({ content }) => content)).toEqual(['repeat', 'earlier', 'one', 'one', 'two ']);
    expect(chat.messages.slice(-2)).toEqual([
      { role: 'user', content: 'two ' },
      { role: 'assistant', content: 'two' },
    ]);
    chat.reset();
    expect(chat.messages).toEqual([{ role: 'system', content: 'repeat' }]);
  });

  test('keeps what a reply brought before it ended early, and nothing where there was nothing', async () => {
    const chat = new Chat(parrot(2));
    await expect(chat.send('abc').result).rejects.toMatchObject({ code: 'ABORTED' });
    expect(chat.messages.at(-1)).toEqual({ role: 'assistant', content: 'ab' });
    for await (const _ of chat.send('xyz')) break;
    expect(chat.messages.at(-1)).toEqual({ role: 'assistant', content: 'x' });
    const silent = new Chat(parrot(0));
    await expect(silent.send('abc').result).rejects.toMatchObject({ code: 'ABORTED' });
    expect(silent.messages).toEqual([]);
  });

  test('has one reply at a time', async () => {
    const chat = new Chat(parrot());
    for await (const _ of chat.send('ab'))
      await expect(chat.send('c').result).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(chat.messages).toHaveLength(2);
  });
});
