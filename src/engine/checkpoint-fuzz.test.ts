/** A quick part of the fuzz of checkpoints. */
import { expect, test } from 'vitest';
import { fuzzCheckpoints } from './checkpoint-fuzz.fixture.ts';

test('1,000 mutated checkpoints open or are refused by name', async () => {
  const { failures, opened, refused } = await fuzzCheckpoints(1000, 1);
  expect(failures).toEqual([]);
  expect(opened).toBeGreaterThan(50);
  expect(refused.BAD_FILE).toBeGreaterThan(100);
}, 60_000);
