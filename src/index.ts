/** The front door: load a language model, or compute with tensors. Sub-paths (`bitloom/quant` …) hold the rest. */
export {
  type GenerateOptions,
  type Generation,
  type GenerationChunk,
  type GenerationResult,
  type KvCacheType,
  type LoadOptions,
  type LoadProgress,
  load,
  type Model,
  type ModelInfo,
} from './engine/index.ts';
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
