import { expect, it } from 'vitest';
import { ownMegabytes } from './memory.ts';

it('counts what no file backs', () => {
  const rollup = [
    '557e9f8a0000-7ffcd95d0000 ---p 00000000 00:00 0                          [rollup]',
    'Rss:              900000 kB',
    'Pss_Anon:          99999 kB',
    'Pss_Shmem:          1000 kB',
    'Private_Clean:    700000 kB',
    'Anonymous:        150000 kB',
  ].join('\n');
  expect(ownMegabytes(rollup)).toBeCloseTo((151_000 * 1024) / 1e6);
});
