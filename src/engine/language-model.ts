/** A loaded model as programs use it, wherever its engine runs: in this thread, or in a worker of the page. */
import type { ChatMessage, DecodeOptions, Tokenizer } from '../text/index.ts';
import type { GenerateOptions, Generation } from './generation.ts';
import type { ModelInfo } from './model.ts';

/** What is known about a model's tokens without asking its engine. */
export type TokenFacts = Pick<
  Tokenizer,
  'vocabSize' | 'bosId' | 'eosId' | 'eosIds' | 'bosToken' | 'eosToken' | 'addsBos' | 'addsEos'
>;

/**
 * What `load` gives. In Node the engine runs in the calling thread and some methods answer at once; in browsers
 * all of them give promises. `await` suits both.
 */
export interface LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: TokenFacts;
  /** The prompt's token ids: through the chat template, or as it stands with `raw`. Throws EMPTY_PROMPT, BAD_TEMPLATE. */
  tokenize(
    prompt: string | readonly ChatMessage[],
    options?: { readonly raw?: boolean | undefined },
  ): number[] | Promise<number[]>;
  /** The text of token ids. Inverse of `tokenize` with `raw`, where the vocabulary is made of bytes. */
  detokenize(tokens: readonly number[], options?: DecodeOptions): string | Promise<string>;
  /**
   * Continues a prompt. Iterate the result for text as it comes, or await its `result`.
   * Throws (from the iterator) EMPTY_PROMPT, CONTEXT_OVERFLOW, BAD_TEMPLATE, BAD_WEIGHTS, ABORTED, DISPOSED.
   *
   * @example
   * for await (const { text } of model.generate('Tell me a story.')) write(text);
   */
  generate(prompt: string | readonly ChatMessage[], options?: GenerateOptions): Generation;
  /** Loss in nats of each token but the first, given those before it. Throws CONTEXT_OVERFLOW, ABORTED. */
  score(tokens: readonly number[], options?: { readonly signal?: AbortSignal }): Promise<Float32Array>;
  /** Logits [vocabSize] f32 after the last of `tokens`, from an empty cache. */
  logits(tokens: readonly number[]): Promise<Float32Array>;
  /** Frees the weights, the cache and the threads. May be called twice. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
