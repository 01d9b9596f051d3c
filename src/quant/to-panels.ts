/**
 * `to_panels` as a composite: a plain packed matrix with the blocks of neighbouring rows interleaved, which is
 * how kernels read weights. Checkpoints hold plain rows; loading runs this on pieces of them.
 */
import { bitcast, concat, pad, reshape, scalar, sliceAxis, transpose } from '../ir/build.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, numberAttr, requireShape } from '../ir/op/rule.ts';
import { asNumberFormat, FIELD_BYTES, type NumberFormat, panel, SUB_BLOCK } from './number-format.ts';

/** Byte runs of one row's block that move as a whole: each header field, then each code word. */
export function blockParts(format: NumberFormat): { byteOffset: number; size: number }[] {
  const fields = [format.scale, format.min, format.zeroPoint, format.codeSum].filter((field) => field !== null);
  const words = (format.blockSize / SUB_BLOCK) * format.bits;
  return [
    ...fields.map((field) => ({ byteOffset: field.byteOffset, size: FIELD_BYTES[field.dtype] })),
    ...Array.from({ length: words }, (_, word) => ({ byteOffset: format.codesOffset + 4 * word, size: 4 })),
  ].sort((a, b) => a.byteOffset - b.byteOffset);
}

function decompose([x]: readonly Value[], attrs: Readonly<Record<string, unknown>>): Value {
  const format = asNumberFormat(x!.type.dtype, 'to_panels');
  const [rows, columns] = x!.type.shape as readonly [number, number];
  const panelRows = attrs.panelRows as number;
  const panels = Math.ceil(rows / panelRows);
  const bytes = bitcast(x!, 'u8');
  const padded = pad(bytes, scalar('u8', 0), [0, 0], [panels * panelRows - rows, 0]);
  const blocks = columns / format.blockSize;
  const byBlock = transpose(reshape(padded, [panels, panelRows, blocks, format.blockBytes]), [0, 2, 1, 3]);
  const parts = blockParts(format).map(({ byteOffset, size }) =>
    reshape(sliceAxis(byBlock, 3, byteOffset, byteOffset + size), [panels, blocks, panelRows * size]),
  );
  const joined = reshape(concat(parts, 2), [panels, blocks * panelRows * format.blockBytes]);
  return bitcast(joined, panel(format, panelRows), [rows, columns]);
}

export const toPanelsOp: Op = defineOp(
  'to_panels',
  {
    arity: 1,
    groups: ['composite'],
    meaning: 'x [rows, columns] packed, with the blocks of each `panelRows` neighbouring rows interleaved by words',
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
