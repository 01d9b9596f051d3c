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
  concat,
  full,
  mul,
  or,
  reshape,
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
  FIELD_BYTES,
  type Field,
  type NumberFormat,
  panelBlockBytes,
  SUB_BLOCK,
} from './number-format.ts';
import { requireBlocks } from './pack.ts';

const like = (x: Value, value: number): Value => full('i32', x.type.shape, value);

/** One header field of each panel row. Shapes: bytes `[panels, blocks, bytes] u8` to `[panels, blocks, rows] f32`. */
function fieldValues(bytes: Value, format: NumberFormat, field: Field): Value {
  const [panels, blocks] = bytes.type.shape as readonly [number, number];
  const rows = format.panelRows;
  const size = FIELD_BYTES[field.dtype];
  const start = field.byteOffset * rows;
  const raw = sliceAxis(bytes, 2, start, start + size * rows);
  if (size === 1) return cast(raw, 'f32');
  return cast(bitcast(reshape(raw, [panels, blocks, rows, size]), field.dtype), 'f32');
}

/** Unsigned codes, `[panels, blocks, subBlocks, 8, rows, 4] i32`: the axis of 8 counts groups of 4 elements. */
function codeValues(bytes: Value, format: NumberFormat): Value {
  const [panels, blocks] = bytes.type.shape as readonly [number, number];
  const { panelRows: rows, bits: codeBits, blockSize, codesOffset, planes, codeXor } = format;
  const subBlocks = blockSize / SUB_BLOCK;
  const start = codesOffset * rows;
  const raw = sliceAxis(bytes, 2, start, start + 4 * subBlocks * codeBits * rows);
  const words = cast(reshape(raw, [panels, blocks, subBlocks, codeBits, rows, 4]), 'i32');
  const parts = planes.map(({ bits, place, word }) => {
    const plane = sliceAxis(words, 3, word, word + bits);
    const shifted = Array.from({ length: 8 / bits }, (_, n) => {
      const low = n === 0 ? plane : shiftRight(plane, like(plane, n * bits));
      return bits === 8 ? low : and(low, like(low, 2 ** bits - 1));
    });
    const codes = shifted.length === 1 ? shifted[0]! : concat(shifted, 3);
    return place === 0 ? codes : shiftLeft(codes, like(codes, place));
  });
  const codes = parts.reduce((joined, part) => or(joined, part));
  return codeXor === 0 ? codes : xor(codes, like(codes, codeXor));
}

function decompose([x]: readonly Value[]): Value {
  const { dtype, shape } = x!.type;
  const format = asNumberFormat(dtype, 'dequantize');
  const { panelRows, blockSize } = format;
  const columns = shape.at(-1)!;
  const rows = elementCount(shape.slice(0, -1));
  const panels = Math.ceil(rows / panelRows);
  const blocks = columns / blockSize;
  const bytes = reshape(bitcast(x!, 'u8'), [panels, blocks, panelBlockBytes(format)]);
  const codes = cast(codeValues(bytes, format), 'f32');
  const spread = (field: Field): Value => broadcast(fieldValues(bytes, format, field), codes.type.shape, [0, 1, 4]);
  const origin = format.zeroPoint === null ? full('f32', codes.type.shape, format.offset) : spread(format.zeroPoint);
  const scaled = mul(sub(codes, origin), spread(format.scale));
  const values = format.min === null ? scaled : add(scaled, spread(format.min));
  const ordered = reshape(transpose(values, [0, 4, 1, 2, 3, 5]), [panels * panelRows, columns]);
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
