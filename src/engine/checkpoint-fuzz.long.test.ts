/** The fuzz of checkpoints: GGUF of both versions and in parts, safetensors, shards, JSON, AWQ and GPTQ, tokenizers. */
import { expect, test } from 'vitest';
import { fuzzCheckpoints } from './checkpoint-fuzz.fixture.ts';

test('50,000 mutated checkpoints open or are refused by name', async () => {
  const { failures, opened, refused } = await fuzzCheckpoints(50_000, 1000);
  expect(failures).toEqual([]);
  expect(opened).toBeGreaterThan(2500);
  expect(refused.BAD_FILE).toBeGreaterThan(5000);
}, 1_800_000);
