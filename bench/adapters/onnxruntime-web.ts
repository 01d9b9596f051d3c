/** onnxruntime-web on its WebAssembly provider: MatMul in f32, and MatMulNBits with 4-bit weights. */
import { importPeer, numberOption, type Options, type Workload } from '../adapter.ts';
import {
  checkProduct,
  gemmTerms,
  gemvTerms,
  INT4_BLOCK,
  type Int4Weights,
  randomInt4,
  randomMatrix,
} from './matrix.ts';
import { type OnnxTensor, onnxModel } from './onnx-model.ts';

/** The part of the package that is used. */
interface Tensor {
  readonly data: Float32Array;
}
type Feeds = Record<string, Tensor>;
interface Session {
  run(feeds: Feeds): Promise<Record<string, Tensor>>;
}
export interface Ort {
  readonly env: {
    readonly wasm: { numThreads?: number; wasmPaths?: string };
    readonly versions: { readonly web?: string };
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor;
  readonly InferenceSession: { create(model: Uint8Array, options: { executionProviders: string[] }): Promise<Session> };
}

/** Options: work (`gemm` or `gemv`), size, threads; accuracyLevel for `gemv` (4 = 8-bit activations). */
export const prepare = async (options: Options): Promise<Workload> =>
  prepareWith(await importPeer<Ort>('onnxruntime-web'), options);

/** The same with the package at hand. */
export function prepareWith(ort: Ort, options: Options): Promise<Workload> {
  const [size, threads] = [numberOption(options, 'size'), numberOption(options, 'threads')];
  ort.env.wasm.numThreads = threads;
  const about = `onnxruntime-web ${ort.env.versions.web}, ${threads} threads`;
  return options.work === 'gemm' ? gemm(ort, size, about) : gemv(ort, size, Number(options.accuracyLevel ?? 4), about);
}

const open = (ort: Ort, model: Uint8Array): Promise<Session> =>
  ort.InferenceSession.create(model, { executionProviders: ['wasm'] });

const repeat =
  (session: Session, feeds: Feeds): Workload['run'] =>
  async (iterations) => {
    for (let i = 0; i < iterations; i++) await session.run(feeds);
    return undefined;
  };

async function gemm(ort: Ort, size: number, about: string): Promise<Workload> {
  const matrix = (name: string): OnnxTensor => ({ name, type: 'f32', shape: [size, size] });
  const [a, b] = [randomMatrix(size, size, 1), randomMatrix(size, size, 2)];
  const inputs = [matrix('a'), matrix('b')];
  const model = onnxModel({ operator: 'MatMul', domain: '', attributes: {}, inputs, output: matrix('c') });
  const session = await open(ort, model);
  const feeds = { a: new ort.Tensor('float32', a, [size, size]), b: new ort.Tensor('float32', b, [size, size]) };
  const { c } = await session.run(feeds);
  checkProduct(c!.data, size * size, (index) => gemmTerms(a, b, size, index), 1e-5);
  return { workPerIteration: 2 * size ** 3, note: `${about}, MatMul`, run: repeat(session, feeds) };
}

/** Low nibble first along the row, blocks of 32: the layout of `com.microsoft` MatMulNBits. */
function packNibbles({ codes }: Int4Weights): Uint8Array {
  return Uint8Array.from({ length: codes.length / 2 }, (_, i) => codes[2 * i]! | (codes[2 * i + 1]! << 4));
}

async function gemv(ort: Ort, size: number, accuracyLevel: number, about: string): Promise<Workload> {
  const weights = randomInt4(size, size, 1);
  const x = randomMatrix(1, size, 3);
  const nBlocks = size / INT4_BLOCK;
  const model = onnxModel({
    operator: 'MatMulNBits',
    domain: 'com.microsoft',
    attributes: { K: size, N: size, bits: 4, block_size: INT4_BLOCK, accuracy_level: accuracyLevel },
    inputs: [
      { name: 'x', type: 'f32', shape: [1, size] },
      { name: 'w', type: 'u8', shape: [size, nBlocks, INT4_BLOCK / 2], data: packNibbles(weights) },
      { name: 's', type: 'f32', shape: [size * nBlocks], data: new Uint8Array(weights.scales.buffer) },
    ],
    output: { name: 'y', type: 'f32', shape: [1, size] },
  });
  const session = await open(ort, model);
  const feeds = { x: new ort.Tensor('float32', x, [1, size]) };
  const { y } = await session.run(feeds);
  // Rounding activations to 8 bits moves each term by up to 1/254 of the block's largest.
  checkProduct(y!.data, size, (row) => gemvTerms(weights, x, row), 0.02);
  const note = `${about}, MatMulNBits, accuracy level ${accuracyLevel}`;
  return { workPerIteration: 2 * size * size, note, run: repeat(session, feeds) };
}
