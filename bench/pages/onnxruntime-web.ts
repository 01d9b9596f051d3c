/** onnxruntime-web in a page, which is also what Transformers.js computes with. */
import type { Options, Workload } from '../adapter.ts';
import { type Ort, prepareWith } from '../adapters/onnxruntime-web.ts';

const FOLDER = '/peers/onnxruntime-web/dist/';

/** Options: as in adapters/onnxruntime-web.ts. */
export async function prepare(options: Options): Promise<Workload> {
  const ort = (await import(`${FOLDER}ort.wasm.min.mjs`)) as Ort;
  ort.env.wasm.wasmPaths = FOLDER;
  return prepareWith(ort, options);
}
