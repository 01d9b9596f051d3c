/**
 * Chooses a block's parameters and rounds its values to codes, as each format's row says. For GGUF
 * formats the arithmetic is f32 step by step like ggml's reference quantisers, so that the bytes agree.
 */
import type { Fit, NumberFormat } from './number-format.ts';
import { SearchFit, searchBound } from './search-fit.ts';

/** A block's parameters before they are rounded to their stored types, and its codes. */
export interface BlockFit {
  /** Real value of one step (of one step of the group integers where there are such); may be negative. */
  scale: number;
  /** Value of code 0 where the format stores a minimum, else 0. */
  min: number;
  /** The code that stands for zero (or for `min`). */
  origin: number;
  readonly subScales: Int32Array;
  readonly subMins: Int32Array;
  readonly codes: Uint8Array;
}

/** Room for the fit of one block of `format`. */
export function blockFit({ blockSize, groupSize }: NumberFormat): BlockFit {
  const groups = blockSize / groupSize;
  return {
    scale: 0,
    min: 0,
    origin: 0,
    subScales: new Int32Array(groups),
    subMins: new Int32Array(groups),
    codes: new Uint8Array(blockSize),
  };
}

const { fround } = Math;

/** Scales below the least normal f32 have no finite inverse: such blocks round to zero. */
export const LEAST_SCALE = 2 ** -126;

/** Chooses scale, min and origin for values[start..end). */
type FitRule = (values: Float32Array, start: number, end: number, format: NumberFormat, into: BlockFit) => void;

const FITS: Readonly<Record<Exclude<Fit, 'search'>, FitRule>> = {
  peak(values, start, end, { offset }, into) {
    let peak = 0;
    let magnitude = 0;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      if (Math.abs(value) > magnitude) {
        magnitude = Math.abs(value);
        peak = value;
      }
    }
    into.scale = fround(peak / -offset);
    into.min = 0;
    into.origin = offset;
  },
  absmax(values, start, end, { offset }, into) {
    let magnitude = 0;
    for (let i = start; i < end; i++) magnitude = Math.max(magnitude, Math.abs(values[i]!));
    into.scale = fround(magnitude / 127);
    into.min = 0;
    into.origin = offset;
  },
  range(values, start, end, { bits }, into) {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = start; i < end; i++) {
      low = Math.min(low, values[i]!);
      high = Math.max(high, values[i]!);
    }
    into.scale = fround(fround(high - low) / (2 ** bits - 1));
    into.min = low;
    into.origin = 0;
  },
  zero(values, start, end, { bits }, into) {
    let low = 0;
    let high = 0;
    for (let i = start; i < end; i++) {
      low = Math.min(low, values[i]!);
      high = Math.max(high, values[i]!);
    }
    into.scale = fround(fround(high - low) / (2 ** bits - 1));
    into.min = 0;
    into.origin = into.scale < LEAST_SCALE ? 0 : Math.round(-low / into.scale);
  },
  bipolar(values, start, end, { bits, offset }, into) {
    let [sum, most] = [0, 0];
    for (let i = start; i < end; i++) {
      const magnitude = Math.abs(values[i]!);
      sum += magnitude;
      most = Math.max(most, magnitude);
    }
    into.scale = fround(bits === 1 ? sum / (end - start) : most / offset);
    into.min = 0;
    into.origin = offset;
  },
};

/** Chooses parameters and codes of the blocks of one format. */
export class BlockFitter {
  readonly #format: NumberFormat;
  readonly #search: SearchFit | null;

  constructor(format: NumberFormat) {
    this.#format = format;
    this.#search = format.fit === 'search' ? new SearchFit(format) : null;
  }

  /** Fills `into` with the fit of the block of `values` at `start`. NaN or infinite values give a scale that is not finite. */
  fit(values: Float32Array, start: number, into: BlockFit): void {
    const { blockSize, fit } = this.#format;
    const end = start + blockSize;
    let poison = 0;
    for (let i = start; i < end; i++) poison += values[i]! * 0; // 0, or NaN where a value is not finite
    if (Number.isNaN(poison)) into.scale = poison;
    else if (fit === 'search') this.#search!.fit(values, start, into);
    else {
      FITS[fit](values, start, end, this.#format, into);
      encodeBlock(this.#format, values, start, into);
    }
  }
}

const HALF_EVEN = 1.5 * 2 ** 52; // adding and taking this away rounds a small double to an integer, ties to even

/** Rounds the block at `start` to unsigned codes under the parameters in `fit`. */
function encodeBlock(format: NumberFormat, values: Float32Array, start: number, fit: BlockFit): void {
  const { blockSize, rounding, bits } = format;
  const { scale, min, codes } = fit;
  const stepsPerCode = format.fit === 'bipolar' ? 2 : 1;
  const origin = fit.origin / stepsPerCode;
  const inverse = Math.abs(scale) < LEAST_SCALE ? 0 : fround(1 / scale) / stepsPerCode;
  const highest = 2 ** bits - 1;
  for (let i = 0; i < blockSize; i++) {
    const steps = fround(fround(values[start + i]! - min) * inverse);
    let code: number; // `| 0` truncates; every operand of it here is far below 2^31 and, for valid blocks, not negative
    if (rounding === 'half-up') code = fround(steps + (origin + 0.5)) | 0;
    else if (rounding === 'half-even') code = steps + HALF_EVEN - HALF_EVEN + origin;
    else code = (steps < 0 ? -((0.5 - steps) | 0) : (steps + 0.5) | 0) + origin;
    codes[i] = Math.max(0, Math.min(highest, code));
  }
}

/** Fits that may err by a whole step. */
const WHOLE_STEPS: ReadonlySet<Fit> = new Set(['peak', 'zero', 'bipolar'] as const);

const roundingLoss = (value: number): number => Math.max(Math.abs(value) * 2 ** -11, 2 ** -25); // of an f16

/**
 * The largest |value - unpack(pack(value))| that packing may cause in one block: half a step (a whole one
 * where the far end of the range is clipped: `peak`, `zero`, or levels are two apart: `bipolar`), and what rounding scale and minimum to f16 adds. Fits by
 * search clip where that errs less over the block: there the bound is half a step or the distance to the nearest level.
 */
export function errorBound(format: NumberFormat, block: Float32Array): number {
  const fit = blockFit(format);
  new BlockFitter(format).fit(block, 0, fit);
  if (format.fit === 'search') return searchBound(format, block, fit);
  const { scale, min } = fit;
  const reach = 2 ** format.bits;
  const most = block.reduce((least, value) => Math.max(least, Math.abs(value)), 0);
  const isClipped = format.fit === 'bipolar' && format.bits === 1;
  const step = isClipped ? Math.max(scale, most - scale) : Math.abs(scale) * (WHOLE_STEPS.has(format.fit) ? 1 : 0.5);
  const scaleLoss = format.scale.dtype === 'f16' ? reach * roundingLoss(scale) : reach * LEAST_SCALE;
  const minLoss = format.min === null ? 0 : roundingLoss(min);
  const floatLoss = (Math.abs(scale) * reach + Math.abs(min)) * 2 ** -22;
  return step + scaleLoss + minLoss + floatLoss;
}
