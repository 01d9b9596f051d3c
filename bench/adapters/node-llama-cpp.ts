/** node-llama-cpp: llama.cpp's native code on the CPU, as a measure of what lies beyond WebAssembly. */
import { readFileSync, statSync } from 'node:fs';
import { Absent, importPeer, numberOption, type Options, type Workload } from '../adapter.ts';
import { plural } from '../case.ts';

/** The part of the package that is used. */
interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: number[], options: { temperature: number; yieldEogToken: boolean }): AsyncGenerator<number>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
}
interface LlamaModel {
  createContext(options: {
    contextSize: number;
    batchSize: number;
    threads: number;
  }): Promise<{ getSequence(): Sequence }>;
  tokenize(text: string): number[];
}
interface LlamaPackage {
  getLlama(options: { gpu: false; build: 'never'; maxThreads: number; logLevel: 'error' }): Promise<{
    loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  }>;
  getModuleVersion(): Promise<string>;
}

const CONTEXT = 1024;

/** Options: work (`prefill` or `decode`), model, tokens, threads. */
export async function prepare(options: Options): Promise<Workload> {
  const { getLlama, getModuleVersion } = await importPeer<LlamaPackage>('node-llama-cpp');
  const [tokens, threads] = [numberOption(options, 'tokens'), numberOption(options, 'threads')];
  const modelPath = `${process.env.BITLOOM_REPOSITORY}bench/models/${options.model}.gguf`;
  if (statSync(modelPath, { throwIfNoEntry: false }) === undefined)
    throw new Absent(`${options.model}.gguf is missing`);
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: CONTEXT, batchSize: CONTEXT, threads });
  const sequence = context.getSequence();
  const note = `node-llama-cpp ${await getModuleVersion()} (native, ${cpuVariant()}), ${plural(threads)}`;
  const prompt = Array.from({ length: tokens }, (_, i) => 3 + ((i * 7919) % 30_000));
  const busyThreads = 0; // it starts threads for each evaluation, which are gone when the counters are read
  const about = { workPerIteration: tokens, note, busyThreads };
  if (options.work === 'prefill') return { ...about, run: (n) => prefill(sequence, prompt, n) };
  const start = model.tokenize('Once upon a time');
  return { ...about, run: (n) => decode(sequence, start, tokens, n) };
}

/** Which of its builds for different processors llama.cpp chose, by the library that is mapped. Linux only. */
function cpuVariant(): string {
  try {
    const maps = readFileSync('/proc/self/maps', 'utf8');
    return /libggml-cpu-(\w+)\.so/.exec(maps)?.[1] ?? 'one CPU build';
  } catch {
    return 'CPU build unknown';
  }
}

async function prefill(sequence: Sequence, prompt: number[], iterations: number): Promise<undefined> {
  for (let i = 0; i < iterations; i++) {
    await sequence.clearHistory();
    await sequence.evaluateWithoutGeneratingNewTokens(prompt);
  }
  return undefined;
}

/** Tokens per second, counted from the first token on. */
async function decode(sequence: Sequence, start: number[], tokens: number, iterations: number): Promise<number> {
  let seconds = 0;
  for (let i = 0; i < iterations; i++) {
    await sequence.clearHistory();
    let count = 0;
    let began = 0;
    for await (const _ of sequence.evaluate(start, { temperature: 0, yieldEogToken: true })) {
      if (count === 0) began = performance.now();
      if (++count > tokens) break;
    }
    seconds += (performance.now() - began) / 1000;
  }
  return (tokens * iterations) / seconds;
}
