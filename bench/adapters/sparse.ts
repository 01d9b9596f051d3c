/** bitloom's matrix-vector products with pruned bf16 weights: stored sparse, or whole, from as many matrices as fill a set of bytes. */
import { readFileSync, statSync } from 'node:fs';
import { Absent, numberOption, type Options, type Workload } from '../adapter.ts';
import { checkProduct, randomMatrix } from './matrix.ts';

type Bitloom = typeof import('../../src/index.ts');
type TensorModule = typeof import('../../src/tensor/index.ts');
type Tensor = InstanceType<Bitloom['Tensor']>;
type Matrix = TensorModule['nn'] extends { sparseMatrix(...args: never[]): infer M } ? M : never;

const repository = process.env.BITLOOM_REPOSITORY!;

async function built<T>(path: string): Promise<T> {
  const file = `${repository}dist/${path}`;
  if (statSync(file, { throwIfNoEntry: false }) === undefined) throw new Absent('dist/ is not built: npm run build');
  return (await import(file)) as T;
}

/** Weights [size, size] of which `zeros` per cent are zero, in no order; what is left has few bits, so that bf16 holds it. */
function pruned(size: number, zeros: number): Float32Array<ArrayBuffer> {
  const [values, chosen] = [randomMatrix(size, size, 1), randomMatrix(size, size, 2)];
  return values.map((x, i) => ((chosen[i]! + 1) * 50 < zeros ? 0 : (Math.floor(x * 64) + 0.5) / 64));
}

/** Options: threads, size, zeros (per cent of the weights), setBytes, and isWhole: whether zeros are stored like the others. */
export async function prepare(options: Options): Promise<Workload> {
  const { createDevice, jit, nn, numpy: np } = await built<Bitloom>('index.js');
  const { Storage, Tensor } = await built<TensorModule>('tensor/index.js');
  const [size, zeros] = [numberOption(options, 'size'), numberOption(options, 'zeros')];
  const device = await createDevice('x64', { threads: numberOption(options, 'threads') }).catch((error: Error) => {
    throw new Absent(error.message);
  });
  if (!device.features.includes('avx512-vbmi2')) throw new Absent('this processor has no AVX-512 VBMI2');
  const weights = pruned(size, zeros);
  const data = randomMatrix(1, size, 3);
  const x = np.array(data, { shape: [1, size], device });
  const copy = async (tensor: Tensor): Promise<Tensor> => {
    const bytes = await tensor.bytes();
    const buffer = device.allocate(bytes.byteLength);
    device.bytes(buffer).set(bytes);
    return Tensor.from(tensor.type, Storage.onDevice(device, buffer));
  };
  const set = <T>(bytesEach: number, make: () => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: Math.max(1, Math.round(numberOption(options, 'setBytes') / bytesEach)) }, make));
  const whole = np.array(weights, { shape: [size, size], dtype: 'bf16' });
  const sparse = nn.sparseMatrix(weights, [size, size]);
  const sparseBytes = [sparse.bitmap, sparse.values, sparse.starts].reduce((sum, t) => sum + t.sizeBytes, 0);
  const [denseProduct, sparseProduct] = [
    jit((p: Tensor, w: Tensor) => nn.linear(p, w)),
    jit((p: Tensor, w: Matrix) => nn.sparseLinear(p, w)),
  ];
  const products: (() => Promise<Tensor>)[] = options.isWhole
    ? (await set(whole.sizeBytes, () => copy(whole))).map((w) => () => denseProduct(x, w))
    : (
        await set(sparseBytes, async () => ({
          shape: sparse.shape,
          bitmap: await copy(sparse.bitmap),
          values: await copy(sparse.values),
          starts: await copy(sparse.starts),
        }))
      ).map((w) => () => sparseProduct(x, w));
  const result = await (await products.at(-1)!()).data();
  const terms = (row: number) => Array.from(data, (value, k) => value * weights[row * size + k]!);
  checkProduct(result, size, terms, 1e-5);
  const { version } = JSON.parse(readFileSync(`${repository}package.json`, 'utf8')) as { version: string };
  const bytesEach = options.isWhole ? whole.sizeBytes : sparseBytes;
  let next = 0;
  return {
    workPerIteration: 1,
    note: `bitloom ${version}, ${device.threads} threads, ${device.features.join(' ')}, ${products.length} matrices of ${(bytesEach / 1e6).toFixed(1)} MB`,
    async run(iterations) {
      for (let i = 0; i < iterations; i++) (await products[next++ % products.length]!()).dispose();
      return undefined;
    },
  };
}
