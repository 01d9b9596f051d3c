/** Every family as GGUF in llama.cpp: the files that we write load there and give our greedy tokens. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load, type ModelSource } from '../src/engine/index.ts';
import { collect } from '../src/format/file.fixture.ts';
import {
  checkpointToGguf,
  ggufPieces,
  memoryFiles,
  memorySource,
  openSafetensors,
  safetensorsPieces,
  splitGguf,
  type TensorSource,
} from '../src/format/index.ts';
import { familyCheckpoint } from '../src/model/testing/index.ts';
import { platform } from '../src/platform/index.ts';
import { tokenizerToGguf } from '../src/text/index.ts';

const peer = fileURLToPath(new URL('../bench/peers/node_modules/node-llama-cpp/dist/index.js', import.meta.url));
const tiny = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../assets/tiny/${name}`, import.meta.url)));

/** The part of node-llama-cpp that is used. */
interface LlamaModel {
  createContext(options: { contextSize: number; threads: number; flashAttention: boolean }): Promise<{
    getSequence(): {
      evaluate(tokens: readonly number[], options: { temperature: 0; yieldEogToken: true }): AsyncIterable<number>;
    };
    dispose(): Promise<void>;
  }>;
  dispose(): Promise<void>;
}

/** The case, what differs from it, and why. */
const cases: readonly (readonly [name: string, overrides?: Readonly<Record<string, unknown>>])[] = [
  ['llama'],
  ['llama-3.1'],
  ['llama-linear'],
  ['mistral', { sliding_window: null }], // llama.cpp has no window for Llama's architecture
  ['mixtral'],
  ['qwen2'],
  ['qwen2.5-yarn'],
  ['qwen3'],
  ['smollm3', { no_rope_layers: [1, 1, 1, 0, 1], num_hidden_layers: 5 }],
  ['gemma'],
  ['gemma2', { query_pre_attn_scalar: 32 }],
  ['gemma3', { sliding_window_pattern: 6, num_hidden_layers: 7 }],
  ['phi3', { sliding_window: null }], // nor for Phi-3, where it is switched off
  ['phi4-short', { max_position_embeddings: 1024, original_max_position_embeddings: 512 }], // its contexts are multiples of 256
  ['phi4-long'],
  ['olmo2'],
  ['qwen2-moe'],
  ['qwen3-moe'],
  ['gpt2'],
];

const PROMPTS = Array.from({ length: 6 }, (_, p) =>
  Array.from({ length: 13 }, (_, i) => (p * 997 + i * i * 31 + 5) % 4000),
);
const CONTEXT = 64;
const REPLY = 5;

/** With small embeddings the layers decide; otherwise tied models repeat the last token, whatever they compute. */
function quieter(tensor: TensorSource): TensorSource {
  if (!/(embed_tokens|wte|wpe)\.weight$/.test(tensor.name)) return tensor;
  const values = new Float32Array((tensor.data as Uint8Array).slice().buffer).map((x) => x * 0.05);
  return { ...tensor, data: new Uint8Array(values.buffer) };
}

/** Greedy tokens by prompt, from logits, so that no end token cuts a random model's reply short. */
async function ourTokens(source: ModelSource): Promise<number[][]> {
  await using model = await load(source, { kvCacheType: 'f32', contextLength: CONTEXT, threads: 1 });
  const replies: number[][] = [];
  for (const prompt of PROMPTS) {
    const tokens = [...prompt];
    for (let i = 0; i < REPLY; i++) {
      const logits = await model.logits(tokens);
      tokens.push(logits.indexOf(Math.max(...logits)));
    }
    replies.push(tokens.slice(prompt.length));
  }
  return replies;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bitloom-families-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function theirTokens(modelPath: string): Promise<number[][]> {
  const { getLlama } = await import(peer);
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: 'error' });
  const model: LlamaModel = await llama.loadModel({ modelPath });
  const replies: number[][] = [];
  for (const prompt of PROMPTS) {
    const context = await model.createContext({ contextSize: CONTEXT, threads: 1, flashAttention: false });
    const tokens: number[] = [];
    for await (const token of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      tokens.push(token);
      if (tokens.length === REPLY) break;
    }
    replies.push(tokens);
    await context.dispose();
  }
  await llama.dispose();
  return replies;
}

describe.skipIf(!existsSync(peer))('llama.cpp (needs `npm ci --ignore-scripts` in bench/peers)', () => {
  it.each(cases.map(([name, overrides = {}]) => ({ name, overrides })))(
    '$name',
    async ({ name, overrides }) => {
      const { config, tensors } = familyCheckpoint(name, { vocab_size: 4096, ...overrides });
      const weights = await collect(safetensorsPieces(tensors.map(quieter)));
      const tokenizerJson = JSON.parse(new TextDecoder().decode(tiny('tokenizer.json'))) as unknown;
      // llama.cpp looks for Phi-3's own tokens in models that are called so: the name says nothing here.
      const metadata = tokenizerToGguf({ tokenizerJson, modelVocabSize: 4096 });
      const file = await openSafetensors(memorySource(weights));
      const path = join(folder, `${name}.gguf`);
      await platform.writeFile(
        path,
        ggufPieces(checkpointToGguf(file, config, { format: 'F32', name: 'model', metadata })),
      );
      const files = {
        'config.json': new TextEncoder().encode(JSON.stringify(config)),
        'tokenizer.json': tiny('tokenizer.json'),
        'model.safetensors': weights,
      };
      const ours = await ourTokens(memoryFiles(files));
      expect(new Set(ours.flat()).size).toBeGreaterThan(6); // not one token over and over
      expect(await ourTokens(path)).toEqual(ours);
      expect(await theirTokens(path)).toEqual(ours);
    },
    120_000,
  );

  it.each([
    ['mixtral', 'Q4_K'],
    ['qwen3-moe', 'MXFP4'],
    ['gemma3', 'Q6_K'],
    ['gpt2', 'Q5_0'],
    ['phi3', 'IQ4_XS'],
  ])(
    '%s in %s',
    async (name, format) => {
      const wide = { n_embd: 256, hidden_size: 256, intermediate_size: 256, moe_intermediate_size: 256, head_dim: 64 };
      const overrides = {
        ...wide,
        vocab_size: 4096,
        sliding_window: CONTEXT,
        query_pre_attn_scalar: 64,
        sliding_window_pattern: 6,
      };
      const { config, tensors } = familyCheckpoint(name, overrides);
      const file = await openSafetensors(memorySource(await collect(safetensorsPieces(tensors.map(quieter)))));
      const tokenizerJson = JSON.parse(new TextDecoder().decode(tiny('tokenizer.json'))) as unknown;
      const metadata = tokenizerToGguf({ tokenizerJson, modelVocabSize: 4096 });
      const choose = (tensor: string) => (tensor.startsWith('blk') ? format : 'F16');
      const content = checkpointToGguf(file, config, { format: choose, name: 'model', metadata });
      expect(content.substituted).toEqual([]);
      const path = join(folder, `${name}-${format}.gguf`);
      await platform.writeFile(path, ggufPieces(content));
      const [ours, theirs] = [await ourTokens(path), await theirTokens(path)];
      // Both round activations, each in its way: first tokens of 4096 are the same but where two are nearly as likely.
      const same = ours.filter((reply, i) => reply[0] === theirs[i]![0]).length;
      expect(same).toBeGreaterThanOrEqual(PROMPTS.length - 2);
    },
    120_000,
  );

  it('loads our split files', async () => {
    const { config, tensors } = familyCheckpoint('llama', { vocab_size: 4096 });
    const file = await openSafetensors(memorySource(await collect(safetensorsPieces(tensors.map(quieter)))));
    const tokenizerJson = JSON.parse(new TextDecoder().decode(tiny('tokenizer.json'))) as unknown;
    const metadata = tokenizerToGguf({ tokenizerJson, modelVocabSize: 4096 });
    const content = checkpointToGguf(file, config, { format: 'F16', name: 'model', metadata });
    const parts = splitGguf('parts', content, 200_000);
    expect(parts.length).toBeGreaterThan(2);
    for (const { name, pieces } of parts) await platform.writeFile(join(folder, name), pieces());
    const ours = await ourTokens(join(folder, parts[1]!.name));
    expect(await theirTokens(join(folder, parts[0]!.name))).toEqual(ours);
  }, 120_000);
});
