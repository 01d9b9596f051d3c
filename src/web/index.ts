/** The front door in browsers: the names of `bitloom` elsewhere, with the engine of `load` in a worker. */
import type { EstimateOptions, LanguageModel, LoadOptions, MemoryEstimate, ModelSource } from '../engine/index.ts';
import { type EngineWays, estimateWith, loadWith } from './load.ts';
import { type WorkerWay, workerFromText } from './worker-start.ts';

export * from './names.ts';

/** Kept apart from its use: bundlers take the literal pattern for a file that they have to copy. */
const here: string = import.meta.url;

/** The package's own worker file. Vite, webpack and Parcel know this very expression, and take the file along. */
const fromFile: WorkerWay = () =>
  new Worker(new URL('./bitloom-worker.js', import.meta.url), { type: 'module', name: 'bitloom-engine' });

/** The engine's text: no file is needed, but the page's policy must allow workers from a blob:. */
const fromText: WorkerWay = async () => {
  const { startEngine } = await import('./engine.ts');
  return workerFromText(`(${startEngine})(${JSON.stringify(here)}).serveByName(self)`, 'classic');
};

const WAYS: EngineWays = {
  workers: [fromFile, fromText],
  async serveHere(port) {
    const { startEngine } = await import('./engine.ts');
    startEngine(here).serve(port);
  },
};

/**
 * Loads a model from an address, a hub id, a picked or dropped file, or bytes; without a source the embedded
 * story model. The engine runs in a worker unless `worker` says otherwise.
 * Throws as `load` does elsewhere, and NO_DEVICE where a worker that `worker` names does not start.
 *
 * @example
 * const model = await load(input.files[0]);
 * for await (const { text } of model.generate('Once upon a time')) output.append(text);
 */
export function load(source?: ModelSource, options: LoadOptions = {}): Promise<LanguageModel> {
  return loadWith(WAYS, source, options);
}

/**
 * How much memory a model will need, without reading its weights.
 * Throws what `load` throws before it allocates.
 */
export function estimate(source?: ModelSource, options: EstimateOptions = {}): Promise<MemoryEstimate> {
  return estimateWith(WAYS, source, options);
}
