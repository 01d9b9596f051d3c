/** The work that onnxruntime does in either build: MatMul in f32, and MatMulNBits with 4-bit weights. */
import { numberOption, type Options, type Workload } from '../adapter.ts';
import {
  checkProduct,
  gemmTerms,
  INT4_BLOCK,
  type Int4Weights,
  int4Terms,
  randomInt4,
  randomMatrix,
} from './matrix.ts';
import { type OnnxTensor, onnxModel } from './onnx-model.ts';

/** The part of both packages that is used. */
interface Tensor {
  readonly data: Float32Array;
}
type Feeds = Record<string, Tensor>;
interface Session {
  run(feeds: Feeds): Promise<Record<string, Tensor>>;
}
export interface SessionOptions {
  readonly executionProviders: readonly string[];
  readonly intraOpNumThreads?: number;
  readonly interOpNumThreads?: number;
}
export interface Onnxruntime {
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor;
  readonly InferenceSession: { create(model: Uint8Array, options: SessionOptions): Promise<Session> };
}

/** A package that is set up, and one line about it. */
export interface OnnxSetting {
  readonly ort: Onnxruntime;
  readonly session: SessionOptions;
  readonly about: string;
}

/** Options: work (`gemm` or `int4`), size; for `int4` rows (default 1) and accuracyLevel (default 4: 8-bit activations). */
export function onnxWork(setting: OnnxSetting, options: Options): Promise<Workload> {
  const size = numberOption(options, 'size');
  if (options.work === 'gemm') return gemm(setting, size);
  return int4(setting, size, Number(options.rows ?? 1), Number(options.accuracyLevel ?? 4));
}

const repeat =
  (session: Session, feeds: Feeds): Workload['run'] =>
  async (iterations) => {
    for (let i = 0; i < iterations; i++) await session.run(feeds);
    return undefined;
  };

async function gemm({ ort, session: settings, about }: OnnxSetting, size: number): Promise<Workload> {
  const matrix = (name: string): OnnxTensor => ({ name, type: 'f32', shape: [size, size] });
  const [a, b] = [randomMatrix(size, size, 1), randomMatrix(size, size, 2)];
  const inputs = [matrix('a'), matrix('b')];
  const model = onnxModel({ operator: 'MatMul', domain: '', attributes: {}, inputs, output: matrix('c') });
  const session = await ort.InferenceSession.create(model, settings);
  const feeds = { a: new ort.Tensor('float32', a, [size, size]), b: new ort.Tensor('float32', b, [size, size]) };
  const { c } = await session.run(feeds);
  checkProduct(c!.data, size * size, (index) => gemmTerms(a, b, size, index), 1e-5);
  return { workPerIteration: 2 * size ** 3, note: `${about}, MatMul`, run: repeat(session, feeds) };
}

/** Low nibble first along the row, blocks of 32: the layout of `com.microsoft` MatMulNBits. */
function packNibbles({ codes }: Int4Weights): Uint8Array {
  return Uint8Array.from({ length: codes.length / 2 }, (_, i) => codes[2 * i]! | (codes[2 * i + 1]! << 4));
}

async function int4(
  { ort, session: settings, about }: OnnxSetting,
  size: number,
  rows: number,
  accuracyLevel: number,
): Promise<Workload> {
  const weights = randomInt4(size, size, 1);
  const x = randomMatrix(rows, size, 3);
  const nBlocks = size / INT4_BLOCK;
  const model = onnxModel({
    operator: 'MatMulNBits',
    domain: 'com.microsoft',
    attributes: { K: size, N: size, bits: 4, block_size: INT4_BLOCK, accuracy_level: accuracyLevel },
    inputs: [
      { name: 'x', type: 'f32', shape: [rows, size] },
      { name: 'w', type: 'u8', shape: [size, nBlocks, INT4_BLOCK / 2], data: packNibbles(weights) },
      { name: 's', type: 'f32', shape: [size * nBlocks], data: new Uint8Array(weights.scales.buffer) },
    ],
    output: { name: 'y', type: 'f32', shape: [rows, size] },
  });
  const session = await ort.InferenceSession.create(model, settings);
  const feeds = { x: new ort.Tensor('float32', x, [rows, size]) };
  const { y } = await session.run(feeds);
  // Rounding activations to 8 bits moves each term by up to 1/254 of the block's largest.
  checkProduct(y!.data, rows * size, (index) => int4Terms(weights, x, index), 0.02);
  const note = `${about}, MatMulNBits, accuracy level ${accuracyLevel}`;
  return { workPerIteration: 2 * rows * size * size, note, run: repeat(session, feeds) };
}
