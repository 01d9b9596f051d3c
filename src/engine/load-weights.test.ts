/** Packed weights, and stacks of experts, reach the device as the values that they stand for. */
import { test } from 'vitest';
import { expectFormat } from './packed-checkpoint.fixture.ts';

test.each([
  ['llama', 'Q4_K'],
  ['mixtral', 'Q8_0'],
])('%s in %s', expectFormat, 30_000);
