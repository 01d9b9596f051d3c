/**
 * The writing end of kernels with an epilogue: declares the epilogue's operands and the output, and
 * stores vectors, single elements and ragged edges through the epilogue.
 */

import type { TensorType } from '../../ir/shape.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat, storeFloat } from '../decode.ts';
import { add, type BufferParam, type Expr, mul, type Operand, splat } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import type { KernelRequest } from '../template.ts';

/** How an epilogue's operand goes with an output: element by element, a row for all rows, or a number for each channel. */
export type OperandKind = 'like' | 'row' | 'channel';

export function operandKind({ shape }: TensorType, output: TensorType): OperandKind {
  if (shape.length === output.shape.length) return 'like';
  return shape.length === 1 ? 'row' : 'channel';
}

/** Output of f32, f16 or bf16 with epilogue operands of the same types, of the kinds that a template takes. */
export const writesFloats = (
  { output, epilogue }: KernelRequest,
  kinds: readonly OperandKind[] = ['like', 'row'],
): boolean =>
  isFloatType(output.dtype) &&
  (epilogue?.operands ?? []).every((t) => isFloatType(t.dtype) && kinds.includes(operandKind(t, output)));

/**
 * Stores results of a [rows, columns] output. Create after the kernel's inputs are declared. The output must
 * not share memory with any input or operand: kernels may write results before they have read all of those.
 */
export class Results {
  readonly columns: number;
  readonly #k: KernelBuilder;
  readonly #request: KernelRequest;
  readonly #operands: { readonly buffer: BufferParam; readonly dtype: FloatType; readonly kind: OperandKind }[];
  readonly #output: BufferParam;

  constructor(k: KernelBuilder, request: KernelRequest, access: 'write' | 'readwrite' = 'write') {
    this.#k = k;
    this.#request = request;
    this.columns = request.output.shape.at(-1) ?? 1;
    const operands = request.epilogue?.operands ?? [];
    this.#operands = operands.map((operand, i) => ({
      buffer: k.buffer(`operand${i}`, 'read'),
      dtype: operand.dtype as FloatType,
      kind: operandKind(operand, request.output),
    }));
    this.#output = k.buffer('output', access);
  }

  /** The output as it lies in memory, for kernels that keep partial sums of f32 in it. */
  get output(): BufferParam {
    return this.#output;
  }

  /** Stores `value` at row start + column, both in elements, through the epilogue. All of it lies in one channel, if there are any. */
  store(rowStart: Expr, column: Operand, value: Expr, channel: Operand = 0): void {
    const { epilogue, output } = this.#request;
    const dtype = output.dtype as FloatType;
    const { lanes } = value.type;
    const index = add(rowStart, column);
    const operands = this.#operands.map(({ buffer, dtype, kind }) => {
      const at = mul({ like: index, row: column, channel }[kind], FLOAT_BYTES[dtype]);
      const isOne = kind === 'channel';
      return splat(loadFloat(this.#k, dtype, buffer, at, isOne ? 1 : lanes), lanes);
    });
    const result = epilogue ? epilogue.apply(this.#k, this.#k.let(value), operands) : value;
    storeFloat(this.#k, dtype, this.#output, mul(index, FLOAT_BYTES[dtype]), result);
  }

  /** Stores the first `count` lanes of `value`. */
  storeFirst(rowStart: Expr, column: Operand, value: Expr, count: number, channel: Operand = 0): void {
    if (count >= value.type.lanes) {
      this.store(rowStart, column, value, channel);
      return;
    }
    const all = this.#k.let(value);
    for (let lane = 0; lane < count; lane++) {
      const type = { element: all.type.element, lanes: 1 };
      this.store(rowStart, add(column, lane), { kind: 'extract', type, a: all, lane }, channel);
    }
  }
}
