/**
 * `to_panels` as a composite: a plain packed matrix with the blocks of neighbouring rows interleaved, which is
 * how kernels read weights. Checkpoints hold plain rows; loading runs this on pieces of them.
 */
import {
  and,
  bitcast,
  cast,
  concat,
  full,
  or,
  pad,
  reshape,
  scalar,
  shiftLeft,
  shiftRight,
  sliceAxis,
  transpose,
} from '../ir/build.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, numberAttr, requireShape } from '../ir/op/rule.ts';
import { codeValues, groupValues } from './dequantize.ts';
import {
  asNumberFormat,
  codeParts,
  FIELD_BYTES,
  isCanonical,
  type NumberFormat,
  paddingBytes,
  panel,
  SUB_BLOCK,
} from './number-format.ts';

/** `count` neighbouring items of `size` bytes of one row's canonical block; panels interleave the rows' items. */
interface BlockRun {
  readonly byteOffset: number;
  readonly size: number;
  readonly count: number;
}

/** A row's canonical block as runs: header fields, bytes of group integers, code words. In the order of their bytes. */
function blockRuns(format: NumberFormat): BlockRun[] {
  const { scale, min, zeroPoint, codeSum, subScale, subMin, blockSize, groupSize, bits, planes } = format;
  const fields = [scale, min, zeroPoint, codeSum].filter((field) => field !== null);
  const groups = [subScale, subMin].filter((field) => field !== null);
  const padding = paddingBytes(format);
  const groupStarts = new Set(groups.map((field) => field.tables[0]!.byteOffsets[0]!));
  return [
    ...fields.map(({ byteOffset, dtype }) => ({ byteOffset, size: FIELD_BYTES[dtype], count: 1 })),
    ...[...groupStarts].map((byteOffset) => ({ byteOffset, size: 1, count: blockSize / groupSize })),
    ...padding.map((byteOffset) => ({ byteOffset, size: 1, count: 1 })),
    { byteOffset: planes[0]!.byteOffset, size: 4, count: (blockSize / SUB_BLOCK) * bits },
  ].sort((a, b) => a.byteOffset - b.byteOffset);
}

/** The low `bits` of i32 values from bit `place` on. */
function bitsOf(x: Value, place: number, bits: number): Value {
  const all = (value: number): Value => full('i32', x.type.shape, value);
  return and(place === 0 ? x : shiftRight(x, all(place)), all(2 ** bits - 1));
}

/** Codes [rows, blocks, blockSize] i32 as bytes of canonical words [rows, blocks, bytes] u8. */
function plantCodes(codes: Value, { bits, planes }: NumberFormat): Value {
  const [rows, blocks, blockSize] = codes.type.shape as readonly [number, number, number];
  const quads = reshape(codes, [rows, blocks, blockSize / SUB_BLOCK, SUB_BLOCK / 4, 4]);
  const start = planes[0]!.byteOffset;
  const words = Array.from({ length: bits }, () => [] as Value[]);
  for (let quad = 0; quad < SUB_BLOCK / 4; quad++) {
    const own = sliceAxis(quads, 3, quad, quad + 1);
    for (const { byteOffset, shift, mask, place } of codeParts({ planes, panelRows: 1 }, quad)) {
      const part = bitsOf(own, place, Math.log2(mask + 1));
      words[(byteOffset - start) / 4]!.push(shift === 0 ? part : shiftLeft(part, full('i32', part.type.shape, shift)));
    }
  }
  const bytes = words.map((parts) => parts.reduce((joined, part) => or(joined, part)));
  return reshape(cast(concat(bytes, 3), 'u8'), [rows, blocks, (blockSize * bits) / 8]);
}

/** A plain matrix's blocks [rows, blocks, blockBytes] u8 as canonical blocks of the layout `to`. */
function canonicalBlocks(bytes: Value, from: NumberFormat, to: NumberFormat): Value {
  if (isCanonical(from)) return bytes;
  const [rows, blocks] = bytes.type.shape as readonly [number, number];
  const field = ({ byteOffset, dtype }: NumberFormat['scale']): Value =>
    sliceAxis(bytes, 2, byteOffset, byteOffset + FIELD_BYTES[dtype]);
  const plainRows = (values: Value): Value => reshape(values, [rows, blocks, values.type.shape.at(-1)!]);
  const group = (which: 'subScale' | 'subMin'): Value[] => {
    const [own, target] = [from[which], to[which]];
    if (own === null || target === null) return [];
    const kept = bitsOf(plainRows(groupValues(bytes, from, own)), 0, target.bits);
    const shift = target.tables[0]!.shifts[0]!;
    return [shift === 0 ? kept : shiftLeft(kept, full('i32', kept.type.shape, shift))];
  };
  const [subScales, subMins] = [group('subScale'), group('subMin')];
  const isShared = to.subMin !== null && to.subMin.tables[0]!.shifts[0] !== 0;
  const groups = isShared ? [or(subScales[0]!, subMins[0]!)] : [...subScales, ...subMins];
  return concat(
    [
      field(from.scale),
      ...(from.min === null ? [] : [field(from.min)]),
      ...groups.map((values) => cast(values, 'u8')),
      full('u8', [rows, blocks, paddingBytes(to).length], 0),
      plantCodes(plainRows(codeValues(bytes, from)), to),
    ],
    2,
  );
}

function decompose([x]: readonly Value[], attrs: Readonly<Record<string, unknown>>): Value {
  const format = asNumberFormat(x!.type.dtype, 'to_panels');
  const [rows, columns] = x!.type.shape as readonly [number, number];
  const panelRows = attrs.panelRows as number;
  const layout = panel(format, panelRows);
  const panels = Math.ceil(rows / panelRows);
  const blocks = columns / format.blockSize;
  const bytes = reshape(bitcast(x!, 'u8'), [rows, blocks, format.blockBytes]);
  const own = canonicalBlocks(bytes, format, layout);
  const padded = pad(own, scalar('u8', 0), [0, 0, 0], [panels * panelRows - rows, 0, 0]);
  const byRow = reshape(padded, [panels, panelRows, blocks, layout.blockBytes]);
  const runs = blockRuns(layout).map(({ byteOffset, size, count }) => {
    const run = sliceAxis(byRow, 3, byteOffset, byteOffset + size * count);
    const items = transpose(reshape(run, [panels, panelRows, blocks, count, size]), [0, 2, 3, 1, 4]);
    return reshape(items, [panels, blocks, panelRows * size * count]);
  });
  const joined = reshape(concat(runs, 2), [panels, blocks * panelRows * layout.blockBytes]);
  return bitcast(joined, layout, [rows, columns]);
}

export const toPanelsOp: Op = defineOp(
  'to_panels',
  {
    arity: 1,
    groups: ['composite'],
    meaning:
      'x [rows, columns] packed, with the blocks of each `panelRows` neighbouring rows in the canonical layout and ' +
      'interleaved by words',
    infer([x], attrs, name) {
      const format = asNumberFormat(x!.dtype, name);
      requireShape(x!.shape.length === 2 && format.panelRows === 1, name, 'needs a plain packed matrix', [x!]);
      return { dtype: panel(format, numberAttr(attrs, 'panelRows')), shape: x!.shape };
    },
  },
  decompose,
);

/** A plain packed matrix [rows, columns] in panels of `panelRows` rows; the rows that the last panel lacks are zero. */
export const toPanels = (x: Value, panelRows: number): Value => apply(toPanelsOp, [x], { panelRows });
