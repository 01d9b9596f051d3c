export {
  type ChatMessage,
  chatTemplate,
  chatTemplateOfConfig,
  chatTemplateOfGguf,
  type RenderChat,
  type RenderOptions,
  type TemplateTokens,
} from './chat-template.ts';
export { Detokenizer } from './detokenizer.ts';
export { type GgufTokenizerSource, type GgufTokenizerValue, tokenizerToGguf } from './gguf-export.ts';
export { tokenizerFromGguf } from './gguf-vocabulary.ts';
export { tokenizerFromJson } from './json-vocabulary.ts';
export { logProbabilities, type TokenProbability } from './log-probabilities.ts';
export type { LogitBias } from './logit-step.ts';
export { createSampler, type Sampler, type SamplerOptions } from './sampler.ts';
export { type StopMatch, StopMatcher } from './stop-matcher.ts';
export {
  type DecodeOptions,
  type EncodeOptions,
  requireVocabularyFit,
  type Tokenizer,
} from './tokenizer.ts';
export { decodeUtf8, requireWellFormed } from './utf8.ts';
