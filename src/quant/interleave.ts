/**
 * Rearranges rows of a plain format into panels, bytes for bytes, so that a file's blocks become what
 * kernels load. Moves the widest units that the format's offsets allow.
 */
import { byteLength } from '../ir/shape.ts';
import { FIELD_BYTES, type NumberFormat, panel, SUB_BLOCK } from './number-format.ts';
import { requireBlocks } from './pack.ts';

/** Parts of one row's block that move as a whole: each header field, then each code word. */
function parts(format: NumberFormat): { from: number; size: number }[] {
  const fields = [format.scale, format.min, format.zeroPoint, format.codeSum].filter((field) => field !== null);
  const words = (format.blockSize / SUB_BLOCK) * format.bits;
  return [
    ...fields.map((field) => ({ from: field.byteOffset, size: FIELD_BYTES[field.dtype] })),
    ...Array.from({ length: words }, (_, word) => ({ from: format.codesOffset + 4 * word, size: 4 })),
  ];
}

/** A move of one unit per row: from block offset `from` to `to` + lane * `step` within the panel block. */
interface UnitMove {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

function unitMoves(format: NumberFormat, panelRows: number, unit: number): UnitMove[] {
  return parts(format).flatMap(({ from, size }) =>
    Array.from({ length: size / unit }, (_, i) => ({
      from: from / unit + i,
      to: (from * panelRows) / unit + i,
      step: size / unit,
    })),
  );
}

type Units = Uint8Array | Uint16Array | Uint32Array;

function view({ buffer, byteOffset, byteLength: size }: Uint8Array, unit: number): Units {
  if (unit === 4) return new Uint32Array(buffer, byteOffset, size / 4);
  return unit === 2 ? new Uint16Array(buffer, byteOffset, size / 2) : new Uint8Array(buffer, byteOffset, size);
}

/**
 * Panels of `panelRows` rows from plain rows; the rows that the last panel lacks become zeros. Returns
 * `target`, or new bytes where none is given. Feed it whole panels to rearrange a matrix piece by piece.
 * Shapes: `[rows, columns]` of `format`, to the same of `panel(format, panelRows)`.
 */
export function interleave(
  format: NumberFormat,
  bytes: Uint8Array,
  rows: number,
  columns: number,
  panelRows = 4,
  target?: Uint8Array,
): Uint8Array {
  requireBlocks(format, columns);
  const size = byteLength({ dtype: panel(format, panelRows), shape: [rows, columns] });
  const result = (target ?? new Uint8Array(size)).subarray(0, size);
  const used = bytes.subarray(0, byteLength({ dtype: format, shape: [rows, columns] }));
  if (rows % panelRows !== 0) result.fill(0);
  const offsets = [
    ...parts(format).flatMap(({ from, size: partSize }) => [from, partSize]),
    format.blockBytes,
    used.byteOffset,
    result.byteOffset,
  ];
  const unit = ([4, 2, 1] as const).find((width) => offsets.every((offset) => offset % width === 0))!;
  moveUnits(view(used, unit), view(result, unit), unitMoves(format, panelRows, unit), {
    rows,
    panelRows,
    blocks: columns / format.blockSize,
    blockUnits: format.blockBytes / unit,
  });
  return result;
}

function moveUnits(
  from: Units,
  to: Units,
  moves: readonly UnitMove[],
  { rows, panelRows, blocks, blockUnits }: { rows: number; panelRows: number; blocks: number; blockUnits: number },
): void {
  const sources = Int32Array.from(moves, (move) => move.from);
  for (let row = 0; row < rows; row++) {
    const lane = row % panelRows;
    const targets = Int32Array.from(moves, (move) => move.to + lane * move.step);
    let source = row * blocks * blockUnits;
    let base = (row - lane) * blocks * blockUnits;
    for (let block = 0; block < blocks; block++) {
      for (let i = 0; i < sources.length; i++) to[base + targets[i]!] = from[source + sources[i]!]!;
      source += blockUnits;
      base += blockUnits * panelRows;
    }
  }
}
