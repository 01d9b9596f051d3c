/** @jax-js/jax on its WebAssembly backend: a jitted matrix product. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { importPeer, numberOption, type Options, type Workload } from '../adapter.ts';
import { provideBrowserWorker } from './browser-worker.ts';
import { checkProduct, gemmTerms, randomMatrix } from './matrix.ts';

/** The part of the package that is used. Arguments are consumed unless passed as `.ref`. */
interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: number[]): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface Jax {
  readonly numpy: { array(data: Float32Array): JaxArray; matmul(a: JaxArray, b: JaxArray): JaxArray };
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): string;
  jit(f: (a: JaxArray, b: JaxArray) => JaxArray): (a: JaxArray, b: JaxArray) => JaxArray;
  blockUntilReady(x: JaxArray): Promise<unknown>;
}

/** Options: size, threads. Without a global `Worker` the package runs on the calling thread alone. */
export async function prepare(options: Options): Promise<Workload> {
  const [size, threads] = [numberOption(options, 'size'), numberOption(options, 'threads')];
  if (threads > 1) provideBrowserWorker(threads);
  const jax = await importPeer<Jax>('@jax-js/jax');
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const [a, b] = [randomMatrix(size, size, 1), randomMatrix(size, size, 2)];
  const [x, y] = [jax.numpy.array(a).reshape([size, size]), jax.numpy.array(b).reshape([size, size])];
  const product = jax.jit((p, q) => jax.numpy.matmul(p, q));
  const result = await product(x.ref, y.ref).data();
  checkProduct(result, size * size, (index) => gemmTerms(a, b, size, index), 1e-5);
  return {
    workPerIteration: 2 * size ** 3,
    note: `@jax-js/jax ${version()}, jit(matmul), ${threads === 1 ? 'no workers' : `${threads} workers`}`,
    async run(iterations) {
      for (let i = 0; i < iterations; i++) {
        const z = product(x.ref, y.ref);
        await jax.blockUntilReady(z);
        z.dispose();
      }
      return undefined;
    },
  };
}

function version(): string {
  const entry = createRequire(import.meta.url).resolve('@jax-js/jax');
  const manifest = readFileSync(entry.replace(/dist\/.*$/, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
