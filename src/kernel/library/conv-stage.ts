/**
 * A part of a convolution's input in scratch, as f32: some channels, the rows that some output rows read, padding and
 * dilation zeros in place, rows and columns sorted by their phase of the stride (conv-shape.ts). Every tap then reads
 * each row of outputs as one run of neighbours. This is the only place that knows the input's edges.
 *
 * A run may be written beyond its end, by whole vectors: what lies behind is written later, or is room left for that.
 */
import { FLOAT_BYTES, loadFloat } from '../decode.ts';
import {
  add,
  type BufferParam,
  binary,
  constant,
  divU,
  type Expr,
  i32,
  max,
  min,
  mul,
  type Operand,
  remU,
  sub,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { type ConvAxis, type ConvShape, readsPhase, tapOffset, tapPlace } from './conv-shape.ts';

/** Channels, output rows and output columns that a stage serves at once. */
export interface StageSizes {
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
}

/** What is staged. */
export interface StagedPart {
  /** Element of the input at which the first channel begins. */
  readonly plane: Expr;
  readonly channels: Operand;
  /** Output rows that it serves. */
  readonly firstRow: Expr;
  readonly rows: Operand;
  /** First of the output columns that it serves; 0 unless rows are long. */
  readonly firstColumn: Expr;
}

/** Output columns from which on rows are long: a part is then a piece of one row. */
const LONG_ROW = 384;

/** Whether parts are pieces of single rows of outputs: of long ones, and of those of 1-D. */
export const isByRow = ({ y, across }: ConvShape): boolean =>
  across.spread === 1 && (across.places >= LONG_ROW || y.places === 1);

/** Floats of one phase's part of a row, of a row, and of a channel. */
export function stageFloats(
  { y, across }: ConvShape,
  { rows, columns }: StageSizes,
): { run: number; row: number; channel: number } {
  const run = columns + across.reach;
  const row = across.phases * run;
  return { run, row, channel: y.phases * (rows + y.reach) * row };
}

/** Vectors of a run that are written without a loop. */
const UNROLLED = 8;

export class Stage {
  readonly buffer: BufferParam;
  readonly #k: KernelBuilder;
  readonly #shape: ConvShape;
  readonly #input: BufferParam;
  readonly #sizes: StageSizes;
  readonly #floats: { readonly run: number; readonly row: number; readonly channel: number };
  readonly #byteOffset: number;

  constructor(k: KernelBuilder, shape: ConvShape, input: BufferParam, sizes: StageSizes) {
    this.#k = k;
    this.#shape = shape;
    this.#input = input;
    this.#sizes = sizes;
    this.#floats = stageFloats(shape, sizes);
    const { buffer, byteOffset } = k.threadScratch(4 * (sizes.channels * this.#floats.channel + k.lanes));
    this.buffer = buffer;
    this.#byteOffset = byteOffset;
  }

  get channelBytes(): number {
    return 4 * this.#floats.channel;
  }

  get rowBytes(): number {
    return 4 * this.#floats.row;
  }

  /** Byte offset of an output's place in the first channel; row and column are counted within the part. */
  place(row: Operand, column: Operand): Expr {
    return add(mul(add(mul(row, this.#floats.row), column), 4), this.#byteOffset);
  }

  get #phaseFloats(): number {
    return (this.#sizes.rows + this.#shape.y.reach) * this.#floats.row;
  }

  /** Bytes from an output's place to what a tap reads for it. */
  tap(row: number, column: number): number {
    const [down, right] = [tapPlace(this.#shape.y, row), tapPlace(this.#shape.across, column)];
    const floats = down.phase * this.#phaseFloats + down.shift * this.#floats.row;
    return 4 * (floats + right.phase * this.#floats.run + right.shift);
  }

  /** The same for a tap that loops count. */
  countedTap(row: Expr, column: Expr): Expr {
    const { y, across } = this.#shape;
    const down = tapOffset(y, row, this.#phaseFloats, this.#floats.row);
    return mul(add(down, tapOffset(across, column, this.#floats.run, 1)), 4);
  }

  /** Writes a part: channel after channel, phase after phase, row after row, so that runs may go beyond their ends. */
  fill(part: StagedPart): void {
    const [k, { y, plane }] = [this.#k, this.#shape];
    const rows = k.let(add(part.rows, y.reach));
    k.loop(0, part.channels, 1, (channel) => {
      const from = k.let(add(part.plane, mul(channel, plane)));
      const to = k.let(add(mul(channel, this.channelBytes), this.#byteOffset));
      for (let phase = 0; phase < y.phases; phase++) {
        if (!readsPhase(y, phase)) continue;
        const start = k.let(add(to, 4 * phase * this.#phaseFloats));
        k.loop(0, rows, 1, (row) => {
          const padded = k.let(add(mul(add(part.firstRow, row), y.stride), phase - y.low));
          this.#row(from, padded, k.let(add(start, mul(row, this.rowBytes))), part.firstColumn);
        });
      }
    });
  }

  /** The row `padded` of the input with its dilation zeros, to `to`; zeros where there is none. */
  #row(plane: Expr, padded: Expr, to: Expr, firstColumn: Expr): void {
    const [k, { y, across }] = [this.#k, this.#shape];
    const span = Math.max(0, (y.size - 1) * y.spread + 1);
    const copy = (): void => {
      const row = k.let(add(plane, mul(divU(padded, y.spread), across.size)));
      for (let phase = 0; phase < across.phases; phase++) {
        if (!readsPhase(across, phase)) continue;
        const run = k.let(add(to, 4 * phase * this.#floats.run));
        if (isByRow(this.#shape)) this.#window(row, run, phase, firstColumn);
        else this.#wholeRun(row, run, phase);
      }
    };
    const exists = binary('lt_u', padded, span);
    const isElement = y.spread === 1 ? exists : binary('and', exists, binary('eq', remU(padded, y.spread), 0));
    k.if(isElement, copy, () => this.#zeros(to, 0, this.#floats.row));
  }

  /** Zeros from place `first` to `last` of a run; a whole vector at a time. */
  #zeros(run: Expr, first: Operand, last: Operand): void {
    const k = this.#k;
    const zero = constant(vectorType('f32', k.lanes), 0);
    k.loop(first, last, k.lanes, (place) => k.store(this.buffer, 'f32', add(run, mul(place, 4)), zero));
  }

  /** One phase of a row of which all columns are staged: which elements there are is known when staging. */
  #wholeRun(row: Expr, run: Expr, phase: number): void {
    const places = elementPlaces(this.#shape.across, phase, this.#floats.run);
    const [first, second] = places;
    if (!first) {
      this.#zeros(run, 0, this.#floats.run);
      return;
    }
    const elementStep = second ? second.element - first.element : 1;
    const placeStep = second ? second.place - first.place : 1;
    this.#zeros(run, 0, placeStep === 1 ? first.place : this.#floats.run);
    const to = add(run, 4 * first.place);
    if (elementStep === 1 && placeStep === 1) this.#copy(add(row, first.element), to, places.length);
    else this.#spread(add(row, first.element), to, i32(places.length), elementStep, placeStep);
    if (placeStep === 1) this.#zeros(run, first.place + places.length, this.#floats.run);
  }

  /** One phase of a window of a row, from output column `firstColumn` on. */
  #window(row: Expr, run: Expr, phase: number, firstColumn: Expr): void {
    const [k, { size, stride, low }, { run: length }] = [this.#k, this.#shape.across, this.#floats];
    // Element i lies at place (i - skipped) / stride.
    const skipped = k.let(add(mul(firstColumn, stride), phase - low));
    const place = (element: Operand): Expr =>
      k.let(min(divU(max(add(sub(element, skipped), stride - 1), 0), stride), length));
    const [first, last] = [place(i32(0)), place(i32(size))];
    this.#zeros(run, 0, first);
    const element = k.let(add(add(row, skipped), mul(first, stride)));
    const to = k.let(add(run, mul(first, 4)));
    const count = k.let(sub(last, first));
    if (stride === 1) k.vectorLoop(0, count, (i, lanes) => this.#move(add(element, i), add(to, mul(i, 4)), lanes));
    else this.#spread(element, to, count, stride, 1);
    this.#zeros(run, last, length);
  }

  /** `count` neighbours: vectors, of which the last may overlap the one before. */
  #copy(element: Expr, to: Expr, count: number): void {
    const k = this.#k;
    const lanes = [k.lanes, 8, 4, 1].find((n) => n <= Math.min(count, k.lanes))!;
    const at = (first: Operand): void => this.#move(add(element, first), add(to, mul(first, 4)), lanes);
    const whole = count - (count % lanes);
    if (whole / lanes > UNROLLED) k.loop(0, whole, lanes, at);
    else for (let first = 0; first < whole; first += lanes) at(first);
    if (whole < count) at(count - lanes);
  }

  #move(element: Expr, to: Expr, lanes: number): void {
    const { x } = this.#shape;
    const value = loadFloat(this.#k, x, this.#input, mul(element, FLOAT_BYTES[x]), lanes);
    this.#k.store(this.buffer, 'f32', to, value);
  }

  /** `count` elements with steps: one by one. */
  #spread(element: Expr, to: Expr, count: Expr, elementStep: number, placeStep: number): void {
    this.#k.loop(0, count, 1, (i) => this.#move(add(element, mul(i, elementStep)), add(to, mul(i, 4 * placeStep)), 1));
  }
}

/** The elements of an axis that lie in a phase, at equal distances, and their places among the first `length` of it. */
function elementPlaces(
  { size, stride, low, spread }: ConvAxis,
  phase: number,
  length: number,
): { element: number; place: number }[] {
  return Array.from({ length: size }, (_, element) => ({ element, padded: low + element * spread }))
    .filter(({ padded }) => padded >= 0 && padded % stride === phase)
    .map(({ element, padded }) => ({ element, place: (padded - phase) / stride }))
    .filter(({ place }) => place < length);
}
