/**
 * The fit `search`: group scales and minimums of least squared error, and the block's scale over them.
 */

import { f16ToNumber, numberToF16 } from '../ir/float16.ts';
import type { BlockFit } from './block-fit.ts';
import type { NumberFormat } from './number-format.ts';

const toF16 = (value: number): number => f16ToNumber(numberToF16(value));

/** The code whose level is nearest to `steps` from the offset. */
function nearestCode({ bits, offset, codebook }: NumberFormat, steps: number): number {
  if (codebook === null) return Math.max(0, Math.min(2 ** bits - 1, Math.floor(steps + offset + 0.5)));
  let best = 0;
  codebook.forEach((level, code) => {
    if (Math.abs(level - offset - steps) < Math.abs(codebook[best]! - offset - steps)) best = code;
  });
  return best;
}

/** Real scale and (positive) minimum that span a group. */
function spanGroup(format: NumberFormat, values: Float32Array, start: number, end: number): [number, number] {
  let [low, high] = [0, 0];
  for (let i = start; i < end; i++) {
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  if (format.min !== null) return [(high - low) / (2 ** format.bits - 1), -low];
  const lowest = (format.codebook === null ? 0 : Math.min(...format.codebook)) - format.offset;
  return [(-low > high ? low : high) / lowest, 0];
}

function stored(format: NumberFormat, scale: number): number {
  if (format.scale.dtype === 'f16') return toF16(scale);
  return 2 ** Math.max(-128, Math.ceil(Math.log2(Math.abs(scale))));
}

export function searchFit(format: NumberFormat, values: Float32Array, start: number, into: BlockFit): void {
  const { blockSize, groupSize, subScale, subMin } = format;
  const groups = Array.from({ length: blockSize / groupSize }, (_, g) => start + g * groupSize);
  const spans = groups.map((at) => spanGroup(format, values, at, at + groupSize));
  const peak = spans.reduce((best, [s]) => (Math.abs(s) > Math.abs(best) ? s : best), 0);
  const [low, high] = subScale === null ? [1, 1] : subScale.range;
  into.scale = stored(format, peak / (low < 0 ? low : high));
  into.min = subMin === null ? 0 : toF16(Math.max(...spans.map(([, m]) => m)) / subMin.range[1]);
  spans.forEach(([s, m], g) => {
    const sub = into.scale === 0 ? 0 : Math.max(low, Math.min(high, Math.round(s / into.scale)));
    const subM = into.min === 0 ? 0 : Math.round(m / into.min);
    into.subScales[g] = sub;
    into.subMins[g] = subM;
    const scale = into.scale * sub;
    for (let i = 0; i < groupSize; i++) {
      const x = values[groups[g]! + i]! + into.min * subM;
      into.codes[g * groupSize + i] = nearestCode(format, scale === 0 ? 0 : x / scale);
    }
  });
}

export function searchBound(format: NumberFormat, block: Float32Array): number {
  return block.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / (format.bits < 3 ? 1 : 2);
}
