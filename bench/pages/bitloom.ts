/** bitloom in a page, as a script tag would import it: the one-file bundle, with its engine in a worker. */
import { numberOption, type Options, type Workload } from '../adapter.ts';
import { checkProduct, gemmTerms, randomMatrix } from '../adapters/matrix.ts';
import { CONTEXT, modelWork, type PageModel } from './model-work.ts';

type Bitloom = typeof import('../../src/web/index.ts');

/** A fallback fails the case instead of flattering it. */
const onWarning = (message: string): never => {
  throw new Error(message);
};

/** Options: work (`gemm` with size, or what `modelWork` knows), threads. */
export async function prepare(options: Options): Promise<Workload> {
  const address = '/dist/web/bitloom.js';
  const bitloom = (await import(address)) as Bitloom;
  if (options.work === 'gemm') return gemm(bitloom, options);
  return modelWork((file, threads) => open(bitloom, file, threads), options);
}

async function open({ load }: Bitloom, file: Blob, threads: number): Promise<PageModel> {
  const model = await load(file, { threads, contextLength: CONTEXT, onWarning });
  const greedy = (prompt: string, maxTokens: number) =>
    model.generate(prompt, { raw: true, temperature: 0, ignoreEos: true, maxTokens }).result;
  return {
    note: `bitloom in a worker, ${model.info.threads} threads, ${model.info.features.join(' ')}`,
    async prefill(prompt, tokens) {
      const ids = await model.tokenize(prompt, { raw: true });
      if (ids.length !== tokens) throw new Error(`the prompt has ${ids.length} tokens instead of ${tokens}`);
      const start = performance.now();
      await model.logits(ids);
      return (tokens * 1000) / (performance.now() - start);
    },
    decode: async (prompt, tokens) => (await greedy(prompt, tokens + 1)).timings.decodeTokensPerSecond,
    reply: (prompt) => greedy(prompt, 1),
    close: () => model.dispose(),
  };
}

async function gemm({ createDevice, jit, numpy: np, Tensor }: Bitloom, options: Options): Promise<Workload> {
  const [size, threads] = [numberOption(options, 'size'), numberOption(options, 'threads')];
  const device = await createDevice('wasm', { threads, onWarning });
  const [a, b] = [randomMatrix(size, size, 1), randomMatrix(size, size, 2)];
  const [x, y] = [a, b].map((data) => np.array(data, { shape: [size, size], device }));
  const product = jit((p: InstanceType<typeof Tensor>, q: InstanceType<typeof Tensor>) => np.matmul(p, q));
  const result = await (await product(x!, y!)).data();
  checkProduct(result, size * size, (index) => gemmTerms(a, b, size, index), 1e-5);
  return {
    workPerIteration: 2 * size ** 3,
    note: `bitloom, ${device.threads} threads, ${device.features.join(' ')}`,
    async run(iterations) {
      for (let i = 0; i < iterations; i++) (await product(x!, y!)).dispose();
      return undefined;
    },
  };
}
