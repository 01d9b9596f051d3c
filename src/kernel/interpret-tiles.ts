/** The meaning of statements on tiles, for the kernel interpreter: plain loops over rows, columns and depth. */
import { BitloomError } from '../ir/error.ts';
import type { Evaluator, Frame } from './evaluate.ts';
import { type Tile, type TileDot, type TileStatement, tileSpan } from './tile.ts';

/** A tile's rows one after the other, without gaps. */
export const newTile = ({ rows, columnBytes }: Tile): Uint8Array => new Uint8Array(rows * columnBytes);

type Run = (frame: Frame) => void;

/** Compiles one statement to a closure. */
export function interpretTiles(s: TileStatement, values: Evaluator): Run {
  switch (s.kind) {
    case 'tileZero':
      return (frame) => frame.tiles[s.tile.id]!.fill(0);
    case 'tileLoad':
    case 'tileStore': {
      const { tile, buffer, rowStride } = s;
      if (s.kind === 'tileStore' && buffer.access === 'read')
        throw new BitloomError('INVALID_GRAPH', `a kernel stores a tile to ${buffer.name}, which it only reads`);
      const [at, slot] = [values.scalar(s.byteOffset), values.slot(buffer.index)];
      const check = values.bounds(buffer.name, tileSpan(tile, rowStride));
      const { rows, columnBytes } = tile;
      return (frame) => {
        const view = frame.views[slot]!;
        const [from, bytes] = [check(view, at(frame)), frame.tiles[tile.id]!];
        for (let row = 0; row < rows; row++) {
          const memory = new Uint8Array(view.buffer, view.byteOffset + from + row * rowStride, columnBytes);
          const own = bytes.subarray(row * columnBytes, (row + 1) * columnBytes);
          if (s.kind === 'tileLoad') own.set(memory);
          else memory.set(own);
        }
      };
    }
    case 'tileDot': {
      const { sums, a, b } = s;
      const cell = s.dot === 'bf16' ? bf16Cell : integerCell(s.dot);
      return ({ tiles }) => {
        const [x, y, z] = [tiles[a.id]!, tiles[b.id]!, tiles[sums.id]!].map((t) => new DataView(t.buffer)) as Views;
        for (let row = 0; row < sums.rows; row++) {
          for (let column = 0; column < sums.columnBytes; column += 4)
            cell(
              z,
              row * sums.columnBytes + column,
              { view: x, at: row * a.columnBytes, step: 4 },
              { view: y, at: column, step: b.columnBytes },
              b.rows,
            );
        }
      };
    }
  }
}

type Views = [DataView, DataView, DataView];

/** Words of 4 bytes, `step` bytes apart. */
interface Words {
  readonly view: DataView;
  readonly at: number;
  readonly step: number;
}

/** Adds the dot product of `count` words of two tiles to a word of a third. */
type Cell = (sums: DataView, at: number, a: Words, b: Words, count: number) => void;

function integerCell(dot: Exclude<TileDot, 'bf16'>): Cell {
  const read = (isSigned: boolean) => (view: DataView, at: number) => (isSigned ? view.getInt8(at) : view.getUint8(at));
  const [first, second] = [read(dot.startsWith('s8')), read(dot.endsWith('s8'))];
  return (sums, at, a, b, count) => {
    let sum = sums.getInt32(at, true);
    for (let word = 0; word < count; word++) {
      const [x, y] = [a.at + word * a.step, b.at + word * b.step];
      for (let i = 0; i < 4; i++) sum = (sum + first(a.view, x + i) * second(b.view, y + i)) | 0;
    }
    sums.setInt32(at, sum, true);
  };
}

const LEAST_NORMAL = 2 ** -126;
/** The greatest number that rounds to a denormal, where f32 had exponents without end. */
const GREATEST_TINY = LEAST_NORMAL * (1 - 2 ** -25);

/** Rounds an exact result to f32, what would be denormal to a zero of its sign. */
function rounded(exact: number): number {
  if (Math.abs(exact) < GREATEST_TINY) return exact < 0 || Object.is(exact, -0) ? -0 : 0;
  return Math.fround(exact);
}

/** A denormal operand as a zero. */
const operand = (x: number): number => (Math.abs(x) < LEAST_NORMAL ? (x < 0 || Object.is(x, -0) ? -0 : 0) : x);

const word = new DataView(new ArrayBuffer(4));

function bf16At(view: DataView, at: number): number {
  word.setUint32(0, view.getUint16(at, true) << 16);
  return operand(word.getFloat32(0));
}

/** Products of bfloat16 numbers and their sums with f32 are exact in doubles, or miss by less than what rounding to f32 sees. */
function bf16Cell(sums: DataView, at: number, a: Words, b: Words, count: number): void {
  const chains = [0, 0];
  for (let i = 0; i < count; i++) {
    const [x, y] = [a.at + i * a.step, b.at + i * b.step];
    for (const part of [0, 1])
      chains[part] = rounded(bf16At(a.view, x + 2 * part) * bf16At(b.view, y + 2 * part) + chains[part]!);
  }
  const sum = rounded(chains[0]! + chains[1]!);
  sums.setFloat32(at, rounded(operand(sums.getFloat32(at, true)) + sum), true);
}
