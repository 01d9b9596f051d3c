/** TensorFlow.js on its WebAssembly backend: an f32 matrix product. */
import { numberOption, type Options, type Workload } from '../adapter.ts';
import { checkProduct, gemmTerms, randomMatrix } from '../adapters/matrix.ts';

/** The part of the package that is used; its files put it into the global `tf`. */
interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface TensorFlow {
  readonly version_core: string;
  readonly wasm: { setThreadsCount(count: number): void; setWasmPaths(folder: string): void };
  setBackend(name: 'wasm'): Promise<boolean>;
  ready(): Promise<void>;
  tensor2d(values: Float32Array, shape: [number, number]): TfTensor;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
}
declare const tf: TensorFlow;

const FOLDER = '/peers/@tensorflow';
const FILES = ['tfjs-core/dist/tf-core.min.js', 'tfjs-backend-wasm/dist/tf-backend-wasm.min.js'];

/** Options: size, threads. */
export async function prepare(options: Options): Promise<Workload> {
  const [size, threads] = [numberOption(options, 'size'), numberOption(options, 'threads')];
  for (const file of FILES) await import(`${FOLDER}/${file}`);
  tf.wasm.setWasmPaths(`${FOLDER}/tfjs-backend-wasm/dist/`);
  tf.wasm.setThreadsCount(threads);
  if (!(await tf.setBackend('wasm'))) throw new Error('the WebAssembly backend does not start');
  await tf.ready();
  const [a, b] = [randomMatrix(size, size, 1), randomMatrix(size, size, 2)];
  const [x, y] = [tf.tensor2d(a, [size, size]), tf.tensor2d(b, [size, size])];
  const result = await tf.matMul(x, y).data();
  checkProduct(result, size * size, (index) => gemmTerms(a, b, size, index), 1e-5);
  return {
    workPerIteration: 2 * size ** 3,
    note: `@tensorflow/tfjs-backend-wasm ${tf.version_core}, ${threads} threads`,
    run(iterations) {
      // Kernels of this backend run to their end within the call.
      for (let i = 0; i < iterations; i++) tf.matMul(x, y).dispose();
      return undefined;
    },
  };
}
