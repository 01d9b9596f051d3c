/** The front door: load a language model, or compute with tensors. Sub-paths (`bitloom/quant` …) hold the rest. */
import { type LanguageModel, type LoadOptions, load as loadModel, type ModelSource } from './engine/index.ts';

export type {
  EstimateOptions,
  GenerateOptions,
  Generation,
  GenerationChunk,
  GenerationResult,
  KvCacheType,
  LanguageModel,
  LoadOptions,
  LoadProgress,
  LogprobEntry,
  MemoryEstimate,
  ModelInfo,
  ModelSource,
  TokenFacts,
  TokenLogprob,
} from './engine/index.ts';
export { Chat, estimate } from './engine/index.ts';
export * as hub from './format/hub/index.ts';
export { type FileSet, memoryFiles, pickedFiles } from './format/index.ts';
export type { DType, ElementType } from './ir/dtype.ts';
export { BitloomError, type ErrorCode } from './ir/error.ts';
export {
  createDevice,
  type Device,
  type DeviceName,
  type DeviceOptions,
  defaultDevice,
  evaluate,
  jit,
  nn,
  numpy,
  setDefaultDevice,
  Tensor,
} from './tensor/index.ts';
export type { ChatMessage } from './text/index.ts';

/**
 * Loads a model from a folder, a file, an address, a hub id or bytes; without a source the embedded story model.
 * Throws MISSING_FILE, BAD_FILE, BAD_TOKENIZER, UNSUPPORTED_ARCHITECTURE, MISSING_TENSOR, BAD_WEIGHTS, OUT_OF_MEMORY, ABORTED.
 *
 * @example
 * const model = await load('models/smollm');
 * console.log((await model.generate('Hello!', { maxTokens: 50 }).result).text);
 */
export const load: (source?: ModelSource, options?: LoadOptions) => Promise<LanguageModel> = loadModel;
