/**
 * Rearranges rows of a plain format into panels, bytes for bytes, so that a file's blocks become what
 * kernels load.
 */
import { byteLength } from '../ir/shape.ts';
import { FIELD_BYTES, type NumberFormat, panel, SUB_BLOCK } from './number-format.ts';
import { requireBlocks } from './pack.ts';

const viewOf = ({ buffer, byteOffset, byteLength: size }: Uint8Array) => new DataView(buffer, byteOffset, size);

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
  if (rows % panelRows !== 0) result.fill(0);
  const rowBytes = (columns / format.blockSize) * format.blockBytes;
  for (let row = 0; row < rows; row++) {
    const lane = row % panelRows;
    const from = bytes.subarray(row * rowBytes, (row + 1) * rowBytes);
    const to = result.subarray((row - lane) * rowBytes, (row - lane + panelRows) * rowBytes);
    moveFields(format, viewOf(from), viewOf(to), lane, panelRows);
    const isEven = (format.blockBytes | format.codesOffset | from.byteOffset) % 2 === 0;
    const isWhole = (format.blockBytes * panelRows) % 4 === 0 && (format.codesOffset * panelRows) % 4 === 0;
    if (isEven && isWhole && to.byteOffset % 4 === 0) moveAlignedWords(format, from, to, lane, panelRows);
    else moveWords(format, viewOf(from), viewOf(to), lane, panelRows);
  }
  return result;
}

function moveFields(format: NumberFormat, from: DataView, to: DataView, lane: number, panelRows: number): void {
  const { blockBytes, scale, min, zeroPoint, codeSum } = format;
  for (const field of [scale, min, zeroPoint, codeSum]) {
    if (field === null) continue;
    const size = FIELD_BYTES[field.dtype];
    let target = field.byteOffset * panelRows + lane * size;
    for (let at = field.byteOffset; at < from.byteLength; at += blockBytes) {
      if (size === 2) to.setUint16(target, from.getUint16(at, true), true);
      else if (size === 4) to.setInt32(target, from.getInt32(at, true), true);
      else to.setUint8(target, from.getUint8(at));
      target += blockBytes * panelRows;
    }
  }
}

const codeWords = ({ blockSize, bits }: NumberFormat): number => (blockSize / SUB_BLOCK) * bits;

function moveWords(format: NumberFormat, from: DataView, to: DataView, lane: number, panelRows: number): void {
  const { blockBytes, codesOffset } = format;
  const words = codeWords(format);
  let base = codesOffset * panelRows + 4 * lane;
  for (let start = codesOffset; start < from.byteLength; start += blockBytes) {
    for (let w = 0; w < words; w++) {
      to.setInt32(base + 4 * w * panelRows, from.getInt32(start + 4 * w, true), true);
    }
    base += blockBytes * panelRows;
  }
}

/** The same three times as fast, for formats of an even block size: loading GGUF files waits for this loop. */
function moveAlignedWords(
  format: NumberFormat,
  from: Uint8Array,
  to: Uint8Array,
  lane: number,
  panelRows: number,
): void {
  const halves = new Uint16Array(from.buffer, from.byteOffset, from.byteLength / 2);
  const words = new Int32Array(to.buffer, to.byteOffset, to.byteLength / 4);
  const { blockBytes, codesOffset } = format;
  const codeHalves = 2 * codeWords(format);
  let base = (codesOffset * panelRows) / 4 + lane;
  for (let start = codesOffset / 2; start < halves.length; start += blockBytes / 2) {
    let target = base;
    for (let at = start; at < start + codeHalves; at += 2) {
      words[target] = halves[at]! | (halves[at + 1]! << 16);
      target += panelRows;
    }
    base += (blockBytes * panelRows) / 4;
  }
}
