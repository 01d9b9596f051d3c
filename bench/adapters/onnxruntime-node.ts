/** onnxruntime-node on the CPU: native code, as a measure of what lies beyond WebAssembly. */
import { importPeer, numberOption, type Options, type Workload } from '../adapter.ts';
import { plural } from '../case.ts';
import { type Onnxruntime, onnxWork } from './onnx-work.ts';

/** The part of the package that is used. */
interface Ort extends Onnxruntime {
  readonly env: { readonly versions: { readonly node?: string } };
}

/** Options: threads, and what `onnxWork` knows. */
export async function prepare(options: Options): Promise<Workload> {
  const imported = await importPeer<Ort & { readonly default?: Ort }>('onnxruntime-node');
  const ort = imported.default ?? imported;
  const threads = numberOption(options, 'threads');
  const session = { executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1 };
  return onnxWork({ ort, session, about: `onnxruntime-node ${ort.env.versions.node}, ${plural(threads)}` }, options);
}
