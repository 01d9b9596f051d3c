/** Loading models and generating text. */

export type { HubOptions } from '../format/hub/index.ts';
export type { LoadProgress } from '../format/index.ts';
export { Chat } from './chat.ts';
export { type Checkpoint, openCheckpoint } from './checkpoint.ts';
export { type EstimateOptions, estimate, type MemoryEstimate } from './estimate.ts';
export type {
  GenerateOptions,
  Generation,
  GenerationChunk,
  GenerationResult,
  LogprobEntry,
  TokenLogprob,
} from './generation.ts';
export type { KvCacheType } from './kv-cache.ts';
export type { LanguageModel, TokenFacts } from './language-model.ts';
export { type LoadOptions, load, type Model, type ModelInfo } from './model.ts';
export { type ModelFiles, type ModelSource, openSource, type SourceOptions } from './source.ts';
export { type CachedWeights, weightCache } from './weight-cache.ts';
