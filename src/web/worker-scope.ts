/** What bitloom's own file does where it is started as a worker. */
import type { ThreadPort, ThreadProgram } from '../platform/index.ts';
import { ENGINE_WORKER, THREAD_WORKER } from '../platform/wasm-host-browser.ts';
import type { Port } from './peer.ts';

/** A worker's global scope, as far as it matters here. */
export interface WorkerScope extends Port, Pick<ThreadPort, 'onmessage'> {
  readonly name?: string;
}

/** Serves an engine or a thread, whichever the worker's name asks for; false where it is neither. */
export function serveByName(scope: WorkerScope, serve: (port: Port) => void, program: ThreadProgram): boolean {
  if (typeof document !== 'undefined' || scope.name === undefined) return false;
  if (scope.name === ENGINE_WORKER) serve(scope);
  else if (scope.name.startsWith(THREAD_WORKER)) program(scope);
  else return false;
  return true;
}
