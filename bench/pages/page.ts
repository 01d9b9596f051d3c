/** The script of a contender's page: prepares one workload and repeats it when the contender's process (chromium.ts) asks. */
import type { Adapter, Options, Workload } from '../adapter.ts';

/** What runs in a page, by name; only the chosen one is loaded. */
const PAGES: Readonly<Record<string, () => Promise<Adapter>>> = {
  bitloom: () => import('./bitloom.ts'),
  'onnxruntime-web': () => import('./onnxruntime-web.ts'),
  'tfjs-wasm': () => import('./tfjs-wasm.ts'),
  wllama: () => import('./wllama.ts'),
};

/** What the page offers; called through the browser's debugging protocol. */
export interface PageFace {
  /** Prepares the work that `options.page` names. */
  start(options: Options): Promise<{ workPerIteration: number; note: string }>;
  /** Does the work and gives its value in the base unit of the case, measured on the page's own clock. */
  run(iterations: number): Promise<number>;
}

let workload: Workload | undefined;

const face: PageFace = {
  async start(options) {
    const page = PAGES[String(options.page)];
    if (page === undefined) throw new Error(`there is no page called ${options.page}`);
    workload = await (await page()).prepare(options);
    return { workPerIteration: workload.workPerIteration, note: workload.note };
  },
  async run(iterations) {
    const start = performance.now();
    const own = await workload!.run(iterations);
    const seconds = (performance.now() - start) / 1000;
    return own ?? (workload!.workPerIteration * iterations) / seconds;
  },
};

Object.assign(globalThis, face, { ready: true });
