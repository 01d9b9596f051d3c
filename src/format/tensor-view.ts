/** Tensors made of other tensors as they are read: stacked along a new axis, or with two axes exchanged. */
import { DTYPE_BYTES, dtypeName, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { sameShape } from '../ir/shape.ts';
import { rowBytes, rowCount, type TensorEntry } from './tensor-file.ts';

const mismatch = (name: string, problem: string): BitloomError =>
  new BitloomError('BAD_WEIGHTS', `"${name}" cannot be put together: ${problem}`, { name });

/** [count, ...shape] from `count` tensors of one shape and type. Throws BAD_WEIGHTS where they differ. */
export function stackedTensor(name: string, parts: readonly TensorEntry[]): TensorEntry {
  const first = parts[0];
  if (first === undefined) throw mismatch(name, 'it has no parts');
  const other = parts.find((part) => part.element !== first.element || !sameShape(part.shape, first.shape));
  if (other !== undefined) {
    const type = ({ element, shape }: TensorEntry) => `${dtypeName(element)} [${shape.join(', ')}]`;
    throw mismatch(name, `"${first.name}" is ${type(first)}, "${other.name}" is ${type(other)}`);
  }
  const rows = rowCount(first);
  const rowSize = rowBytes(first);
  return {
    name,
    element: first.element,
    shape: [parts.length, ...first.shape],
    byteLength: parts.length * first.byteLength,
    async readRows(from, count, target, signal) {
      for (let done = 0; done < count; ) {
        const at = from + done;
        const within = at % rows;
        const now = Math.min(count - done, rows - within);
        const piece = target.subarray(done * rowSize, (done + now) * rowSize);
        await parts[Math.floor(at / rows)]!.readRows(within, now, piece, signal);
        done += now;
      }
    },
  };
}

/** Bytes of the rows that are turned at a time. */
const TURN_BYTES = 2 ** 20;

/** [columns, rows] from a matrix [rows, columns] of plain elements. Throws BAD_WEIGHTS for others. */
export function transposedTensor(entry: TensorEntry): TensorEntry {
  const { element, shape } = entry;
  if (isPacked(element) || shape.length !== 2) {
    throw mismatch(entry.name, `${dtypeName(element)} [${shape.join(', ')}] is no matrix of floats to transpose`);
  }
  const [rows, columns] = shape as readonly [number, number];
  const size = DTYPE_BYTES[element];
  const step = Math.max(1, Math.floor(TURN_BYTES / (columns * size)));
  return {
    name: entry.name,
    element,
    shape: [columns, rows],
    byteLength: entry.byteLength,
    async readRows(first, count, target, signal) {
      const stage = new Uint8Array(Math.min(step, rows) * columns * size);
      for (let row = 0; row < rows; row += step) {
        const now = Math.min(step, rows - row);
        await entry.readRows(row, now, stage.subarray(0, now * columns * size), signal);
        turn(size === 2 ? Uint16Array : size === 4 ? Uint32Array : Uint8Array, stage, target, (from, to) => {
          for (let column = 0; column < count; column++) {
            const at = column * rows + row;
            for (let i = 0; i < now; i++) to[at + i] = from[i * columns + first + column]!;
          }
        });
      }
    },
  };
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** Gives both byte ranges as words to `move`; a target at an odd place goes through a copy. */
function turn(
  Words: Uint8ArrayConstructor | Uint16ArrayConstructor | Uint32ArrayConstructor,
  stage: Uint8Array<ArrayBuffer>,
  target: Uint8Array,
  move: (from: Words, to: Words) => void,
): void {
  const size = Words.BYTES_PER_ELEMENT;
  const isAligned = target.byteOffset % size === 0;
  const place = isAligned ? target : target.slice();
  move(
    new Words(stage.buffer, 0, stage.length / size),
    new Words(place.buffer as ArrayBuffer, place.byteOffset, place.length / size),
  );
  if (!isAligned) target.set(place);
}
