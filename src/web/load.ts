/** Loading in a page: an engine is started where it can run, and its model's face is handed out. */
import type { EstimateOptions, LanguageModel, LoadOptions, MemoryEstimate, ModelSource } from '../engine/index.ts';
import { type FileSet, memoryFiles } from '../format/index.ts';
import { BitloomError } from '../ir/error.ts';
import { fileMethods, isFileSet } from './files.ts';
import { Peer, type Port } from './peer.ts';
import { RemoteModel } from './remote-model.ts';
import type { LoadedModel } from './service.ts';
import { startWorker, type WorkerWay, workerFrom } from './worker-start.ts';

/** How a package can be started as an engine. */
export interface EngineWays {
  /** Ways to a worker, best first. */
  readonly workers: readonly WorkerWay[];
  /** Serves an engine in this very thread. */
  serveHere(port: Port): Promise<void> | void;
}

interface Engine {
  readonly port: Port;
  /** Undefined in the page itself. */
  readonly worker: Worker | undefined;
  end(): void;
}

async function engineHere(ways: EngineWays): Promise<Engine> {
  const { port1, port2 } = new MessageChannel();
  await ways.serveHere(port2);
  return { port: port1, worker: undefined, end: () => port1.close() };
}

/** Workers stand beside pages; in a worker of the caller's own, the engine is off the page already. */
const isPage = (): boolean => typeof document !== 'undefined';

async function startEngine(
  ways: EngineWays,
  wanted: LoadOptions['worker'] = isPage(),
  signal: AbortSignal | undefined,
  warn: (message: string) => void,
): Promise<Engine> {
  if (wanted === false) return engineHere(ways);
  const isNamed = typeof wanted === 'string' || wanted instanceof URL;
  const started = await startWorker(isNamed ? [() => workerFrom(wanted)] : ways.workers, signal);
  if ('worker' in started) {
    const { worker } = started;
    return { port: worker, worker, end: () => worker.terminate() };
  }
  const why = started.reasons.join('; then ');
  if (isNamed) {
    const message = `no engine started from ${String(wanted)}: ${why}. Check the address, and that its content is bitloom's worker file.`;
    throw new BitloomError('NO_DEVICE', message, { worker: String(wanted) });
  }
  warn(
    `no-worker: the engine runs in the page, which stands still while it computes (${why}); serve bitloom-worker.js and name it in the option worker`,
  );
  return engineHere(ways);
}

/** What stays in the page and is read from there piece by piece: sets of files; and bytes, which would be held twice. */
function filesHere(source: ModelSource | undefined): FileSet | undefined {
  if (source instanceof Uint8Array) return memoryFiles({ 'model.gguf': source }, 'bytes in memory');
  return isFileSet(source) ? source : undefined;
}

/** Starts an engine and sends it a source under a method's name. */
async function begin(
  ways: EngineWays,
  method: 'load' | 'estimate',
  source: ModelSource | undefined,
  { worker, onWarning, ...rest }: LoadOptions & { onWarning: (message: string) => void },
): Promise<{ readonly value: unknown; readonly peer: Peer; readonly engine: Engine }> {
  const { signal } = rest;
  if (signal?.aborted) {
    throw new BitloomError('ABORTED', 'the call was aborted by its signal', {}, { cause: signal.reason });
  }
  const engine = await startEngine(ways, worker, signal, onWarning);
  const files = filesHere(source);
  const peer = new Peer(engine.port, files === undefined ? {} : fileMethods(files));
  engine.worker?.addEventListener('error', (event) => {
    peer.close(new BitloomError('NO_DEVICE', `the engine's worker failed: ${event.message}`));
  });
  try {
    const sent = files === undefined ? source : { fileSet: files.name };
    const page = isPage() ? document.baseURI : (globalThis.location?.href ?? '');
    return { value: await peer.call(method, [sent, { ...rest, onWarning }, page]), peer, engine };
  } catch (error) {
    engine.end();
    throw error;
  }
}

const toConsole = (message: string): void => console.warn(message);

/** `load` for pages. Throws as the engine's own does, and NO_DEVICE where a named worker does not start. */
export async function loadWith(
  ways: EngineWays,
  source: ModelSource | undefined,
  { onWarning = toConsole, ...options }: LoadOptions,
): Promise<LanguageModel> {
  const { value, peer, engine } = await begin(ways, 'load', source, { ...options, onWarning });
  return new RemoteModel(peer, value as LoadedModel, engine.end);
}

/** `estimate` for pages, by an engine that lives only for it. */
export async function estimateWith(
  ways: EngineWays,
  source: ModelSource | undefined,
  { onWarning = toConsole, ...options }: EstimateOptions,
): Promise<MemoryEstimate> {
  const { value, engine } = await begin(ways, 'estimate', source, { ...options, onWarning });
  engine.end();
  return value as MemoryEstimate;
}
