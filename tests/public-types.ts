/** The types of the public face, held by the compiler alone: this file is checked, never run. */

import type * as node from '../src/index.ts';
import {
  BitloomError,
  type ErrorCode,
  estimate,
  type GenerationChunk,
  type GenerationResult,
  type LanguageModel,
  load,
  type MemoryEstimate,
  type ModelInfo,
  memoryFiles,
  numpy as np,
} from '../src/index.ts';
import type * as bundle from '../src/web/bitloom.ts';
import type * as web from '../src/web/index.ts';

/** True where A and B are the same type; `any` is the same as nothing but itself. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_Claim extends true>(): void => {};

// One program, whichever file the package's conditions pick.
holds<Same<keyof typeof web, keyof typeof node>>();
holds<Same<keyof typeof bundle, keyof typeof node>>();
holds<Same<(typeof web)['estimate'], (typeof bundle)['estimate']>>();
holds<Same<ReturnType<(typeof web)['load']>, ReturnType<(typeof node)['load']>>>();
holds<Same<Parameters<(typeof web)['load']>, Parameters<(typeof node)['load']>>>();

export async function story(): Promise<void> {
  const memory = await estimate('model.gguf', { contextLength: 512 });
  holds<Same<typeof memory, MemoryEstimate>>();
  await using model = await load(memoryFiles({ 'model.gguf': new Uint8Array() }), {
    worker: false,
    kvCacheType: 'f16',
    onProgress: ({ loadedBytes, totalBytes }) => holds<Same<typeof loadedBytes | typeof totalBytes, number>>(),
  });
  holds<Same<typeof model, LanguageModel>>();
  holds<Same<typeof model.info, ModelInfo>>();
  const tokens = await model.tokenize([{ role: 'user', content: 'Hello' }]);
  holds<Same<typeof tokens, number[]>>();
  const reply = model.generate('Hello', { temperature: 0, signal: AbortSignal.timeout(1000) });
  for await (const chunk of reply) holds<Same<typeof chunk, GenerationChunk>>();
  const result = await reply.result;
  holds<Same<typeof result, GenerationResult>>();
  const logits = await model.logits(tokens);
  holds<Same<typeof logits, Float32Array>>();

  // @ts-expect-error: no such device
  await load('model', { device: 'gpu' });
  // @ts-expect-error: a number is no source
  await load(3);
  // @ts-expect-error: a model is asked, not changed
  model.info.threads = 2;
  // @ts-expect-error: tensors are no numbers
  np.add('1', 2);
}

export function failure(error: unknown): ErrorCode | undefined {
  if (!(error instanceof BitloomError)) return undefined;
  holds<Same<typeof error.details, Readonly<Record<string, unknown>>>>();
  // @ts-expect-error: codes are a closed list
  if (error.code === 'SOMETHING_ELSE') return undefined;
  return error.code;
}
