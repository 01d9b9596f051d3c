/**
 * The engine as one function. The build replaces this module by a bundle in which `startEngine` refers to nothing
 * outside itself: then its text is a whole worker, and a page's bundle holds the engine once for both uses.
 */
import { threadProgram } from '../target/wasm/index.ts';
import type { Port } from './peer.ts';
import { serve } from './service.ts';
import { serveByName, type WorkerScope } from './worker-scope.ts';

export interface EngineStart {
  /** Serves an engine on a port. */
  serve(port: Port): void;
  /** Serves what this worker was started for: an engine, or a thread of one. False where its name says neither. */
  serveByName(scope: WorkerScope): boolean;
}

/** `here` is the address of this module: the package's own files are found from it. */
export function startEngine(_here: string): EngineStart {
  return { serve, serveByName: (scope) => serveByName(scope, serve, threadProgram) };
}
