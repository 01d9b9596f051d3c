import { describe, expect, it } from 'vitest';
import { ENOUGH_QUIET, type Measured, quantile, summarize } from './statistics.ts';

const samples = (values: readonly number[], disturbedShare: number | null): Measured[] =>
  values.map((value) => ({ value, disturbedShare }));

describe('quantile', () => {
  it('interpolates between neighbours, whatever the order', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([10, 20, 30], 0.25)).toBe(15);
    expect(quantile([7], 0.9)).toBe(7);
    expect(quantile([], 0.5)).toBeNaN();
  });
});

describe('summarize', () => {
  const quiet = samples([10, 11, 12, 13, 14], 0.001);

  it('lets only quiet samples count where there are enough', () => {
    const summary = summarize([...quiet, ...samples([1, 1, 1, 1, 1, 1, 1], 0.4)]);
    expect(summary).toEqual({ median: 12, lower: 11, upper: 13, total: 12, quiet: 5, basis: 'quiet' });
  });

  it('falls back to the least disturbed ones and says so', () => {
    const few = quiet.slice(0, ENOUGH_QUIET - 1);
    const summary = summarize([...samples([1, 2, 3], 0.9), ...few, ...samples([9], 0.1)]);
    expect(summary.basis).toBe('least disturbed');
    expect(summary.quiet).toBe(4);
    expect(summary.median).toBe(11);
  });

  it('takes all samples where the system tells nothing', () => {
    expect(summarize(samples([3, 1, 2], null))).toMatchObject({ median: 2, quiet: 0, total: 3, basis: 'unfiltered' });
  });
});
