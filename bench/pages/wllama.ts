/** @wllama/wllama: llama.cpp compiled to WebAssembly, in its own worker. */
import type { Options, Workload } from '../adapter.ts';
import { CONTEXT, modelWork, type OpenModel } from './model-work.ts';

/** The part of the package that is used. */
interface Timings {
  readonly prompt_n: number;
  readonly prompt_per_second: number;
  readonly predicted_n: number;
  readonly predicted_per_second: number;
}
interface Wllama {
  loadModel(files: Blob[], options: Readonly<Record<string, number>>): Promise<void>;
  getNumThreads(): number;
  createCompletion(options: Readonly<Record<string, string | number | boolean>>): Promise<{ timings?: Timings }>;
  exit(): Promise<void>;
}
interface WllamaPackage {
  readonly Wllama: {
    new (paths: { default: string }, options: { suppressNativeLog: boolean; logger: object }): Wllama;
    getLibllamaVersion(): string;
  };
}

const FOLDER = '/peers/@wllama/wllama/esm';
const SILENT = Object.fromEntries(['debug', 'log', 'warn', 'error'].map((name) => [name, () => {}]));

/** Options: what `modelWork` knows. */
export async function prepare(options: Options): Promise<Workload> {
  const address = `${FOLDER}/index.js`;
  return modelWork(opener((await import(address)) as WllamaPackage), options);
}

const opener =
  ({ Wllama }: WllamaPackage): OpenModel =>
  async (file, threads) => {
    const wllama = new Wllama({ default: `${FOLDER}/wasm/wllama.wasm` }, { suppressNativeLog: true, logger: SILENT });
    await wllama.loadModel([file], {
      n_ctx: CONTEXT,
      n_batch: CONTEXT,
      n_threads: threads,
      n_gpu_layers: 0,
      n_parallel: 1,
    });
    if (wllama.getNumThreads() !== threads) {
      throw new Error(`wllama runs on ${wllama.getNumThreads()} threads instead of ${threads}`);
    }
    // Neither what it knows of a prompt from before nor an end of the text shall shorten the work.
    const complete = async (prompt: string, tokens: number): Promise<Timings> => {
      const settings = { cache_prompt: false, ignore_eos: true, temperature: 0 };
      const { timings } = await wllama.createCompletion({ prompt, max_tokens: tokens, ...settings });
      if (timings === undefined) throw new Error('wllama tells no timings');
      return timings;
    };
    return {
      note: `@wllama/wllama 3.8.1 (llama.cpp ${Wllama.getLibllamaVersion()}), ${wllama.getNumThreads()} threads`,
      async prefill(prompt, tokens) {
        const { prompt_n, prompt_per_second } = await complete(prompt, 1);
        if (prompt_n !== tokens) throw new Error(`wllama evaluated ${prompt_n} tokens instead of ${tokens}`);
        return prompt_per_second;
      },
      async decode(prompt, tokens) {
        const { predicted_n, predicted_per_second } = await complete(prompt, tokens);
        if (predicted_n !== tokens) throw new Error(`wllama wrote ${predicted_n} tokens instead of ${tokens}`);
        return predicted_per_second;
      },
      reply: (prompt) => complete(prompt, 1),
      close: () => wllama.exit(),
    };
  };
