/**
 * The real-valued scale and minimum of least squared error for one group of numbers: several scales around the one that
 * spans the group are tried, each fitted by least squares to its own rounding, and the best is refined in the same way.
 */
import type { LevelGrid } from './level-grid.ts';

/** A group's numbers as scale * level - min, and their squared error. */
export interface GroupFit {
  scale: number;
  min: number;
  error: number;
}

/** Scales to try: the group's peak lies so many level spacings beyond the extreme level. Then rounds of refinement of the best. */
export interface SearchEffort {
  readonly offsets: readonly number[];
  readonly refinements: number;
}

/** Fits scale * level to values[start..end). */
export function fitScale(
  grid: LevelGrid,
  { offsets, refinements }: SearchEffort,
  values: Float32Array,
  start: number,
  end: number,
  best: GroupFit,
): void {
  let peak = 0;
  let squares = 0;
  for (let i = start; i < end; i++) {
    const x = values[i]!;
    if (Math.abs(x) > Math.abs(peak)) peak = x;
    squares += x * x;
  }
  best.scale = 0;
  best.min = 0;
  best.error = squares;
  if (peak === 0) return;
  for (const offset of offsets) {
    refineScale(grid, values, start, end, squares, peak / (grid.low - offset * grid.spacing), best);
    refineScale(grid, values, start, end, squares, peak / (grid.high + offset * grid.spacing), best);
  }
  for (let round = 0; round < refinements; round++) refineScale(grid, values, start, end, squares, best.scale, best);
}

/** Keeps the scale that least squares gives for the rounding under `scale`, where it errs less than `best`. */
function refineScale(
  grid: LevelGrid,
  values: Float32Array,
  start: number,
  end: number,
  squares: number,
  scale: number,
  best: GroupFit,
): void {
  const { cellLevels, lastCell } = grid;
  const [slope, shift] = [2 / scale, -2 * grid.low];
  let sumLL = 0;
  let sumXL = 0;
  for (let i = start; i < end; i++) {
    const x = values[i]!;
    const cell = x * slope + shift;
    const level = cellLevels[cell < 0 ? 0 : cell > lastCell ? lastCell : cell | 0]!;
    sumLL += level * level;
    sumXL += x * level;
  }
  const error = squares - (sumXL * sumXL) / sumLL; // NaN, so not less, where all levels are zero
  if (error < best.error) {
    best.scale = sumXL / sumLL;
    best.error = error;
  }
}

/** Fits scale * level - min, min >= 0, to values[start..end). */
export function fitRange(
  grid: LevelGrid,
  { offsets, refinements }: SearchEffort,
  values: Float32Array,
  start: number,
  end: number,
  best: GroupFit,
): void {
  let low = 0;
  let high = values[start]!;
  let sum = 0;
  let squares = 0;
  for (let i = start; i < end; i++) {
    const x = values[i]!;
    if (x < low) low = x;
    if (x > high) high = x;
    sum += x;
    squares += x * x;
  }
  best.scale = 0;
  best.min = -low;
  best.error = Number.POSITIVE_INFINITY;
  if (high === low) return;
  const sums = { sum, squares };
  for (const offset of offsets) {
    const scale = (high - low) / (grid.high + offset);
    // What the range exceeds the levels by, or falls short of them, is shared by both ends, but for a low end of zero.
    refineRange(grid, values, start, end, sums, scale, low < 0 ? -low - (scale * offset) / 2 : 0, best);
  }
  for (let round = 0; round < refinements; round++)
    refineRange(grid, values, start, end, sums, best.scale, best.min, best);
}

/** Keeps the scale and minimum that least squares gives for the rounding under `scale` and `min`, where they err less than `best`. */
function refineRange(
  grid: LevelGrid,
  values: Float32Array,
  start: number,
  end: number,
  { sum: sumX, squares }: { readonly sum: number; readonly squares: number },
  scale: number,
  min: number,
  best: GroupFit,
): void {
  const { cellLevels, lastCell } = grid;
  const slope = 2 / scale;
  const shift = min * slope - 2 * grid.low;
  const count = end - start;
  let sumL = 0;
  let sumLL = 0;
  let sumXL = 0;
  for (let i = start; i < end; i++) {
    const x = values[i]!;
    const cell = x * slope + shift;
    const level = cellLevels[cell < 0 ? 0 : cell > lastCell ? lastCell : cell | 0]!;
    sumL += level;
    sumLL += level * level;
    sumXL += x * level;
  }
  const determinant = count * sumLL - sumL * sumL;
  let newMin = (sumXL * sumL - sumX * sumLL) / determinant;
  let newScale = (count * sumXL - sumX * sumL) / determinant;
  if (!(newMin > 0)) {
    newMin = 0;
    newScale = sumXL / sumLL;
  }
  const error =
    squares + newScale * (newScale * sumLL - 2 * sumXL) + newMin * (newMin * count + 2 * sumX - 2 * newScale * sumL);
  if (error < best.error) {
    best.scale = newScale;
    best.min = newMin;
    best.error = error;
  }
}
