/** One request for text: the tokens as they come, and the account at the end. */
import { BitloomError } from '../ir/error.ts';
import { createSampler, logProbabilities, type SamplerOptions, StopMatcher, type Tokenizer } from '../text/index.ts';
import type { Sequence } from './sequence.ts';
import { turnTaker } from './turns.ts';

export interface GenerateOptions extends SamplerOptions {
  /** Default: as many as the context holds. */
  readonly maxTokens?: number | undefined;
  /** Ends the reply where one of these texts would come. */
  readonly stop?: readonly string[] | undefined;
  /** Goes on past the model's end tokens. */
  readonly ignoreEos?: boolean | undefined;
  /** Takes a prompt as it stands instead of through the chat template. */
  readonly raw?: boolean | undefined;
  /**
   * Tells log-probabilities with each token: its own, and those of this many likeliest tokens. They are the model's
   * own, before bias, penalties and temperature, as in OpenAI's API. 0 tells the chosen token's alone.
   */
  readonly logprobs?: number | undefined;
  /**
   * Whether what the cache holds of the request before is kept, as far as the new prompt begins with the same tokens.
   * A prompt cut elsewhere into steps is summed in another order: the last bits of logits may differ from those of a
   * request that starts afresh, which false asks for. Default: true.
   */
  readonly reusePrefix?: boolean | undefined;
  /** Ends the request within a token's time, also while the prompt is read, with the error ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** A token with its own text and its log-probability in nats. */
export interface TokenLogprob {
  readonly tokenId: number;
  /** The token's own text; a part of a character reads as U+FFFD. */
  readonly text: string;
  readonly logprob: number;
}

/** A piece of a reply. `text` may be empty while a character or a stop text is incomplete. */
export interface GenerationChunk {
  readonly tokenId: number;
  readonly text: string;
  /** Where `logprobs` was asked for: of the token, and of the likeliest ones, likeliest first. */
  readonly logprob?: number;
  readonly top?: readonly TokenLogprob[];
}

/** One generated token's log-probabilities. */
export interface LogprobEntry extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

export interface GenerationResult {
  readonly text: string;
  /** Generated ids, an end token included. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** Of the prompt's tokens, those whose keys and values were still there from the request before. */
  readonly cachedTokens: number;
  /** `stop`: an end token or a stop text. `length`: maxTokens, or the context is full. */
  readonly finishReason: 'stop' | 'length';
  /** Of each generated token, where `logprobs` was asked for. */
  readonly logprobs?: readonly LogprobEntry[];
  readonly timings: {
    readonly loadMs: number;
    /** From the call to the first token. */
    readonly firstTokenMs: number;
    /** Of the tokens that were not cached. */
    readonly prefillTokensPerSecond: number;
    readonly decodeTokensPerSecond: number;
  };
}

export interface GenerationContext {
  readonly sequence: Sequence;
  readonly tokenizer: Tokenizer;
  readonly loadMs: number;
  /** The prompt came through a chat template: what follows is a text of its own, whose first piece loses its word's space. */
  readonly isReply: boolean;
}

const perSecond = (count: number, ms: number): number => (ms > 0 ? (1000 * count) / ms : 0);

/** Throws INVALID_ARGUMENT, EMPTY_PROMPT, CONTEXT_OVERFLOW. */
function checkRequest({ sequence }: GenerationContext, prompt: readonly number[], options: GenerateOptions): void {
  const { maxTokens = 1, logprobs = 0 } = options;
  if (!(maxTokens >= 1))
    throw new BitloomError('INVALID_ARGUMENT', `maxTokens must be at least 1, not ${maxTokens}`, { maxTokens });
  if (!Number.isSafeInteger(logprobs) || logprobs < 0 || logprobs > sequence.vocabSize) {
    const message = `logprobs is ${logprobs}; it must be an integer from 0 to the vocabulary's ${sequence.vocabSize}`;
    throw new BitloomError('INVALID_ARGUMENT', message, { logprobs, vocabSize: sequence.vocabSize });
  }
  if (prompt.length === 0)
    throw new BitloomError('EMPTY_PROMPT', 'the prompt is empty: there is nothing to continue; give a text');
  sequence.requireRoom(prompt.length);
}

/** The log-probabilities that go with a token. */
function logprobEntry(tokenizer: Tokenizer, logits: Float32Array, tokenId: number, count: number): LogprobEntry {
  const textOf = (id: number): string => tokenizer.decode([id], { skipSpecial: false, continues: true });
  const { logprob, top } = logProbabilities(logits, tokenId, count);
  return { tokenId, text: textOf(tokenId), logprob, top: top.map((each) => ({ ...each, text: textOf(each.tokenId) })) };
}

/** Prefills the prompt, then draws token after token. Throws EMPTY_PROMPT, CONTEXT_OVERFLOW, INVALID_ARGUMENT, BAD_WEIGHTS, ABORTED. */
export async function* generateTokens(
  context: GenerationContext,
  prompt: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<GenerationChunk, GenerationResult> {
  const { sequence, tokenizer } = context;
  const { signal, logprobs, maxTokens = Number.POSITIVE_INFINITY, reusePrefix = true } = options;
  checkRequest(context, prompt, options);
  const sampler = createSampler(options, sequence.vocabSize);
  const detokenizer = tokenizer.detokenizer({ continues: !context.isReply });
  const stops = new StopMatcher(options.stop ?? []);
  const pause = turnTaker(signal);
  const history = [...prompt];
  const pieces: string[] = [];
  const entries: LogprobEntry[] = [];
  const emit = (text: string, tokenId: number): GenerationChunk => {
    pieces.push(text);
    if (logprobs === undefined) return { tokenId, text };
    const { logprob, top } = entries.at(-1)!;
    return { tokenId, text, logprob, top };
  };

  const began = performance.now();
  if (!reusePrefix) sequence.reset();
  const cachedTokens = sequence.rewind(prompt);
  let logits = await sequence.append(prompt.slice(cachedTokens), pause);
  const prefilled = performance.now();
  let firstToken = prefilled;
  let finishReason: GenerationResult['finishReason'] = 'length';
  while (history.length - prompt.length < maxTokens) {
    await pause();
    const tokenId = sampler.sample(logits, history, prompt.length);
    if (logprobs !== undefined) entries.push(logprobEntry(tokenizer, logits, tokenId, logprobs));
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
    logits = await sequence.append([tokenId], pause);
  }
  const decoded = history.length - prompt.length;
  return {
    text: pieces.join(''),
    tokens: history.slice(prompt.length),
    promptTokens: prompt.length,
    cachedTokens,
    finishReason,
    ...(logprobs === undefined ? {} : { logprobs: entries }),
    timings: {
      loadMs: context.loadMs,
      firstTokenMs: firstToken - began,
      prefillTokensPerSecond: perSecond(prompt.length - cachedTokens, prefilled - began),
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
