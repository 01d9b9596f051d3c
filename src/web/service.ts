/** The engine's end of the port: one model, loaded and asked by messages. */

import {
  type EstimateOptions,
  estimate,
  type GenerateOptions,
  type LoadOptions,
  load,
  type Model,
  type ModelInfo,
  type ModelSource,
  type TokenFacts,
} from '../engine/index.ts';
import { BitloomError } from '../ir/error.ts';
import { setPageAddress } from '../platform/browser.ts';
import type { ChatMessage, DecodeOptions } from '../text/index.ts';
import { type DistantFiles, distantFiles, isDistantFiles } from './files.ts';
import { Peer, type Port } from './peer.ts';
import { type Message, PROTOCOL } from './protocol.ts';

type Prompt = string | readonly ChatMessage[];

/** What the page learns of a loaded model. */
export interface LoadedModel {
  readonly info: ModelInfo;
  readonly tokenizer: TokenFacts;
}

/** Serves one model on `port`, and says that it can be called. */
export function serve(port: Port): void {
  let loaded: Model | undefined;
  const model = (): Model => {
    if (loaded === undefined) throw new BitloomError('DISPOSED', 'no model is loaded at this end of the port');
    return loaded;
  };
  const sourceOf = (source: ModelSource | DistantFiles | undefined): ModelSource | undefined =>
    isDistantFiles(source) ? distantFiles(peer, source) : source;
  const peer = new Peer(port, {
    async load(
      source: ModelSource | DistantFiles | undefined,
      options: LoadOptions,
      page: string,
    ): Promise<LoadedModel> {
      setPageAddress(page);
      loaded = await load(sourceOf(source), options);
      const { vocabSize, bosId, eosId, eosIds, bosToken, eosToken, addsBos, addsEos } = loaded.tokenizer;
      const tokenizer = { vocabSize, bosId, eosId, eosIds, bosToken, eosToken, addsBos, addsEos };
      return { info: loaded.info, tokenizer };
    },
    estimate(source: ModelSource | DistantFiles | undefined, options: EstimateOptions, page: string) {
      setPageAddress(page);
      return estimate(sourceOf(source), options);
    },
    tokenize: (prompt: Prompt, options: { raw?: boolean }) => model().tokenize(prompt, options),
    detokenize: (tokens: readonly number[], options: DecodeOptions) => model().detokenize(tokens, options),
    async *generate(prompt: Prompt, options: GenerateOptions) {
      const reply = model().generate(prompt, options);
      yield* reply;
      return await reply.result;
    },
    score: (tokens: readonly number[], options: { signal?: AbortSignal }) => model().score(tokens, options),
    logits: (tokens: readonly number[]) => model().logits(tokens),
    dispose: () => loaded?.dispose(),
  });
  port.postMessage({ kind: 'ready', protocol: PROTOCOL } satisfies Message);
}
