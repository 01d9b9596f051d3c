/** bitloom itself, as its users run it: through the built package in dist/. */
import { readFileSync, statSync } from 'node:fs';
import { Absent, numberOption, type Options, type Workload } from '../adapter.ts';
import { ownMegabytes } from '../memory.ts';
import { RandomWords, randomElements, type SHAPERS } from '../random-blocks.ts';
import { checkProduct, gemmTerms, gemvTerms, int4Terms, int4Value, randomInt4, randomMatrix } from './matrix.ts';

type Bitloom = typeof import('../../src/index.ts');
type Quant = typeof import('../../src/quant/index.ts');
type Device = Awaited<ReturnType<Bitloom['createDevice']>>;
type Model = Awaited<ReturnType<Bitloom['load']>>;

/** Tokens of a prefill step of the engine. */
const PREFILL_CHUNK = 128;
const repository = process.env.BITLOOM_REPOSITORY!;

/** Imports a module of dist/. Throws Absent where the package has not been built. */
async function built<T>(path: string): Promise<T> {
  const file = `${repository}dist/${path}`;
  if (statSync(file, { throwIfNoEntry: false }) === undefined) throw new Absent('dist/ is not built: npm run build');
  return (await import(file)) as T;
}

/** Options: work, threads, device (default `wasm`), and what the work needs (size; or model and tokens). */
export async function prepare(options: Options): Promise<Workload> {
  const work = WORKS[String(options.work)];
  if (work === undefined) throw new Absent(`there is no work called ${options.work}`);
  // Where the start of a process counts, what `import 'bitloom'` gives in Node: one bundle instead of many modules.
  const entry = WHOLE_PROCESS.has(String(options.work)) ? 'bundle/index.js' : 'index.js';
  return work(await built<Bitloom>(entry), options);
}

const WHOLE_PROCESS: ReadonlySet<string> = new Set(['first-token', 'peak-memory', 'own-memory']);

const WORKS: Readonly<Record<string, (bitloom: Bitloom, options: Options) => Promise<Workload>>> = {
  gemm,
  int4,
  'gemv-set': gemvSet,
  prefill,
  decode,
  'first-token': firstToken,
  'peak-memory': peakMemory,
  'own-memory': ownMemory,
  compile,
};

/** Which device is measured. */
const deviceOf = ({ device = 'wasm' }: Options): 'wasm' | 'x64' => {
  if (device !== 'wasm' && device !== 'x64') throw new TypeError(`device must be wasm or x64, not ${device}`);
  return device;
};

/** A fallback fails the case instead of flattering it. */
const refuseFallback = (message: string): never => {
  throw new Error(message);
};

/** Throws Absent where no machine code runs. */
async function orAbsent<T>(opened: Promise<T>): Promise<T> {
  try {
    return await opened;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'NO_DEVICE') throw new Absent(error.message);
    throw error;
  }
}

/** A device that is what it says. */
const openDevice = ({ createDevice }: Bitloom, options: Options): Promise<Device> =>
  orAbsent(createDevice(deviceOf(options), { threads: numberOption(options, 'threads'), onWarning: refuseFallback }));

const about = ({ threads, features }: Pick<Device, 'threads' | 'features'>): string => {
  const { version } = JSON.parse(readFileSync(`${repository}package.json`, 'utf8')) as { version: string };
  return `bitloom ${version}, ${threads} threads, ${features.join(' ')}`;
};

async function gemm(bitloom: Bitloom, options: Options): Promise<Workload> {
  const { jit, numpy: np, Tensor } = bitloom;
  const size = numberOption(options, 'size');
  const device = await openDevice(bitloom, options);
  const [a, b] = [randomMatrix(size, size, 1), randomMatrix(size, size, 2)];
  const [x, y] = [a, b].map((data) => np.array(data, { shape: [size, size], device }));
  const product = jit((p: InstanceType<typeof Tensor>, q: InstanceType<typeof Tensor>) => np.matmul(p, q));
  const run: Workload['run'] = async (iterations) => {
    for (let i = 0; i < iterations; i++) (await product(x!, y!)).dispose();
    return undefined;
  };
  const result = await (await product(x!, y!)).data();
  checkProduct(result, size * size, (index) => gemmTerms(a, b, size, index), 1e-5);
  return { workPerIteration: 2 * size ** 3, note: about(device), run };
}

/** Q4_0 weights in the panels that the engine uses too, with `rows` activations, which are quantised in every call. */
async function int4(bitloom: Bitloom, options: Options): Promise<Workload> {
  const { jit, nn, numpy: np } = bitloom;
  const { pack, panel, Q4_0 } = await built<Quant>('quant/index.js');
  const { Storage, Tensor } = await built<typeof import('../../src/tensor/index.ts')>('tensor/index.js');
  const [size, rows] = [numberOption(options, 'size'), Number(options.rows ?? 1)];
  const device = await openDevice(bitloom, options);
  const weights = randomInt4(size, size, 1);
  const values = Float32Array.from(weights.codes, (_, i) => int4Value(weights, Math.floor(i / size), i % size));
  const type = { dtype: panel(Q4_0, device.panelRows), shape: [size, size] };
  const packed = pack(type.dtype, values, size);
  const buffer = device.allocate(packed.byteLength);
  device.bytes(buffer).set(packed);
  const w = Tensor.from(type, Storage.onDevice(device, buffer));
  const data = randomMatrix(rows, size, 3);
  const x = np.array(data, { shape: [rows, size], device });
  const product = jit((p: typeof x, q: typeof x) => nn.linear(p, q));
  const result = await (await product(x, w)).data();
  checkProduct(result, rows * size, (index) => int4Terms(weights, data, index), 0.02);
  return {
    workPerIteration: 2 * rows * size * size,
    note: `${about(device)}, ${type.dtype.name}`,
    async run(iterations) {
      for (let i = 0; i < iterations; i++) (await product(x, w)).dispose();
      return undefined;
    },
  };
}

type BitloomTensor = InstanceType<Bitloom['Tensor']>;

/** As many matrices [size, size] of random elements in a format as take `setBytes`, all alike, each in memory of its own. */
async function matrixSet({ jit, nn }: Bitloom, device: Device, options: Options) {
  const { packedFormat, panel, unpack } = await built<Quant>('quant/index.js');
  const { Storage, Tensor } = await built<typeof import('../../src/tensor/index.ts')>('tensor/index.js');
  const size = numberOption(options, 'size');
  const name = String(options.format) as keyof typeof SHAPERS;
  const format = packedFormat(name)!;
  const onDevice = (dtype: typeof format, bytes: Uint8Array): BitloomTensor => {
    const buffer = device.allocate(bytes.byteLength);
    device.bytes(buffer).set(bytes);
    return Tensor.from({ dtype, shape: [size, size] }, Storage.onDevice(device, buffer));
  };
  const byteLength = (size * size * format.blockBytes) / format.blockSize;
  const stored = randomElements(name, byteLength, 1 / Math.sqrt(size), new RandomWords(1));
  const plain = onDevice(format, stored);
  const inPanels = await jit((p: BitloomTensor) => nn.toPanels(p, device.panelRows))(plain);
  const bytes = await inPanels.bytes();
  for (const tensor of [plain, inPanels]) tensor.dispose();
  const count = Math.ceil(numberOption(options, 'setBytes') / bytes.byteLength);
  const matrices = Array.from({ length: count }, () => onDevice(panel(format, device.panelRows), bytes));
  return { matrices, values: unpack(format, stored, size, size), bytesEach: bytes.byteLength };
}

/** A vector times matrices of a format, one after the other, of which there are too many for the caches. */
async function gemvSet(bitloom: Bitloom, options: Options): Promise<Workload> {
  const { jit, nn, numpy: np } = bitloom;
  const size = numberOption(options, 'size');
  const device = await openDevice(bitloom, options);
  const { matrices, values, bytesEach } = await matrixSet(bitloom, device, options);
  const data = randomMatrix(1, size, 3);
  const x = np.array(data, { shape: [1, size], device });
  const product = jit((p: BitloomTensor, q: BitloomTensor) => nn.linear(p, q));
  const result = await (await product(x, matrices.at(-1)!)).data();
  checkProduct(result, size, (row) => gemvTerms(values, data, row), 0.03);
  const set = `${matrices.length} matrices of ${(bytesEach / 1e6).toFixed(1)} MB`;
  let next = 0;
  return {
    workPerIteration: 1,
    note: `${about(device)}, ${options.format} in panels of ${device.panelRows}, ${set}`,
    async run(iterations) {
      for (let i = 0; i < iterations; i++) (await product(x, matrices[next++ % matrices.length]!)).dispose();
      return undefined;
    },
  };
}

/** Path of a model of bench/models, or the embedded one. Throws Absent where it was not generated. */
function modelPath(name: string): string {
  if (name === 'tiny') return `${repository}assets/tiny`;
  const path = `${repository}bench/models/${name}.gguf`;
  if (statSync(path, { throwIfNoEntry: false }) === undefined) throw new Absent(`bench/models/${name}.gguf is missing`);
  return path;
}

const openModel = ({ load }: Bitloom, options: Options): Promise<Model> =>
  orAbsent(
    load(modelPath(String(options.model)), {
      device: deviceOf(options),
      threads: numberOption(options, 'threads'),
      onWarning: refuseFallback,
    }),
  );

const PROMPT = 'Once upon a time';

/** Greedy text that does not stop; every model of the bench takes the same number of steps. */
const greedy = (model: Model, maxTokens: number) =>
  model.generate(PROMPT, { raw: true, temperature: 0, ignoreEos: true, maxTokens }).result;

/** A prompt of `tokens` tokens from an empty cache. */
async function prefill(bitloom: Bitloom, options: Options): Promise<Workload> {
  const tokens = numberOption(options, 'tokens');
  const model = await openModel(bitloom, options);
  const ids = Array.from({ length: tokens }, (_, i) => 3 + ((i * 7919) % (model.info.vocabSize - 3)));
  return {
    workPerIteration: tokens,
    note: `${about(model.info)}, prompt of ${tokens}`,
    async run(iterations) {
      for (let i = 0; i < iterations; i++) await model.logits(ids);
      return undefined;
    },
  };
}

/** `tokens` tokens one by one, sampling and detokenising included; the prompt is outside the measured time. */
async function decode(bitloom: Bitloom, options: Options): Promise<Workload> {
  const tokens = numberOption(options, 'tokens');
  const model = await openModel(bitloom, options);
  return {
    workPerIteration: tokens,
    note: `${about(model.info)}, ${tokens} tokens after a short prompt`,
    async run(iterations) {
      let seconds = 0;
      for (let i = 0; i < iterations; i++) {
        seconds += tokens / (await greedy(model, tokens + 1)).timings.decodeTokensPerSecond;
      }
      return (tokens * iterations) / seconds;
    },
  };
}

/** Everything from loading to the first token; the parent's clock adds the start of the process. */
async function firstToken(bitloom: Bitloom, options: Options): Promise<Workload> {
  return {
    workPerIteration: 1,
    note: `load and first token of ${options.model}`,
    async run() {
      await greedy(await openModel(bitloom, options), 1);
      return undefined;
    },
  };
}

/** Largest resident size of a process that loads a model and writes a few tokens, in MB. */
async function peakMemory(bitloom: Bitloom, options: Options): Promise<Workload> {
  return {
    workPerIteration: 1,
    note: `peak resident memory with ${options.model}`,
    async run() {
      await greedy(await openModel(bitloom, options), 8);
      return (process.resourceUsage().maxRSS * 1024) / 1e6;
    },
  };
}

/**
 * Resident memory of a process that has loaded a model and written a few tokens, in MB, without what lies in files: the pages of
 * those are shared with others and given up before anything else. Source: Linux Documentation/filesystems/proc.rst, smaps.
 */
async function ownMemory(bitloom: Bitloom, options: Options): Promise<Workload> {
  return {
    workPerIteration: 1,
    note: `resident memory beside files with ${options.model}`,
    async run() {
      await greedy(await openModel(bitloom, options), 8);
      return ownMegabytes(readFileSync('/proc/self/smaps_rollup', 'utf8'));
    },
  };
}

/** Tracing, generating and compiling the programs of a decoding step and of a prefill chunk, in milliseconds. */
async function compile(bitloom: Bitloom, options: Options): Promise<Workload> {
  const [{ openCheckpoint }, { loadWeights }, { KvCache }, { StepProgram }, { createModel }] = await Promise.all([
    built<typeof import('../../src/engine/checkpoint.ts')>('engine/checkpoint.js'),
    built<typeof import('../../src/engine/load-weights.ts')>('engine/load-weights.js'),
    built<typeof import('../../src/engine/kv-cache.ts')>('engine/kv-cache.js'),
    built<typeof import('../../src/engine/step-program.ts')>('engine/step-program.js'),
    built<typeof import('../../src/model/index.ts')>('model/index.js'),
  ]);
  return {
    workPerIteration: 1,
    note: `programs of 1 and ${PREFILL_CHUNK} tokens`,
    async run() {
      const device = await openDevice(bitloom, options);
      const checkpoint = await openCheckpoint(modelPath(String(options.model)));
      const model = createModel(checkpoint.config);
      const weights = await loadWeights(device, checkpoint, model.tensors);
      const cache = new KvCache(device, model, 512, 'f16');
      const start = performance.now();
      for (const seqLen of [1, PREFILL_CHUNK]) {
        await StepProgram.compile(device, model, (name) => weights.get(name)!, cache, seqLen, 'logits');
      }
      return performance.now() - start;
    },
  };
}
