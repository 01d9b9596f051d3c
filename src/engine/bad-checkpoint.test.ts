/** Checkpoints that cannot be: each is refused with one code, and nothing stays behind. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { TensorSource } from '../format/index.ts';
import { load } from './index.ts';
import { type Faults, type TemporaryModel, writeSmallGguf, writeSmallModel } from './small-checkpoint.fixture.ts';

const made: TemporaryModel[] = [];
afterEach(() => {
  for (const model of made.splice(0)) model.remove();
});

const open = (source: string) => load(source, { device: 'interpreter' });
const write = async (faults?: Faults): Promise<string> => {
  const model = await writeSmallModel(faults);
  made.push(model);
  return model.folder;
};
const changed = (name: string, change: (tensor: TensorSource) => TensorSource): Faults => ({
  tensors: (list) => list.map((tensor) => (tensor.name === name ? change(tensor) : tensor)),
});

test('a whole checkpoint loads and answers', async () => {
  await using model = await open(await write());
  const { tokens } = await model.generate('a', { temperature: 0, maxTokens: 2, ignoreEos: true }).result;
  expect(tokens.length).toBe(2);
  expect(model.info).toMatchObject({ contextLength: 96, device: 'interpreter', formats: ['f32'] });
});

const broken: readonly [name: string, faults: Faults, code: string, message: RegExp][] = [
  [
    'an unknown architecture',
    { config: { architectures: ['MambaForCausalLM'] } },
    'UNSUPPORTED_ARCHITECTURE',
    /LlamaForCausalLM/,
  ],
  ['no architecture', { config: { architectures: null } }, 'UNSUPPORTED_ARCHITECTURE', /LlamaForCausalLM/],
  ['an unknown activation', { config: { hidden_act: 'snake' } }, 'UNSUPPORTED_FEATURE', /silu/],
  [
    'unknown rope scaling',
    { config: { rope_scaling: { rope_type: 'magic', factor: 2 } } },
    'UNSUPPORTED_FEATURE',
    /llama3/,
  ],
  ['a size that is no number', { config: { hidden_size: 'wide' } }, 'BAD_FILE', /hidden_size/],
  ['heads that do not divide', { config: { num_attention_heads: 3 } }, 'BAD_FILE', /head/],
  ['absurd layers', { config: { num_hidden_layers: 2 ** 52 } }, 'BAD_FILE', /num_hidden_layers/],
  [
    'a missing tensor',
    { tensors: (list) => list.filter(({ name }) => !name.includes('layers.1.mlp.up')) },
    'MISSING_TENSOR',
    /layers\.1\.mlp\.up_proj/,
  ],
  ['shapes of another model', { config: { intermediate_size: 128 } }, 'BAD_WEIGHTS', /\[96, 64\].*\[128, 64\]/],
  ['a vocabulary smaller than the tokenizer', { config: { vocab_size: 4000 } }, 'BAD_TOKENIZER', /40\d\d/],
  [
    'integer weights',
    changed('model.norm.weight', (t) => ({ ...t, element: 'i32' })),
    'UNSUPPORTED_DTYPE',
    /model\.norm/,
  ],
];

test.each(broken)('%s is refused', async (_, faults, code, message) => {
  const folder = await write(faults);
  await expect(open(folder)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test('NaN in the weights is an error, not a text', async () => {
  const folder = await write(
    changed('model.norm.weight', (t) => ({ ...t, data: (t.data as Uint8Array).slice().fill(0xff, 0, 4) })),
  );
  await using model = await open(folder);
  await expect(model.generate('a', { maxTokens: 1 }).result).rejects.toMatchObject({ code: 'BAD_WEIGHTS' });
});

test('missing and malformed files are named', async () => {
  const folder = await write();
  await expect(open(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'MISSING_FILE' });
  writeFileSync(join(folder, 'tokenizer.json'), '{"model": {}}');
  await expect(open(folder)).rejects.toMatchObject({ code: 'BAD_TOKENIZER' });
  rmSync(join(folder, 'tokenizer.json'));
  await expect(open(folder)).rejects.toMatchObject({
    code: 'MISSING_FILE',
    message: expect.stringContaining('tokenizer.json'),
  });
  writeFileSync(join(folder, 'config.json'), '{"hidden_size":');
  await expect(open(folder)).rejects.toMatchObject({ code: 'BAD_FILE' });
  rmSync(join(folder, 'model.safetensors'));
  await expect(open(folder)).rejects.toMatchObject({ code: 'MISSING_FILE' });
});

test('a load can be aborted', async () => {
  const folder = await write();
  const controller = new AbortController();
  const loading = load(folder, {
    device: 'interpreter',
    signal: controller.signal,
    onProgress: () => controller.abort('changed my mind'),
  });
  await expect(loading).rejects.toMatchObject({ code: 'ABORTED' });
});

test('progress knows the total from the start and ends at it', async () => {
  const events: { loadedBytes: number; totalBytes: number }[] = [];
  await using model = await load(await write(), { device: 'interpreter', onProgress: (event) => events.push(event) });
  expect(new Set(events.map((e) => e.totalBytes))).toEqual(new Set([model.info.weightBytes]));
  expect(events[0]!.loadedBytes).toBe(0);
  expect(events.at(-1)!.loadedBytes).toBe(model.info.weightBytes);
});

test('GGUF and safetensors of one model give the same logits', async () => {
  await using original = await open(await write());
  const gguf = await writeSmallGguf('F32');
  made.push(gguf);
  await using copy = await open(join(gguf.folder, 'small.gguf'));
  const ids = [0, 1, 300, 17, 2];
  const [a, b] = [await original.logits(ids), await copy.logits(ids)];
  expect(Math.max(...a.map((x, i) => Math.abs(x - b[i]!)))).toBeLessThan(1e-4);
  expect(copy.tokenize('Hello there')).toEqual(original.tokenize('Hello there'));
});
