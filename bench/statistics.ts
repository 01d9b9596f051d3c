/** Order statistics over samples. Means are not used: one descheduled sample would move them. */

/** The `q`-quantile (0..1) with linear interpolation; NaN without values. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)]!;
  const high = sorted[Math.ceil(position)]!;
  return low + (high - low) * (position - Math.floor(position));
}

/** Median and quartiles of the samples that count. */
export interface Summary {
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
  /** Samples taken, and those that the machine left alone. */
  readonly total: number;
  readonly quiet: number;
  /** Where the numbers come from: quiet samples; the least disturbed ones; or all, as nothing was known. */
  readonly basis: 'quiet' | 'least disturbed' | 'unfiltered';
}

/** Share of a sample's time that may be lost to others before the sample stops counting as quiet. */
export const QUIET_SHARE = 0.03;
/** Fewer quiet samples than this do not make a median. */
export const ENOUGH_QUIET = 5;

/** One measured value and the share (0..1) of its time that other programs took; null = unknown. */
export interface Measured {
  readonly value: number;
  readonly disturbedShare: number | null;
}

export const isQuiet = ({ disturbedShare }: Measured): boolean =>
  disturbedShare !== null && disturbedShare <= QUIET_SHARE;

/** Keeps the quiet samples and summarises them; says so where there were too few. */
export function summarize(samples: readonly Measured[]): Summary {
  const quiet = samples.filter(isQuiet);
  const known = samples.filter((s) => s.disturbedShare !== null);
  const least = known
    .toSorted((a, b) => a.disturbedShare! - b.disturbedShare!)
    .slice(0, Math.max(ENOUGH_QUIET, Math.ceil(known.length / 3)));
  const [kept, basis] =
    known.length === 0
      ? ([samples, 'unfiltered'] as const)
      : quiet.length >= ENOUGH_QUIET
        ? ([quiet, 'quiet'] as const)
        : ([least, 'least disturbed'] as const);
  const values = kept.map((s) => s.value);
  const [median, lower, upper] = [0.5, 0.25, 0.75].map((q) => quantile(values, q)) as [number, number, number];
  return { median, lower, upper, total: samples.length, quiet: quiet.length, basis };
}
