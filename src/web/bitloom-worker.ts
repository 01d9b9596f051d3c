/** The file that runs as a worker: the engine, or a thread of it. */
import { startEngine } from './engine.ts';
import type { WorkerScope } from './worker-scope.ts';

startEngine(import.meta.url).serveByName(globalThis as unknown as WorkerScope);
