/** GGUF files that bitloom writes, in llama.cpp: they load, tokenise alike, and give the same greedy tokens and perplexities. */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeModel } from '../bench/generate-model.ts';
import { load } from '../src/engine/index.ts';
import { checkpointToGguf, ggufPieces, openSafetensors } from '../src/format/index.ts';
import { platform } from '../src/platform/index.ts';
import { GGUF_FORMATS } from '../src/quant/index.ts';
import { tokenizerToGguf } from '../src/text/index.ts';

const asset = (name: string) => fileURLToPath(new URL(`../assets/tiny/${name}`, import.meta.url));
const peer = fileURLToPath(new URL('../bench/peers/node_modules/node-llama-cpp/dist/index.js', import.meta.url));
const json = async (name: string) => JSON.parse(await readFile(asset(name), 'utf8'));

interface Golden {
  readonly text: string;
  readonly ids: readonly number[];
  readonly greedy_ids: readonly number[];
}

/** The part of node-llama-cpp that is used. */
interface LlamaModel {
  tokenize(text: string, special: boolean): number[];
  createContext(options: { contextSize: number; threads: number }): Promise<{
    getSequence(): {
      evaluate(tokens: readonly number[], options: { temperature: 0; yieldEogToken: true }): AsyncIterable<number>;
      clearHistory(): Promise<void>;
      controlledEvaluate(
        input: readonly (readonly [number, { generateNext: { logits: true } }])[],
      ): Promise<readonly { next: { logits: ReadonlyMap<number, number> } }[]>;
    };
    dispose(): Promise<void>;
  }>;
  dispose(): Promise<void>;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bitloom-llama-cpp-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function loadPeer(modelPath: string): Promise<LlamaModel> {
  const { getLlama } = await import(peer);
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: 'error' });
  return llama.loadModel({ modelPath });
}

/** Converts the embedded model with the tokenizer metadata that text/ makes. */
async function converted(format: string): Promise<string> {
  const config = await json('config.json');
  const tokenizerConfig = await json('tokenizer_config.json');
  const metadata = tokenizerToGguf({
    tokenizerJson: await json('tokenizer.json'),
    tokenizerConfig,
    generationConfig: await json('generation_config.json'),
    chatTemplate: tokenizerConfig.chat_template,
    modelVocabSize: config.vocab_size,
  });
  const weights = await platform.openFile(asset('model.safetensors'));
  const path = join(folder, `${format}.gguf`);
  const content = checkpointToGguf(await openSafetensors(weights), config, {
    format,
    name: 'Llama-bitloom-tiny',
    metadata,
  });
  await platform.writeFile(path, ggufPieces(content));
  await weights.close();
  return path;
}

async function greedy(model: LlamaModel, prompt: readonly number[], count: number): Promise<number[]> {
  const context = await model.createContext({ contextSize: 256, threads: 1 });
  const tokens: number[] = [];
  for await (const token of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    tokens.push(token);
    if (tokens.length === count) break;
  }
  await context.dispose();
  return tokens;
}

/** Loss in nats of each token but the first of the texts, by llama.cpp. */
async function peerLosses(model: LlamaModel, texts: readonly (readonly number[])[]): Promise<number[]> {
  const context = await model.createContext({ contextSize: 256, threads: 1 });
  const sequence = context.getSequence();
  const losses: number[] = [];
  for (const tokens of texts) {
    await sequence.clearHistory();
    const steps = await sequence.controlledEvaluate(
      tokens.map((t) => [t, { generateNext: { logits: true } }] as const),
    );
    for (const [i, target] of tokens.slice(1).entries()) {
      const { logits } = steps[i]!.next;
      const most = Math.max(...logits.values());
      let sum = 0;
      for (const logit of logits.values()) sum += Math.exp(logit - most);
      losses.push(Math.log(sum) + most - logits.get(target)!);
    }
  }
  await context.dispose();
  return losses;
}

const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;

describe.skipIf(!existsSync(peer))('llama.cpp (needs `npm ci --ignore-scripts` in bench/peers)', () => {
  it('gives the golden tokens from our F16 file', async () => {
    const model = await loadPeer(await converted('F16'));
    const { goldens } = (await json('goldens.json')) as { goldens: Golden[] };
    for (const { text, ids, greedy_ids: expected } of goldens) {
      expect(model.tokenize(text, true), text).toEqual(ids);
      expect(await greedy(model, ids, expected.length), text).toEqual(expected);
    }
    await model.dispose();
  });

  it.each([['F32', 1e-4], ['BF16', 5e-4], ...GGUF_FORMATS.map(({ name }) => [name, 0.005] as const)] as const)(
    'gives our perplexity on our %s file, within %d',
    async (format, bound) => {
      const { goldens } = (await json('goldens.json')) as { goldens: Golden[] };
      const texts = goldens.map(({ ids, greedy_ids: greedyIds }) => [...ids, ...greedyIds]);
      const path = await converted(format);
      const theirs = await loadPeer(path);
      const expected = await peerLosses(theirs, texts);
      await theirs.dispose();
      const model = await load(path);
      const losses: number[] = [];
      for (const tokens of texts) losses.push(...(await model.score(tokens)));
      await model.dispose();
      expect(losses.length).toBe(expected.length);
      expect(Math.abs(Math.exp(mean(losses) - mean(expected)) - 1)).toBeLessThan(bound);
    },
  );

  it('loads and runs a random model of the bench', async () => {
    const path = join(folder, 'random.gguf');
    await writeModel(path, '15M', 'Q4_0');
    const model = await loadPeer(path);
    const prompt = model.tokenize('the quick brown fox', false);
    expect(prompt.length).toBeLessThan(16);
    expect((await greedy(model, prompt, 8)).length).toBe(8);
    await model.dispose();
  });
});
