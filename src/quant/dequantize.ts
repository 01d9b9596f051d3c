/**
 * `dequantize` as a composite: the decoder of every number format and layout in primitive ops, derived
 * from the format's row. Kernels that read packed weights are held to this.
 */
import {
  add,
  and,
  bitcast,
  broadcast,
  cast,
  constant,
  full,
  gather,
  lt,
  mul,
  or,
  reshape,
  select,
  shiftLeft,
  shiftRight,
  sliceAxis,
  sub,
  transpose,
  xor,
} from '../ir/build.ts';
import { isPacked } from '../ir/dtype.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp } from '../ir/op/rule.ts';
import { elementCount } from '../ir/shape.ts';
import {
  asNumberFormat,
  type BitTable,
  codeTables,
  FIELD_BYTES,
  type GroupField,
  groupOffset,
  type NumberFormat,
  type ParameterField,
  panelBlockBytes,
} from './number-format.ts';
import { requireBlocks } from './pack.ts';

const like = (x: Value, value: number): Value => full('i32', x.type.shape, value);

/** 2^(e - 128) of bytes e, denormal for the lowest two. */
function powersOfTwo(bytes: Value): Value {
  const e = cast(bytes, 'i32');
  const bits = select(lt(e, like(e, 2)), shiftLeft(like(e, 0x200000), e), shiftLeft(sub(e, like(e, 1)), like(e, 23)));
  return bitcast(bits, 'f32');
}

/** One header field of each panel row. Shapes: bytes `[panels, blocks, bytes] u8` to `[panels, blocks, rows] f32`. */
function fieldValues(bytes: Value, format: NumberFormat, field: ParameterField): Value {
  const [panels, blocks] = bytes.type.shape as readonly [number, number];
  const rows = format.panelRows;
  const { dtype } = field;
  const size = FIELD_BYTES[dtype];
  const start = field.byteOffset * rows;
  const raw = sliceAxis(bytes, 2, start, start + size * rows);
  if (dtype === 'e8m0') return powersOfTwo(raw);
  if (dtype === 'u8') return cast(raw, 'f32');
  return cast(bitcast(reshape(raw, [panels, blocks, rows, size]), dtype), 'f32');
}

/**
 * Integers stored in bits, of each panel row: bytes `[panels, blocks, bytes] u8` to `[panels, blocks, rows, count] i32`.
 * `rowStep` is the distance of the rows' bytes.
 */
function storedIntegers(bytes: Value, tables: readonly BitTable[], rows: number, rowStep: number): Value {
  const parts = tables.map(({ bits, place, byteOffsets, shifts }) => {
    const count = byteOffsets.length;
    const places = Array.from({ length: rows }, (_, row) => byteOffsets.map((byte) => byte + row * rowStep)).flat();
    const raw = cast(gather(bytes, constant('i32', [rows, count], places), 2), 'i32');
    const low = shifts.every((shift) => shift === 0)
      ? raw
      : shiftRight(raw, broadcast(constant('i32', [count], shifts), raw.type.shape, [3]));
    const masked = bits === 8 ? low : and(low, like(low, 2 ** bits - 1));
    return place === 0 ? masked : shiftLeft(masked, like(masked, place));
  });
  return parts.reduce((joined, part) => or(joined, part));
}

/** Unsigned codes of each panel row, `[panels, blocks, rows, blockSize] i32`. */
export function codeValues(bytes: Value, format: NumberFormat): Value {
  const codes = storedIntegers(bytes, codeTables(format), format.panelRows, 4);
  return format.codeXor === 0 ? codes : xor(codes, like(codes, format.codeXor));
}

/** The small integers of a block's groups, `[panels, blocks, rows, groups] i32`. */
export function groupValues(bytes: Value, format: NumberFormat, { bits, isSigned, bias, tables }: GroupField): Value {
  const inPanel = tables.map((table) => ({
    ...table,
    byteOffsets: table.byteOffsets.map((byte) => groupOffset(format, byte)),
  }));
  const stored = storedIntegers(bytes, inPanel, format.panelRows, 1);
  const sign = 2 ** (bits - 1);
  const value = isSigned ? sub(xor(stored, like(stored, sign)), like(stored, sign)) : stored;
  return bias === 0 ? value : sub(value, like(value, bias));
}

/** Levels around the format's offset as f32, of codes of any shape. */
function levelValues(codes: Value, { codebook }: NumberFormat): Value {
  return cast(codebook === null ? codes : gather(constant('i32', [codebook.length], codebook), codes, 0), 'f32');
}

function decompose([x]: readonly Value[]): Value {
  const { dtype, shape } = x!.type;
  const format = asNumberFormat(dtype, 'dequantize');
  const { panelRows, blockSize, groupSize } = format;
  const columns = shape.at(-1)!;
  const rows = elementCount(shape.slice(0, -1));
  const panels = Math.ceil(rows / panelRows);
  const blocks = columns / blockSize;
  const bytes = reshape(bitcast(x!, 'u8'), [panels, blocks, panelBlockBytes(format)]);
  const grouped = [panels, blocks, panelRows, blockSize / groupSize, groupSize];
  const levels = reshape(levelValues(codeValues(bytes, format), format), grouped);
  const all = (field: ParameterField): Value =>
    broadcast(fieldValues(bytes, format, field), grouped.slice(0, 4), [0, 1, 2]);
  const spread = (values: Value): Value => broadcast(values, grouped, [0, 1, 2, 3]);
  const times = (values: Value, field: GroupField | null): Value =>
    field === null ? values : mul(values, cast(groupValues(bytes, format, field), 'f32'));
  const origin = format.zeroPoint === null ? full('f32', grouped, format.offset) : spread(all(format.zeroPoint));
  const scaled = mul(sub(levels, origin), spread(times(all(format.scale), format.subScale)));
  const least = format.min === null ? null : spread(times(all(format.min), format.subMin));
  const values = least === null ? scaled : (format.subMin === null ? add : sub)(scaled, least);
  const ordered = reshape(transpose(reshape(values, [panels, blocks, panelRows, blockSize]), [0, 2, 1, 3]), [
    panels * panelRows,
    columns,
  ]);
  return reshape(sliceAxis(ordered, 0, 0, rows), shape);
}

export const dequantizeOp: Op = defineOp(
  'dequantize',
  {
    arity: 1,
    groups: ['composite'],
    meaning: 'the f32 numbers that packed blocks stand for',
    infer([x], _, name) {
      requireBlocks(asNumberFormat(x!.dtype, name), x!.shape.at(-1) ?? 1);
      return { dtype: 'f32', shape: x!.shape };
    },
  },
  decompose,
);

/** The f32 numbers of a packed tensor; floats are cast. Throws: DTYPE_MISMATCH for packed types of other layers. */
export const dequantize = (x: Value): Value => (isPacked(x.type.dtype) ? apply(dequantizeOp, [x]) : cast(x, 'f32'));
