/**
 * The fit `search`: parameters of least squared error. Each group finds its real scale and minimum (group-search.ts);
 * the block's scale and minimum are stored over them, each group takes the small integers near its own values that
 * err least, and least squares over the whole block refines what the integers multiply; then the groups choose again.
 */
import { f16ToNumber, numberToF16 } from '../ir/float16.ts';
import type { BlockFit } from './block-fit.ts';
import { fitRange, fitScale, type GroupFit, type SearchEffort } from './group-search.ts';
import { LevelGrid } from './level-grid.ts';
import type { NumberFormat, ParameterType } from './number-format.ts';

/**
 * How much to try: where doubled, the mean error falls by less than 1 per cent. With minimums, integers beside the nearest
 * ones gain more than further scales, because scale and minimum make up for each other.
 */
const SCALE_EFFORT: SearchEffort = { offsets: [-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1], refinements: 2 };
const RANGE_EFFORT: SearchEffort = { offsets: [-1 / 2, 0, 1 / 2], refinements: 1 };
/** Rounds of least squares over a block. */
const ROUNDS = 1;
const ONE: Range = [1, 1];
const NONE: Range = [0, 0];
type Range = readonly [number, number];

const toF16 = (value: number): number => f16ToNumber(numberToF16(value));

const LEAST_NORMAL = 2 ** -14;
const LEAST_STEP = 2 ** -24;

/** What may stand for a scale: the nearest number, or both neighbours where stored numbers are far apart. */
function storedScales(dtype: ParameterType, scale: number): number[] {
  if (dtype === 'e8m0') {
    const exponent = Math.max(-128, Math.floor(Math.log2(Math.abs(scale))));
    return [2 ** exponent, 2 ** (exponent + 1)];
  }
  if (Math.abs(scale) >= LEAST_NORMAL) return [toF16(scale)];
  return [Math.floor(scale / LEAST_STEP) * LEAST_STEP, Math.ceil(scale / LEAST_STEP) * LEAST_STEP];
}

/** A minimum as stored; where stored numbers are far apart the next above, which smaller integers reach as well. */
const storedMin = (min: number): number =>
  min >= LEAST_NORMAL ? toF16(min) : Math.ceil(min / LEAST_STEP) * LEAST_STEP;

/** The first and last integer of a range that are below and above `wanted`, or `reach` further. */
function integersNear(wanted: number, reach: number, [low, high]: Range): Range {
  const within = (value: number): number => Math.max(low, Math.min(high, value));
  return [within(Math.floor(wanted) - reach), within(Math.ceil(wanted) + reach)];
}

export class SearchFit {
  readonly #format: NumberFormat;
  readonly #grid: LevelGrid;
  readonly #groups: readonly GroupFit[];
  readonly #subScales: Int32Array;
  readonly #subMins: Int32Array;

  constructor(format: NumberFormat) {
    this.#format = format;
    this.#grid = new LevelGrid(format);
    const count = format.blockSize / format.groupSize;
    this.#groups = Array.from({ length: count }, () => ({ scale: 0, min: 0, error: 0 }));
    this.#subScales = new Int32Array(count);
    this.#subMins = new Int32Array(count);
  }

  /** Fits the block at `start`, whose values are finite. The scale is infinite where it cannot be stored. */
  fit(values: Float32Array, start: number, into: BlockFit): void {
    const { groupSize, min: minField, scale: scaleField } = this.#format;
    this.#groups.forEach((group, g) => {
      const at = start + g * groupSize;
      if (minField === null) fitScale(this.#grid, SCALE_EFFORT, values, at, at + groupSize, group);
      else fitRange(this.#grid, RANGE_EFFORT, values, at, at + groupSize, group);
    });
    let [scale, min] = this.#units();
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round <= ROUNDS; round++) {
      min = storedMin(Math.max(0, min));
      for (const stored of storedScales(scaleField.dtype, scale)) {
        const reach = round === 0 && minField !== null ? 1 : 0;
        const error = this.#chooseIntegers(values, start, stored, min, reach);
        if (!(error < least)) continue;
        least = error;
        into.scale = stored;
        into.min = min;
        into.subScales.set(this.#subScales);
        into.subMins.set(this.#subMins);
      }
      if (least === Number.POSITIVE_INFINITY) {
        into.scale = least;
        return;
      }
      if (round === ROUNDS) break;
      [scale, min] = this.#leastSquares(values, start, into);
      this.#groups.forEach((group, g) => {
        group.scale = into.scale * into.subScales[g]!;
        group.min = into.min * into.subMins[g]!;
      });
    }
    this.#encode(values, start, into);
  }

  /** What the greatest integers must multiply to reach the groups' scales and minimums. */
  #units(): [scale: number, min: number] {
    const { subScale, subMin } = this.#format;
    let [peak, min] = [0, 0];
    for (const group of this.#groups) {
      if (Math.abs(group.scale) > Math.abs(peak)) peak = group.scale;
      min = Math.max(min, group.min);
    }
    const [low, high] = subScale?.range ?? ONE;
    return [peak / (low < 0 ? low : high), subMin === null ? 0 : min / subMin.range[1]];
  }

  /**
   * Chooses the integers of least error over a stored scale and minimum, up to `reach` beyond those next to what each
   * group wants. Gives the block's squared error.
   */
  #chooseIntegers(values: Float32Array, start: number, scale: number, min: number, reach: number): number {
    const { subScale, subMin, groupSize } = this.#format;
    const [scaleRange, minRange] = [subScale?.range ?? ONE, subMin?.range ?? NONE];
    let total = 0;
    for (const [g, group] of this.#groups.entries()) {
      const at = start + g * groupSize;
      const wantedScale = scale === 0 ? 0 : group.scale / scale;
      const wantedMin = min === 0 ? 0 : group.min / min;
      const [firstScale, lastScale] = integersNear(wantedScale, reach, scaleRange);
      const [firstMin, lastMin] = integersNear(wantedMin, reach, minRange);
      let least = Number.POSITIVE_INFINITY;
      for (let s = firstScale; s <= lastScale; s++) {
        for (let m = firstMin; m <= lastMin; m++) {
          const error = this.#groupError(values, at, at + groupSize, scale * s, min * m);
          if (!(error < least)) continue;
          least = error;
          this.#subScales[g] = s;
          this.#subMins[g] = m;
        }
      }
      total += least;
    }
    return total;
  }

  #groupError(values: Float32Array, start: number, end: number, scale: number, min: number): number {
    const { cellLevels, lastCell, low } = this.#grid;
    const slope = scale === 0 ? 0 : 2 / scale;
    let error = 0;
    for (let i = start; i < end; i++) {
      const x = values[i]! + min;
      const cell = x * slope - 2 * low;
      const difference = x - scale * cellLevels[cell < 0 ? 0 : cell > lastCell ? lastCell : cell | 0]!;
      error += difference * difference;
    }
    return error;
  }

  /** The scale and minimum of least squared error under the integers and rounding of a fit. */
  #leastSquares(values: Float32Array, start: number, { scale, min, subScales, subMins }: BlockFit): [number, number] {
    const { groupSize } = this.#format;
    const grid = this.#grid;
    let [sumAA, sumAB, sumBB, sumXA, sumXB] = [0, 0, 0, 0, 0];
    for (let g = 0; g < subScales.length; g++) {
      const [s, m] = [subScales[g]!, subMins[g]!];
      const inverse = scale * s === 0 ? 0 : 1 / (scale * s);
      for (let i = start + g * groupSize; i < start + (g + 1) * groupSize; i++) {
        const x = values[i]!;
        const a = s * grid.cellLevels[grid.cell((x + min * m) * inverse)]!;
        sumAA += a * a;
        sumAB += a * m;
        sumXA += x * a;
        sumXB += x * m;
      }
      sumBB += groupSize * m * m;
    }
    const determinant = sumAA * sumBB - sumAB * sumAB;
    if (!(determinant > 0)) return [sumAA === 0 ? scale : sumXA / sumAA, min];
    return [(sumXA * sumBB - sumXB * sumAB) / determinant, (sumXA * sumAB - sumXB * sumAA) / determinant];
  }

  #encode(values: Float32Array, start: number, { scale, min, subScales, subMins, codes }: BlockFit): void {
    const { groupSize } = this.#format;
    for (let i = 0; i < codes.length; i++) {
      const g = Math.floor(i / groupSize);
      const groupScale = scale * subScales[g]!;
      const steps = groupScale === 0 ? 0 : (values[start + i]! + min * subMins[g]!) / groupScale;
      codes[i] = this.#grid.cellCodes[this.#grid.cell(steps)]!;
    }
  }
}

/** The largest error of the nearest codes under a fit: half the widest gap of levels, or how far values lie beyond the last level. */
export function searchBound(
  format: NumberFormat,
  block: Float32Array,
  { scale, min, subScales, subMins }: BlockFit,
): number {
  const grid = new LevelGrid(format);
  const { groupSize } = format;
  let bound = 0;
  for (let g = 0; g < subScales.length; g++) {
    const groupScale = Math.abs(scale * subScales[g]!);
    const groupMin = min * subMins[g]!;
    const group = block.subarray(g * groupSize, (g + 1) * groupSize).map((x) => x + groupMin);
    const [low, high] = scale * subScales[g]! < 0 ? [-grid.high, -grid.low] : [grid.low, grid.high];
    const [least, most] = [Math.min(...group), Math.max(...group)];
    const beyond = Math.max(most - high * groupScale, low * groupScale - least);
    const rounding = (Math.max(-low, high) * groupScale + Math.abs(groupMin)) * 2 ** -22;
    bound = Math.max(bound, Math.max(beyond, (grid.widestGap / 2) * groupScale) + rounding);
  }
  return bound;
}
