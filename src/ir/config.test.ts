import { expect, test } from 'vitest';
import { readDials } from './config.ts';

test('dials are off unless the environment sets them', () => {
  expect(readDials({})).toEqual({ check: false, debug: 0 });
  expect(readDials({ BITLOOM_CHECK: '0', BITLOOM_DEBUG: '3' })).toEqual({ check: false, debug: 3 });
  expect(readDials({ BITLOOM_CHECK: '1' }).check).toBe(true);
});

test('a level that does not exist is an error', () => {
  expect(() => readDials({ BITLOOM_DEBUG: 'all' })).toThrow('BITLOOM_DEBUG must be 0 to 4, not all');
});
