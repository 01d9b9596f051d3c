/** The page's end of the port: a model whose engine runs at the other. */
import { type GenerateOptions, Generation, type GenerationChunk, type GenerationResult } from '../engine/generation.ts';
import type { LanguageModel, ModelInfo, TokenFacts } from '../engine/index.ts';
import { BitloomError } from '../ir/error.ts';
import type { ChatMessage, DecodeOptions } from '../text/index.ts';
import type { Peer } from './peer.ts';
import type { LoadedModel } from './service.ts';

type Prompt = string | readonly ChatMessage[];

/** Made by `load`. One reply at a time: later requests wait for earlier ones. */
export class RemoteModel implements LanguageModel {
  readonly info: ModelInfo;
  readonly tokenizer: TokenFacts;
  readonly #peer: Peer;
  readonly #end: () => void;
  #disposal: Promise<void> | undefined;

  /** `end` ends the worker. */
  constructor(peer: Peer, { info, tokenizer }: LoadedModel, end: () => void) {
    this.#peer = peer;
    this.#end = end;
    this.info = info;
    this.tokenizer = tokenizer;
  }

  async tokenize(prompt: Prompt, options: { readonly raw?: boolean | undefined } = {}): Promise<number[]> {
    return (await this.#peer.call('tokenize', [prompt, options])) as number[];
  }

  async detokenize(tokens: readonly number[], options: DecodeOptions = {}): Promise<string> {
    return (await this.#peer.call('detokenize', [tokens, options])) as string;
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const items = this.#peer.stream('generate', [prompt, options]);
    return new Generation(items as AsyncGenerator<GenerationChunk, GenerationResult>);
  }

  async score(tokens: readonly number[], options: { readonly signal?: AbortSignal } = {}): Promise<Float32Array> {
    return (await this.#peer.call('score', [tokens, options])) as Float32Array;
  }

  async logits(tokens: readonly number[]): Promise<Float32Array> {
    return (await this.#peer.call('logits', [tokens])) as Float32Array;
  }

  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    try {
      await this.#peer.call('dispose', []);
    } finally {
      this.#peer.close(new BitloomError('DISPOSED', 'the model was used after dispose()'));
      this.#end();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
