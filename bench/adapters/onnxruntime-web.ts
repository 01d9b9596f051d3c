/** onnxruntime-web on its WebAssembly provider. */
import { importPeer, numberOption, type Options, type Workload } from '../adapter.ts';
import { type Onnxruntime, onnxWork } from './onnx-work.ts';

/** The part of the package that is used. */
export interface Ort extends Onnxruntime {
  readonly env: {
    readonly wasm: { numThreads?: number; wasmPaths?: string };
    readonly versions: { readonly web?: string };
  };
}

/** Options: threads, and what `onnxWork` knows. */
export const prepare = async (options: Options): Promise<Workload> =>
  prepareWith(await importPeer<Ort>('onnxruntime-web'), options);

/** The same with the package at hand. */
export function prepareWith(ort: Ort, options: Options): Promise<Workload> {
  const threads = numberOption(options, 'threads');
  ort.env.wasm.numThreads = threads;
  const about = `onnxruntime-web ${ort.env.versions.web}, ${threads} threads`;
  return onnxWork({ ort, session: { executionProviders: ['wasm'] }, about }, options);
}
