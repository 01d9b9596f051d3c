/**
 * The patches of a convolution as the right operand of a product: depth (channel, tap) by output places. They are never
 * all in memory. For each work item and slice of depth, the input that they read is staged (conv-stage.ts), and each
 * tap's runs of it are copied to scratch [depth][pitch]: a load and a store for each vector.
 */
import { add, type BufferParam, divU, type Expr, i32, max, min, mul, remU, sub } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import type { ConvShape } from './conv-shape.ts';
import { isByRow, Stage, type StageSizes } from './conv-stage.ts';
import type { ColumnSource, DepthRange } from './panel-source.ts';

/** Taps that are copied without a loop. */
const UNROLLED_TAPS = 64;
/** Floats of a cache line. */
const LINE = 16;

/** Room for `nc` columns and a vector beyond, an odd number of lines: neighbouring depths then lie in different sets. */
export function patchPitch(nc: number, lanes: number): number {
  const lines = Math.ceil((nc + lanes) / LINE);
  return (lines + 1 - (lines % 2)) * LINE;
}

/** What a work item of `nc` columns and `kc` of the depth stages. */
export function stageSizes({ across, y, taps }: ConvShape, nc: number, kc: number): StageSizes {
  const { places } = across;
  const rows = Math.min(y.places, Math.floor((nc + places - 2) / places) + 1);
  return { channels: kc / taps, rows, columns: places };
}

/** The same where items are pieces of rows. */
export const windowSizes = ({ across, taps }: ConvShape, nc: number, kc: number): StageSizes => ({
  channels: kc / taps,
  rows: 1,
  columns: Math.min(nc, across.places),
});

/** Batch entries of patches: images times groups, times rows of outputs where items are pieces of rows. */
export class Patches implements ColumnSource {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
  readonly pitch: number;
  readonly #k: KernelBuilder;
  readonly #shape: ConvShape;
  readonly #stage: Stage;
  readonly #isByRow: boolean;

  constructor(k: KernelBuilder, shape: ConvShape, input: BufferParam, { nc, kc }: { nc: number; kc: number }) {
    this.#k = k;
    this.#shape = shape;
    this.#isByRow = isByRow(shape);
    this.#stage = new Stage(k, shape, input, (this.#isByRow ? windowSizes : stageSizes)(shape, nc, kc));
    this.pitch = patchPitch(nc, k.lanes);
    const { buffer, byteOffset } = k.threadScratch(4 * kc * this.pitch);
    this.buffer = buffer;
    this.byteOffset = byteOffset;
  }

  write(batch: Expr, first: Expr, last: Expr, range: DepthRange): void {
    const [k, { y, across, taps, channels, plane }] = [this.#k, this.#shape];
    const image = this.#isByRow ? k.let(divU(batch, y.places)) : batch;
    const firstChannel = divU(range.start, taps);
    const part = {
      plane: k.let(mul(add(mul(image, channels), firstChannel), plane)),
      channels: k.let(divU(range.length, taps)),
    };
    if (this.#isByRow) {
      const firstRow = k.let(remU(batch, y.places));
      this.#stage.fill({ ...part, firstRow, rows: 1, firstColumn: first });
      this.#row(this.#stage.place(0, 0), i32(this.byteOffset), k.let(sub(last, first)), part.channels);
      return;
    }
    const firstRow = k.let(divU(first, across.places));
    const rows = k.let(add(sub(divU(sub(last, 1), across.places), firstRow), 1));
    this.#stage.fill({ ...part, firstRow, rows, firstColumn: i32(0) });
    k.loop(0, rows, 1, (row) => {
      const skipped = k.let(sub(mul(add(firstRow, row), across.places), first)); // columns of the item before this row
      const start = k.let(max(mul(skipped, -1), 0));
      const end = min(sub(sub(last, first), skipped), i32(across.places));
      const to = k.let(add(mul(add(skipped, start), 4), this.byteOffset));
      this.#row(this.#stage.place(row, start), to, k.let(sub(end, start)), part.channels);
    });
  }

  /** A run of `count` outputs of one row, for all channels and taps. What goes beyond its end is written after it. */
  #row(from: Expr, to: Expr, count: Expr, channels: Expr): void {
    const [k, { y, across, taps }] = [this.#k, this.#shape];
    const depthBytes = 4 * this.pitch;
    const [start, target] = [k.let(from), k.let(to)];
    k.loop(0, count, k.lanes, (column) => {
      const place = k.variable(add(start, mul(column, 4)));
      const first = k.let(add(target, mul(column, 4)));
      k.loop(first, add(first, mul(channels, taps * depthBytes)), taps * depthBytes, (depth) => {
        const copy = (offset: number | Expr, tap: number | Expr): void => {
          const value = k.load(this.#stage.buffer, 'f32', add(place, offset), k.lanes);
          k.store(this.buffer, 'f32', add(depth, mul(tap, depthBytes)), value);
        };
        if (taps <= UNROLLED_TAPS) {
          for (let i = 0; i < y.taps; i++)
            for (let j = 0; j < across.taps; j++) copy(this.#stage.tap(i, j), i * across.taps + j);
        } else {
          k.loop(0, y.taps, 1, (i) =>
            k.loop(0, across.taps, 1, (j) => copy(k.let(this.#stage.countedTap(i, j)), add(mul(i, across.taps), j))),
          );
        }
        k.set(place, add(place, this.#stage.channelBytes));
      });
    });
  }
}
