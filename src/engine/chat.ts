/** A conversation with a model: what was said is kept, and each turn costs the tokens that are new. */
import { BitloomError } from '../ir/error.ts';
import type { ChatMessage } from '../text/index.ts';
import { type GenerateOptions, Generation, type GenerationChunk, type GenerationResult } from './generation.ts';

/** What a conversation needs of a model: that it answers messages. */
export interface Answering {
  generate(
    messages: readonly ChatMessage[],
    options: GenerateOptions,
  ): AsyncIterable<GenerationChunk> & { readonly result: Promise<GenerationResult> };
}

/**
 * A conversation. The model keeps the keys and values of the turns before, so that `cachedTokens` of each
 * result is most of its prompt, as long as nobody else asks the model in between.
 *
 * @example
 * const chat = new Chat(model, { system: 'Be brief.' });
 * for await (const { text } of chat.send('Name three rivers.')) process.stdout.write(text);
 * console.log((await chat.send('And three mountains?').result).text);
 */
export class Chat {
  readonly #model: Answering;
  readonly #opening: readonly ChatMessage[];
  #messages: readonly ChatMessage[];
  #isAnswering = false;

  /** `system`: an instruction that goes before the conversation. `messages`: what was said before. */
  constructor(
    model: Answering,
    options: { readonly system?: string; readonly messages?: readonly ChatMessage[] } = {},
  ) {
    const { system, messages = [] } = options;
    this.#model = model;
    this.#opening = system === undefined ? [] : [{ role: 'system', content: system }];
    this.#messages = [...this.#opening, ...messages];
  }

  /** What was said so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Forgets what was said, but for the system text. */
  reset(): void {
    this.#messages = this.#opening;
  }

  /**
   * Says something; the reply joins the conversation when its iteration ends. A reply that was cut short or aborted
   * joins as far as it came; one that brought nothing leaves the conversation as it was.
   * Throws (from the iterator) as `generate` does, and INVALID_ARGUMENT while another reply is under way.
   */
  send(content: string, options: GenerateOptions = {}): Generation {
    return new Generation(this.#reply(content, options));
  }

  async *#reply(content: string, options: GenerateOptions): AsyncGenerator<GenerationChunk, GenerationResult> {
    if (this.#isAnswering)
      throw new BitloomError('INVALID_ARGUMENT', 'a reply is under way; read it to its end before the next message');
    this.#isAnswering = true;
    const before = this.#messages;
    const asked = [...before, { role: 'user', content }];
    let said = '';
    try {
      const generation = this.#model.generate(asked, options);
      for await (const chunk of generation) {
        said += chunk.text;
        yield chunk;
      }
      return await generation.result;
    } finally {
      this.#isAnswering = false;
      this.#messages = said === '' ? before : [...asked, { role: 'assistant', content: said.trimEnd() }];
    }
  }
}
