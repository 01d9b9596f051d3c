/**
 * Kernels that move whole rows: `gather` along the first axis of any type, `embedding` (rows of a float table as f32),
 * and `dequantize` (packed rows, plain or in panels, as f32).
 */
import { DTYPE_BYTES, isInteger, isPacked } from '../../ir/dtype.ts';
import { elementCount, type TensorType } from '../../ir/shape.ts';
import { isNumberFormat, type NumberFormat } from '../../quant/number-format.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat } from '../decode.ts';
import {
  add,
  type BufferParam,
  binary,
  type Expr,
  i32,
  MEMORY_BYTES,
  type MemoryType,
  min,
  mul,
} from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';
import { dequantizeRow } from './packed-rows.ts';

const INDEX_MEMORY: Readonly<Record<string, MemoryType>> = { i32: 'i32', u32: 'i32', i8: 'i8', u8: 'u8' };

/** Entry i of an index tensor, clamped into 0..count - 1. */
export function clampedIndex(
  k: KernelBuilder,
  { dtype }: TensorType,
  buffer: BufferParam,
  i: Expr,
  count: number,
): Expr {
  const index = k.loadAt(buffer, INDEX_MEMORY[dtype as string]!, i);
  if (dtype === 'u32') return k.let(binary('min_u', index, count - 1));
  return k.let(min(binary('max', index, 0), i32(count - 1)));
}

/** Copies `bytes` bytes, a constant, in the widest pieces. */
function copyBytes(
  k: KernelBuilder,
  from: BufferParam,
  fromAt: Expr,
  to: BufferParam,
  toAt: Expr,
  bytes: number,
): void {
  let done = 0;
  const copy = (memory: MemoryType, lanes: number): void => {
    const step = MEMORY_BYTES[memory] * lanes;
    const end = bytes - ((bytes - done) % step);
    if (end > done)
      k.loop(done, end, step, (i) => k.store(to, memory, add(toAt, i), k.load(from, memory, add(fromAt, i), lanes)));
    done = end;
  };
  for (const lanes of new Set([k.lanes, 4, 1])) copy('i32', lanes);
  copy('u8', 1);
}

/** Bytes of one entry along the first axis. Packed tables are plain: the op sees to it. */
function entryBytes({ dtype, shape }: TensorType): number {
  const elements = elementCount(shape.slice(1));
  return isPacked(dtype) ? (elements / dtype.blockSize) * dtype.blockBytes : elements * DTYPE_BYTES[dtype];
}

/** Bytes of an entry from which copying beats reading single elements, which fuses with what follows. */
const LEAST_ENTRY = 64;

export const gatherRows: KernelTemplate = {
  op: 'gather',
  name: 'gather rows',
  supports: ({ inputs: [table, indices], attrs, epilogue }) =>
    attrs.axis === 0 &&
    isInteger(indices!.dtype) &&
    !epilogue &&
    (isPacked(table!.dtype) || entryBytes(table!) >= LEAST_ENTRY),
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('gather', request, schedule), request.machine.lanes);
    const [table, indices, out] = [k.buffer('table', 'read'), k.buffer('indices', 'read'), k.buffer('output', 'write')];
    const [tableType, indexType] = request.inputs as [TensorType, TensorType];
    const bytes = entryBytes(tableType);
    k.parallelLoop(elementCount(indexType.shape), 1, (i) => {
      const entry = clampedIndex(k, indexType, indices, i, tableType.shape[0]!);
      copyBytes(k, table, k.let(mul(entry, bytes)), out, k.let(mul(i, bytes)), bytes);
    });
    return k.finish();
  },
};

export const embeddingKernel: KernelTemplate = {
  op: 'embedding',
  name: 'embedding',
  supports: ({ inputs: [table, tokens], output, epilogue }) =>
    isFloatType(table!.dtype) && isInteger(tokens!.dtype) && output.dtype === 'f32' && !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('embedding', request, schedule), request.machine.lanes);
    const [table, tokens, out] = [k.buffer('table', 'read'), k.buffer('tokens', 'read'), k.buffer('output', 'write')];
    const [tableType, tokenType] = request.inputs as [TensorType, TensorType];
    const [vocabSize, dim] = tableType.shape as readonly [number, number];
    const dtype = tableType.dtype as FloatType;
    k.parallelLoop(tokenType.shape[0]!, 1, (i) => {
      const from = k.let(mul(clampedIndex(k, tokenType, tokens, i, vocabSize), dim));
      const to = k.let(mul(i, dim));
      k.vectorLoop(0, dim, (column, lanes) =>
        k.storeAt(
          out,
          'f32',
          add(to, column),
          loadFloat(k, dtype, table, mul(add(from, column), FLOAT_BYTES[dtype]), lanes),
        ),
      );
    });
    return k.finish();
  },
};

export const dequantizeKernel: KernelTemplate = {
  op: 'dequantize',
  name: 'dequantize',
  supports: ({ inputs: [x], epilogue }) => isNumberFormat(x!.dtype) && !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('dequantize', request, schedule), request.machine.lanes);
    const [x, out] = [k.buffer('x', 'read'), k.buffer('output', 'write')];
    const format = request.inputs[0]!.dtype as NumberFormat;
    const columns = request.output.shape.at(-1)!;
    k.parallelLoop(elementCount(request.output.shape.slice(0, -1)), 1, (row) =>
      dequantizeRow(k, format, x, row, columns, out, k.let(mul(row, columns * 4))),
    );
    return k.finish();
  },
};
