/** `packed_embedding`: rows of a packed table, in any layout, as f32. */
import { isInteger } from '../../ir/dtype.ts';
import type { TensorType } from '../../ir/shape.ts';
import { isNumberFormat, type NumberFormat } from '../../quant/number-format.ts';
import { type BufferParam, binary, type Expr, i32, max, min, mul } from '../expression.ts';
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
    machine.lanes >= 4 &&
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
