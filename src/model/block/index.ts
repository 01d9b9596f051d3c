/** The parts that model families are put together from. */
export { type Attention, attention } from './attention.ts';
export { type Block, chain, layerNorm, linear, perHead, rmsNorm } from './block.ts';
export { type DecoderLayer, decoder, type Embedding, sharing, softCap, tokenEmbedding } from './decoder.ts';
export { mixtureOfExperts, mostExperts } from './experts.ts';
export { fusedFeedForward, plainFeedForward, readActivation } from './feed-forward.ts';
export { type Rotary, readRotary } from './rotary.ts';
export {
  preNormLayer,
  readSizes,
  type Sizes,
  standardAttention,
  standardDecoder,
  standardFeedForward,
} from './standard.ts';
export { readWindows } from './windows.ts';
