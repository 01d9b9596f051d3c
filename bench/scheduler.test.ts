import { describe, expect, it } from 'vitest';
import { disturbedShare, type SchedulerReading } from './scheduler.ts';

/** A reading at `atMs`; per thread the milliseconds it ran and waited. */
function reading(
  atMs: number,
  stolenMs: number,
  threads: Record<string, [ran: number, waited: number]>,
): SchedulerReading {
  const times = Object.entries(threads).map(
    ([thread, [ran, waited]]) => [thread, { ranNs: ran * 1e6, waitedNs: waited * 1e6 }] as const,
  );
  return { atMs, stolenMs, threads: new Map(times) };
}

describe('disturbedShare', () => {
  const start = reading(1000, 50, { main: [500, 5], worker: [10, 0] });

  it('counts on one thread all time in which the busiest thread did not run, stolen time too', () => {
    const end = reading(1100, 50, { main: [580, 5], worker: [11, 0] });
    expect(disturbedShare(start, end, 1)).toBeCloseTo(0.2);
  });

  it('finds several threads undisturbed that ran all the time, in spite of stolen ticks elsewhere', () => {
    const end = reading(1100, 90, { main: [600, 5], worker: [110, 0] });
    expect(disturbedShare(start, end, 2)).toBeCloseTo(0);
  });

  it('does not blame others for threads that rest by design', () => {
    const end = reading(1100, 50, { main: [510, 5], worker: [60, 2] });
    expect(disturbedShare(start, end, 2)).toBeCloseTo(0.02);
  });

  it('adds run delay and stolen time, of new threads too', () => {
    const end = reading(1100, 60, { main: [510, 15], worker: [60, 0], late: [5, 10] });
    expect(disturbedShare(start, end, 2)).toBeCloseTo(0.3);
  });

  it('trusts the counters alone where no thread is known to be busy', () => {
    const end = reading(1100, 60, { main: [501, 5], worker: [11, 0] });
    expect(disturbedShare(start, end, 0)).toBeCloseTo(0.1);
  });

  it('is unknown without counters', () => {
    expect(disturbedShare(null, start, 1)).toBeNull();
  });
});
