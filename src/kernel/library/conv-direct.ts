/**
 * Convolutions of few outputs a group (depthwise ones have one) without packing, which few products would pay for:
 * lanes are neighbouring outputs of a row. A tile of outputs x rows x vectors is summed in registers straight from the
 * staged input (conv-stage.ts); each loaded vector serves all the rows and outputs that have a tap there. Vectors at the
 * end of a row overlap those before them.
 */
import { loadFloatAt } from '../decode.ts';
import {
  add,
  type BufferParam,
  constant,
  divU,
  type Expr,
  fma,
  i32,
  min,
  mul,
  remU,
  splat,
  sub,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';
import type { Schedule } from '../template.ts';
import { type ConvShape, tapPlace } from './conv-shape.ts';
import { isByRow, Stage } from './conv-stage.ts';
import type { Results } from './results.ts';
import { forTiles } from './tiles.ts';

export interface DirectSchedule extends Schedule {
  /** A tile's outputs, rows, and vectors of a row. */
  readonly outputs: number;
  readonly rows: number;
  readonly vectors: number;
  /** Rows of a work item, or columns where items are pieces of rows. */
  readonly span: number;
}

/** Lanes of the vectors: no more than a row has outputs. */
export const directLanes = (machineLanes: number, places: number): number =>
  [machineLanes, 8, 4, 1].find((n) => n <= Math.min(machineLanes, places))!;

/** Outputs and taps whose weights are loaded once and kept, where a group has one channel. */
const KEPT_WEIGHTS = 12;

interface Tile {
  readonly output: Expr;
  readonly outputs: number;
  readonly row: Expr;
  readonly rows: number;
  readonly column: Expr;
  /** Columns of the vectors, from `column` on. */
  readonly starts: readonly number[];
}

interface Item {
  readonly group: Expr;
  /** The first of the group's outputs in all images. */
  readonly firstOutput: Expr;
  readonly firstRow: Expr;
  readonly lastRow: Expr;
  readonly firstColumn: Expr;
}

type Weight = (output: number, tap: number) => Expr;

export function emitDirectConv(
  k: KernelBuilder,
  shape: ConvShape,
  input: BufferParam,
  weights: BufferParam,
  schedule: DirectSchedule,
  results: Results,
): void {
  const { images, groups, channels, outputs, plane, y, across } = shape;
  if (images * groups * outputs * shape.places === 0) return;
  const byRow = isByRow(shape);
  const columns = byRow ? Math.min(schedule.span, across.places) : across.places;
  const itemRows = byRow ? 1 : schedule.span;
  const [columnBlocks, rowBlocks] = [Math.ceil(across.places / columns), Math.ceil(y.places / itemRows)];
  const stage = new Stage(k, shape, input, { channels, rows: Math.min(itemRows, y.places), columns });
  const direct = new Direct(k, shape, stage, weights, schedule, results, columns);
  k.parallelLoop(images * groups * rowBlocks * columnBlocks, 1, (number) => {
    const group = k.let(divU(number, rowBlocks * columnBlocks));
    const firstRow = k.let(mul(remU(divU(number, columnBlocks), rowBlocks), itemRows));
    const lastRow = k.let(min(add(firstRow, itemRows), i32(y.places)));
    // The last piece overlaps the one before it: both compute the same there.
    const firstColumn = k.let(min(mul(remU(number, columnBlocks), columns), i32(across.places - columns)));
    const part = { plane: k.let(mul(group, channels * plane)), channels, firstRow, firstColumn };
    stage.fill({ ...part, rows: k.let(sub(lastRow, firstRow)) });
    direct.item({
      ...{ firstRow, lastRow, firstColumn },
      group: k.let(remU(group, groups)),
      firstOutput: k.let(mul(group, outputs)),
    });
  });
}

class Direct {
  readonly #k: KernelBuilder;
  readonly #shape: ConvShape;
  readonly #stage: Stage;
  readonly #weights: BufferParam;
  readonly #schedule: DirectSchedule;
  readonly #results: Results;
  readonly #columns: number;
  readonly #lanes: number;

  constructor(
    k: KernelBuilder,
    shape: ConvShape,
    stage: Stage,
    weights: BufferParam,
    schedule: DirectSchedule,
    results: Results,
    columns: number,
  ) {
    this.#k = k;
    this.#shape = shape;
    this.#stage = stage;
    this.#weights = weights;
    this.#schedule = schedule;
    this.#results = results;
    this.#columns = columns;
    this.#lanes = directLanes(k.lanes, columns);
  }

  item(item: Item): void {
    const [k, { outputs, channels, taps, y }, tile] = [this.#k, this.#shape, this.#schedule];
    forTiles(k, i32(0), i32(outputs), tile.outputs, outputs, (output, count) => {
      const first = k.let(mul(add(mul(item.group, outputs), output), channels * taps));
      const kept =
        channels === 1 && count * taps <= KEPT_WEIGHTS
          ? Array.from({ length: count * taps }, (_, i) => k.let(this.#weight(add(first, i))))
          : undefined;
      forTiles(k, item.firstRow, item.lastRow, tile.rows, y.places, (row, rows) =>
        this.#columnTiles((column, starts) => {
          const place = { output, outputs: count, row, rows, column, starts };
          this.#store(place, item, this.#sums(place, item, first, kept));
        }),
      );
    });
  }

  #columnTiles(body: (column: Expr, starts: readonly number[]) => void): void {
    const [lanes, columns] = [this.#lanes, this.#columns];
    const width = this.#schedule.vectors * lanes;
    const whole = columns - (columns % width);
    const starts = (count: number): number[] => Array.from({ length: count }, (_, v) => v * lanes);
    this.#k.loop(0, whole, width, (column) => body(column, starts(width / lanes)));
    if (whole === columns) return;
    const rest = starts(Math.ceil((columns - whole) / lanes));
    body(
      i32(whole),
      rest.map((start) => Math.min(start, columns - lanes - whole)),
    );
  }

  #weight(index: Expr): Expr {
    return splat(loadFloatAt(this.#k, this.#shape.w, this.#weights, index), this.#lanes);
  }

  /** Sums [output][row][vector] of a tile. */
  #sums(tile: Tile, item: Item, firstWeight: Expr, kept: readonly Expr[] | undefined): Variable[][][] {
    const [k, { channels, taps }] = [this.#k, this.#shape];
    const zero = constant(vectorType('f32', this.#lanes), 0);
    const sums = Array.from({ length: tile.outputs }, () =>
      Array.from({ length: tile.rows }, () => tile.starts.map(() => k.variable(zero))),
    );
    const from = k.let(this.#stage.place(sub(tile.row, item.firstRow), tile.column));
    const channel = (place: Expr, weights: Expr): void => {
      const read: Weight = (output, tap) =>
        kept?.[output * taps + tap] ?? k.let(this.#weight(add(weights, output * channels * taps + tap)));
      this.#channel(tile, sums, place, read);
    };
    if (channels === 1) channel(from, firstWeight);
    else
      k.loop(0, channels, 1, (c) =>
        channel(k.let(add(from, mul(c, this.#stage.channelBytes))), k.let(add(firstWeight, mul(c, taps)))),
      );
    return sums;
  }

  /** Adds the products of one channel: each vector of the input is loaded once for all rows that read it. */
  #channel(tile: Tile, sums: readonly (readonly Variable[])[][], place: Expr, weight: Weight): void {
    const [k, { across }] = [this.#k, this.#shape];
    for (const readers of this.#readers(tile.rows))
      for (let j = 0; j < across.taps; j++) {
        const offset = this.#stage.tap(readers[0]!.tap, j) + readers[0]!.row * this.#stage.rowBytes;
        const vectors = tile.starts.map((start) =>
          k.let(k.load(this.#stage.buffer, 'f32', add(place, offset + 4 * start), this.#lanes)),
        );
        for (const { row, tap } of readers)
          sums.forEach((rows, output) => {
            const w = weight(output, tap * across.taps + j);
            rows[row]!.forEach((sum, v) => {
              k.set(sum, fma(w, vectors[v]!, sum));
            });
          });
      }
  }

  /** For each staged row that a tile reads: its rows of outputs that read it, and by which tap. */
  #readers(rows: number): { row: number; tap: number }[][] {
    const { y } = this.#shape;
    const byPlace = new Map<string, { row: number; tap: number }[]>();
    for (let row = 0; row < rows; row++)
      for (let tap = 0; tap < y.taps; tap++) {
        const { phase, shift } = tapPlace(y, tap);
        const key = `${phase} ${row + shift}`;
        byPlace.set(key, [...(byPlace.get(key) ?? []), { row, tap }]);
      }
    return [...byPlace.values()];
  }

  #store(tile: Tile, item: Item, sums: readonly (readonly Variable[])[][]): void {
    const [k, { across, places }] = [this.#k, this.#shape];
    const first = k.let(add(mul(add(item.firstOutput, tile.output), places), mul(tile.row, across.places)));
    const column = k.let(add(item.firstColumn, tile.column));
    const channel = k.let(add(mul(item.group, this.#shape.outputs), tile.output));
    sums.forEach((rows, output) =>
      rows.forEach((vectors, row) => {
        const start = add(first, output * places + row * across.places);
        for (const [v, sum] of vectors.entries())
          this.#results.store(start, add(column, tile.starts[v]!), sum, add(channel, output));
      }),
    );
  }
}
