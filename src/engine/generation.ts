/** One request for text: the tokens as they come, and the account at the end. */
import { BitloomError } from '../ir/error.ts';
import { createSampler, type SamplerOptions, StopMatcher, type Tokenizer } from '../text/index.ts';
import { type Sequence, throwIfAborted } from './sequence.ts';

export interface GenerateOptions extends SamplerOptions {
  /** Default: as many as the context holds. */
  readonly maxTokens?: number | undefined;
  /** Ends the reply where one of these texts would come. */
  readonly stop?: readonly string[] | undefined;
  /** Goes on past the model's end tokens. */
  readonly ignoreEos?: boolean | undefined;
  /** Takes a prompt as it stands instead of through the chat template. */
  readonly raw?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A piece of a reply. `text` may be empty while a character or a stop text is incomplete. */
export interface GenerationChunk {
  readonly tokenId: number;
  readonly text: string;
}

export interface GenerationResult {
  readonly text: string;
  /** Generated ids, an end token included. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly finishReason: 'stop' | 'length';
  readonly timings: {
    readonly loadMs: number;
    /** From the call to the first token. */
    readonly firstTokenMs: number;
    readonly prefillTokensPerSecond: number;
    readonly decodeTokensPerSecond: number;
  };
}

export interface GenerationContext {
  readonly sequence: Sequence;
  readonly tokenizer: Tokenizer;
  readonly loadMs: number;
}

const perSecond = (count: number, ms: number): number => (ms > 0 ? (1000 * count) / ms : 0);

/** Prefills the prompt, then draws token after token. Throws EMPTY_PROMPT, CONTEXT_OVERFLOW, BAD_WEIGHTS, ABORTED. */
export async function* generateTokens(
  context: GenerationContext,
  prompt: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<GenerationChunk, GenerationResult> {
  const { sequence, tokenizer } = context;
  const { signal, maxTokens = Number.POSITIVE_INFINITY } = options;
  if (!(maxTokens >= 1))
    throw new BitloomError('INVALID_ARGUMENT', `maxTokens must be at least 1, not ${maxTokens}`, { maxTokens });
  if (prompt.length === 0)
    throw new BitloomError('EMPTY_PROMPT', 'the prompt is empty: there is nothing to continue; give a text');
  const sampler = createSampler(options);
  const detokenizer = tokenizer.detokenizer({ continues: true });
  const stops = new StopMatcher(options.stop ?? []);
  const history = [...prompt];
  const pieces: string[] = [];
  const emit = (text: string, tokenId: number): GenerationChunk => {
    pieces.push(text);
    return { tokenId, text };
  };

  const began = performance.now();
  sequence.reset();
  let logits = await sequence.append(prompt, signal);
  const prefilled = performance.now();
  let firstToken = prefilled;
  let finishReason: GenerationResult['finishReason'] = 'length';
  while (history.length - prompt.length < maxTokens) {
    throwIfAborted(signal);
    const tokenId = sampler.sample(logits, history);
    if (history.length === prompt.length) firstToken = performance.now();
    history.push(tokenId);
    const isEnd = tokenizer.eosIds.has(tokenId) && !options.ignoreEos;
    const { text, stopped } = stops.push(isEnd ? detokenizer.flush() : detokenizer.push(tokenId));
    if (isEnd || stopped !== null) {
      finishReason = 'stop';
      yield emit(stopped === null ? text + stops.flush() : text, tokenId);
      break;
    }
    const isLast = history.length - prompt.length >= maxTokens || history.length > sequence.contextLength;
    yield emit(isLast ? text + stops.push(detokenizer.flush()).text + stops.flush() : text, tokenId);
    if (isLast) break;
    logits = await sequence.append([tokenId], signal);
  }
  const decoded = history.length - prompt.length;
  return {
    text: pieces.join(''),
    tokens: history.slice(prompt.length),
    promptTokens: prompt.length,
    finishReason,
    timings: {
      loadMs: context.loadMs,
      firstTokenMs: firstToken - began,
      prefillTokensPerSecond: perSecond(prompt.length, prefilled - began),
      decodeTokensPerSecond: perSecond(decoded - 1, performance.now() - firstToken),
    },
  };
}

/** A reply under way. Iterate it for the text as it comes, await `result` for the whole. */
export class Generation implements AsyncIterable<GenerationChunk> {
  readonly #tokens: AsyncGenerator<GenerationChunk, GenerationResult>;
  readonly #finished: Promise<GenerationResult>;
  #resolve: (result: GenerationResult) => void = () => {};
  #reject: (reason: unknown) => void = () => {};
  #isTaken = false;

  constructor(tokens: AsyncGenerator<GenerationChunk, GenerationResult>) {
    this.#tokens = tokens;
    this.#finished = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#finished.catch(() => {}); // whoever awaits `result` sees the failure
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationChunk, void> {
    if (this.#isTaken)
      throw new BitloomError(
        'INVALID_ARGUMENT',
        'a generation can be iterated once; call generate() again for another reply',
      );
    this.#isTaken = true;
    try {
      let step = await this.#tokens.next();
      while (!step.done) {
        yield step.value;
        step = await this.#tokens.next();
      }
      this.#resolve(step.value);
    } catch (error) {
      this.#reject(error);
      throw error;
    } finally {
      await this.#tokens.return(undefined as never);
      this.#reject(new BitloomError('ABORTED', 'the reply was not read to its end'));
    }
  }

  /** The whole reply with usage and timings; reads it to the end if nobody iterates. */
  get result(): Promise<GenerationResult> {
    if (!this.#isTaken) void this.#drain();
    return this.#finished;
  }

  async #drain(): Promise<void> {
    try {
      for await (const _ of this);
    } catch {
      // `result` carries the failure.
    }
  }
}
