/** The levels of a format's codes, and the nearest of them to a number of steps: by one look-up, evenly spaced or not. */
import type { NumberFormat } from './number-format.ts';

export class LevelGrid {
  /** Least and greatest level, around the format's offset. */
  readonly low: number;
  readonly high: number;
  /** Mean and greatest distance of neighbouring levels. */
  readonly spacing: number;
  readonly widestGap: number;
  /**
   * The nearest level, and its code, by cell: cell c is the numbers from low + c / 2 to the next. Levels are integers, so
   * all numbers of a cell have the same nearest level.
   */
  readonly cellLevels: Float64Array;
  readonly cellCodes: Uint8Array;
  readonly lastCell: number;

  constructor({ bits, offset, codebook }: NumberFormat) {
    const levels = Float64Array.from({ length: 2 ** bits }, (_, code) => (codebook?.[code] ?? code) - offset);
    const sorted = Array.from(new Set(levels)).sort((a, b) => a - b);
    this.low = sorted[0]!;
    this.high = sorted.at(-1)!;
    this.spacing = (this.high - this.low) / (sorted.length - 1);
    this.widestGap = sorted.reduce((widest, level, i) => Math.max(widest, level - (sorted[i - 1] ?? level)), 0);
    this.lastCell = 2 * (this.high - this.low);
    this.cellCodes = Uint8Array.from({ length: this.lastCell + 1 }, (_, cell) => {
      const distances = levels.map((level) => Math.abs(level - (this.low + cell / 2 + 0.25)));
      return distances.indexOf(Math.min(...distances));
    });
    this.cellLevels = Float64Array.from(this.cellCodes, (code) => levels[code]!);
  }

  /** The cell of `steps`, or of the last level beyond it. Loops over many numbers have this in line. */
  cell(steps: number): number {
    return Math.max(0, Math.min(this.lastCell, Math.floor((steps - this.low) * 2)));
  }
}
