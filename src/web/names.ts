/** What every front door of bitloom offers, wherever its engine runs: each adds its own `load` and `estimate`. */
export { Chat } from '../engine/chat.ts';
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
} from '../engine/index.ts';
export * as hub from '../format/hub/index.ts';
export { type FileSet, memoryFiles, pickedFiles } from '../format/index.ts';
export type { DType, ElementType } from '../ir/dtype.ts';
export { BitloomError, type ErrorCode } from '../ir/error.ts';
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
} from '../tensor/index.ts';
export type { ChatMessage } from '../text/index.ts';
