/** What the hub's browser tests call, in a page and in its worker. */
import { platform } from '#platform';
import { cache, type FetchOptions, hubFiles } from '../../src/format/hub/index.ts';

/** How far the download of this page came, for a test that waits for it. */
const state = { loadedBytes: 0 };

/** In a worker, sends a message to its page. */
let tellPage: ((message: unknown) => void) | undefined;

/** Fetches a model and reads all of its files: their hashes, and what was told on the way. */
async function fetchModel(id: string, options: FetchOptions) {
  const warnings: string[] = [];
  const loaded: number[] = [];
  const files = await hubFiles(id, {
    ...options,
    onWarning: (message) => warnings.push(message),
    onProgress({ loadedBytes, totalBytes }) {
      loaded.push(loadedBytes, totalBytes);
      state.loadedBytes = loadedBytes;
      tellPage?.({ loadedBytes });
    },
  });
  const hashes: Record<string, string> = {};
  for (const name of (await files.list()) ?? []) {
    const file = await files.open(name);
    const bytes = new Uint8Array(file.sizeBytes);
    await file.readInto(bytes, 0);
    const digest = platform.createDigest('sha256');
    digest.update(bytes);
    hashes[name] = digest.hex();
  }
  return { hashes, warnings, first: loaded[0], total: loaded[1], last: loaded.at(-2) };
}

const METHODS: Readonly<Record<string, (...args: never[]) => unknown>> = {
  fetchModel,
  list: cache.list,
  size: cache.size,
  delete: cache.delete,
  verify: cache.verify,
  persist: cache.persist,
};

async function answer(method: string, args: unknown[]): Promise<unknown> {
  try {
    return await METHODS[method]!(...(args as never[]));
  } catch (error) {
    return { error: String((error as { code?: unknown }).code ?? error), message: String(error) };
  }
}

/** Calls a method in this page, or in a worker of its own that lives as long as the call. */
function call(isWorker: boolean, method: string, ...args: unknown[]): Promise<unknown> {
  if (!isWorker) return answer(method, args);
  return new Promise((resolve, reject) => {
    const worker = new Worker('/hub-script.js', { type: 'module' });
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }) => {
      if ('loadedBytes' in data) state.loadedBytes = data.loadedBytes;
      else {
        worker.terminate();
        resolve(data.result);
      }
    };
    worker.postMessage({ method, args });
  });
}

if (typeof document === 'undefined') {
  const scope = globalThis as unknown as { postMessage(message: unknown): void };
  tellPage = (message) => scope.postMessage(message);
  globalThis.onmessage = async ({ data }) => tellPage?.({ result: await answer(data.method, data.args) });
} else {
  Object.assign(globalThis, { call, state, ready: true });
}
