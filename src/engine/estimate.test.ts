import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { memoryFiles } from '../format/index.ts';
import { createModel } from '../model/index.ts';
import { createDevice } from '../tensor/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { estimate, estimateMemory, requireMemory } from './estimate.ts';
import { loadWeights } from './load-weights.ts';
import { load } from './model.ts';
import { Sequence, STEP_SIZES } from './sequence.ts';

const TINY = fileURLToPath(new URL('../../assets/tiny', import.meta.url));

describe.each(['f16', 'f32'] as const)('with a cache of %s', (kvCacheType) => {
  test('weights and cache are told to the byte, and the whole suffices but is no more than a half too much', async () => {
    const checkpoint = await openCheckpoint(TINY);
    const model = createModel(checkpoint.config);
    const told = estimateMemory(checkpoint, model, 256, kvCacheType, { panelRows: 4, isMapping: false });
    const device = await createDevice('wasm', { threads: 2 });
    const weights = await loadWeights(device, checkpoint, model.tensors);
    expect(device.liveBytes).toBe(told.weightBytes);
    const sequence = new Sequence(device, model, (name) => weights.get(name)!, 256, kvCacheType);
    expect(device.liveBytes).toBe(told.weightBytes + told.cacheBytes);
    for (const tokens of STEP_SIZES) await sequence.program(tokens);
    expect(device.liveBytes).toBeLessThanOrEqual(told.totalBytes);
    expect(device.liveBytes).toBeGreaterThan(told.totalBytes / 1.5);
    await sequence.dispose();
    device.dispose();
    await checkpoint.close();
  });
});

test('a longer context takes more cache, and says for how many tokens', async () => {
  const device = 'wasm';
  const short = await estimate(TINY, { device, contextLength: 64 });
  const long = await estimate(TINY, { device, contextLength: 512 });
  expect(long.cacheBytes - short.cacheBytes).toBe((512 - 64) * 8 * 2 * 4 * 32 * 2);
  expect(short).toMatchObject({ contextLength: 64, fits: true, limitBytes: 2 ** 32 });
  await expect(estimate(TINY, { contextLength: 10 ** 6 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test('what cannot fit is refused with needed and available bytes', async () => {
  const told = await estimate(TINY, { device: 'wasm' });
  const little = { ...told, availableBytes: 1000, fits: false };
  expect(() => requireMemory(told)).not.toThrow();
  expect(() => requireMemory(little)).toThrow(
    expect.objectContaining({
      code: 'OUT_OF_MEMORY',
      details: expect.objectContaining({ neededBytes: told.totalBytes, availableBytes: 1000 }),
      message: expect.stringContaining('the machine has left'),
    }),
  );
  const large = { ...told, totalBytes: 5 * 2 ** 30, availableBytes: null, fits: false };
  expect(() => requireMemory(large)).toThrow(/needs 5,120 MiB .* one WebAssembly memory holds at most 4,096 MiB/);
});

test('load refuses a cache that no memory can hold before it allocates anything', async () => {
  const read = (name: string) => new Uint8Array(readFileSync(`${TINY}/${name}`));
  const config = { ...JSON.parse(readFileSync(`${TINY}/config.json`, 'utf8')), max_position_embeddings: 2 ** 21 };
  const files = memoryFiles({
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'tokenizer.json': read('tokenizer.json'),
    'model.safetensors': read('model.safetensors'),
  });
  const events: string[] = [];
  const loading = load(files, {
    device: 'wasm',
    contextLength: 2 ** 21,
    onProgress: ({ phase }) => events.push(phase),
  });
  await expect(loading).rejects.toMatchObject({
    code: 'OUT_OF_MEMORY',
    details: { contextLength: 2 ** 21, cacheBytes: expect.any(Number), availableBytes: expect.any(Number) },
  });
  expect(events).toEqual([]);
});
