/**
 * Kernels that move rows of packed matrices: `packed_embedding` (rows of a table, plain or in panels, as f32) and
 * `to_panels` (plain rows interleaved by words). Both run at the speed of memory.
 */
import { isInteger } from '../../ir/dtype.ts';
import type { TensorType } from '../../ir/shape.ts';
import { isCanonical, isNumberFormat, type NumberFormat } from '../../quant/number-format.ts';
import { blockRuns } from '../../quant/to-panels.ts';
import { add, type BufferParam, binary, type Expr, i32, type MemoryType, max, min, mul } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import { decodeRow, packedRow } from '../packed-block.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';

/** Decodes row `row` of packed `x` [.., columns] to f32 at byte `to` of `out`. */
export function dequantizeRow(
  k: KernelBuilder,
  format: NumberFormat,
  x: BufferParam,
  row: Expr,
  columns: number,
  out: BufferParam,
  to: Expr,
): void {
  decodeRow(k, format, x, packedRow(k, format, row, columns), { first: 0, count: columns / format.blockSize }, out, to);
}

export const packedEmbeddingKernel: KernelTemplate = {
  op: 'packed_embedding',
  name: 'packed embedding',
  supports: ({ inputs: [table, tokens], machine, epilogue }) =>
    isNumberFormat(table!.dtype) &&
    isInteger(tokens!.dtype) &&
    ['i32', 'u32'].includes(tokens!.dtype as string) &&
    machine.lanes === 4 &&
    !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('packed_embedding', request, schedule), request.machine.lanes);
    const [table, tokens, out] = [k.buffer('table', 'read'), k.buffer('tokens', 'read'), k.buffer('output', 'write')];
    const [tableType, tokenType] = request.inputs as [TensorType, TensorType];
    const [vocabSize, columns] = tableType.shape as readonly [number, number];
    k.parallelLoop(tokenType.shape[0]!, 1, (i) => {
      const token = k.loadAt(tokens, 'i32', i);
      const isUnsigned = tokenType.dtype === 'u32';
      const row = k.let(isUnsigned ? binary('min_u', token, vocabSize - 1) : min(max(token, 0), i32(vocabSize - 1)));
      dequantizeRow(k, tableType.dtype as NumberFormat, table, row, columns, out, k.let(mul(i, columns * 4)));
    });
    return k.finish();
  },
};

/** How a part of a block moves. */
const MEMORY_OF_SIZE: Readonly<Record<number, MemoryType>> = { 1: 'u8', 2: 'u16', 4: 'i32' };

export const toPanelsKernel: KernelTemplate = {
  op: 'to_panels',
  name: 'to panels',
  supports: ({ inputs: [x], epilogue }) => isNumberFormat(x!.dtype) && isCanonical(x!.dtype) && !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('to_panels', request, schedule), request.machine.lanes);
    const [x, out] = [k.buffer('x', 'read'), k.buffer('output', 'write')];
    const format = request.inputs[0]!.dtype as NumberFormat;
    const panelRows = (request.output.dtype as NumberFormat).panelRows;
    const [rows, columns] = request.output.shape as readonly [number, number];
    const blocks = columns / format.blockSize;
    const rowBytes = blocks * format.blockBytes;
    const parts = blockRuns(format).flatMap(({ byteOffset, size, count }) =>
      Array.from({ length: count }, (_, i) => ({ byteOffset: byteOffset + i * size, size })),
    );
    const copyRow = (panelBase: Expr, lane: number, isPresent: boolean): void =>
      k.loop(0, blocks, 1, (block) => {
        const from = k.let(add(panelBase, add(mul(block, format.blockBytes), lane * rowBytes)));
        const to = k.let(add(panelBase, mul(block, format.blockBytes * panelRows)));
        for (const { byteOffset, size } of parts) {
          const memory = MEMORY_OF_SIZE[size]!;
          const value = isPresent ? k.load(x, memory, add(from, byteOffset)) : i32(0);
          k.store(out, memory, add(to, byteOffset * panelRows + lane * size), value);
        }
      });
    const lanes = Array.from({ length: panelRows }, (_, lane) => lane);
    const whole = Math.floor(rows / panelRows);
    k.parallelLoop(whole, 1, (number) => {
      const base = k.let(mul(number, rowBytes * panelRows));
      for (const lane of lanes) copyRow(base, lane, true);
    });
    if (rows % panelRows !== 0) {
      k.parallelLoop(1, 1, () => {
        for (const lane of lanes) copyRow(i32(whole * rowBytes * panelRows), lane, whole * panelRows + lane < rows);
      });
    }
    return k.finish();
  },
};
