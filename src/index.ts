/** The front door: load a language model, or compute with tensors. Sub-paths (`bitloom/quant` …) hold the rest. */
import { type LanguageModel, type LoadOptions, load as loadModel, type ModelSource } from './engine/index.ts';

export { estimate } from './engine/index.ts';
export * from './web/names.ts';

/**
 * Loads a model from a folder, a file, an address, a hub id or bytes; without a source the embedded story model.
 * Throws MISSING_FILE, BAD_FILE, BAD_TOKENIZER, UNSUPPORTED_ARCHITECTURE, MISSING_TENSOR, BAD_WEIGHTS, OUT_OF_MEMORY, ABORTED.
 *
 * @example
 * const model = await load('models/smollm');
 * console.log((await model.generate('Hello!', { maxTokens: 50 }).result).text);
 */
export const load: (source?: ModelSource, options?: LoadOptions) => Promise<LanguageModel> = loadModel;
