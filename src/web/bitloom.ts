/** The bundle in one file: the names of `index.ts`, and the worker's program in the same file. */
import type { EstimateOptions, LanguageModel, LoadOptions, MemoryEstimate, ModelSource } from '../engine/index.ts';
import { threadProgram } from '../target/wasm/index.ts';
import { type EngineWays, estimateWith, loadWith } from './load.ts';
import { serve } from './service.ts';
import { serveByName, type WorkerScope } from './worker-scope.ts';
import { workerFrom, workerFromText } from './worker-start.ts';

export * from './index.ts';

const WAYS: EngineWays = {
  workers: [
    () => workerFrom(import.meta.url),
    // From another origin no worker starts; a worker of this origin may import from there.
    () => workerFromText(`import ${JSON.stringify(import.meta.url)};`, 'module'),
  ],
  serveHere: serve,
};

/** As `load` of `index.ts`: this file itself is started as the worker. */
export function load(source?: ModelSource, options: LoadOptions = {}): Promise<LanguageModel> {
  return loadWith(WAYS, source, options);
}

/** As `estimate` of `index.ts`. */
export function estimate(source?: ModelSource, options: EstimateOptions = {}): Promise<MemoryEstimate> {
  return estimateWith(WAYS, source, options);
}

// The one file of the package that does something when it is loaded: started as a worker, it has to.
serveByName(globalThis as unknown as WorkerScope, serve, threadProgram);
