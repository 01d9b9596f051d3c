/** Turns kernel cases into bytes and reference results, for the tests of every target. */

import { input } from '../../ir/build.ts';
import { type DType, isFloat, isPacked } from '../../ir/dtype.ts';
import { apply } from '../../ir/graph.ts';
import { elementsOf, type HostTensor, hostTensor } from '../../ir/host-tensor.ts';
import { interpret } from '../../ir/interpreter/interpret.ts';
import { elementCount, type TensorType } from '../../ir/shape.ts';
import { isNumberFormat } from '../../quant/number-format.ts';
import { pack } from '../../quant/pack.ts';
import type { KernelCase } from './cases.ts';
import { operandKind } from './results.ts';

/** Roughly normal numbers from a fixed sequence. */
export function randomValues(count: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => next() + next() + next() - 1.5);
}

function makeTensor(type: TensorType, values: readonly number[] | undefined, seed: number): HostTensor {
  const numbers = values ?? randomValues(elementCount(type.shape), seed);
  if (isPacked(type.dtype)) {
    if (!isNumberFormat(type.dtype)) throw new Error(`no values for ${type.dtype.name}`);
    return { type, bytes: pack(type.dtype, Float32Array.from(numbers), type.shape.at(-1)!) };
  }
  return hostTensor(type.dtype as DType, type.shape, numbers);
}

/** Inputs, epilogue operands, and the exact result by the op's meaning. */
export interface CaseData {
  readonly inputs: readonly HostTensor[];
  readonly operands: readonly HostTensor[];
  readonly output: TensorType;
  readonly expected: HostTensor;
}

/** Makes the data of a case; the same every time. */
export function caseData({ op, inputs: types, attrs, epilogue }: KernelCase): CaseData {
  const inputs = types.map(({ dtype, shape, values }, i) => makeTensor({ dtype, shape }, values, i + 1));
  const operands = (epilogue?.operands ?? []).map((type, i) => makeTensor(type, undefined, i + 101));
  const parameters = types.map(({ dtype, shape }, i) => input(i, `x${i}`, dtype, shape));
  const output = apply(op, parameters, attrs);
  const [plain] = interpret({ inputs: parameters, outputs: [output] }, inputs);
  if (!epilogue) return { inputs, operands, output: output.type, expected: plain! };
  const elements = operands.map((t) => elementsOf(t));
  const kinds = operands.map(({ type }) => operandKind(type, output.type));
  const columns = output.type.shape.at(-1)!;
  const [, channels = 1, ...inner] = output.type.shape;
  const channelAt = (i: number): number => Math.floor(i / elementCount(inner)) % channels;
  const values = Array.from(elementsOf(plain!), (value, i) =>
    epilogue.meaning(
      value,
      elements.map((e, o) => e[{ like: i, row: i % columns, channel: channelAt(i) }[kinds[o]!]]!),
    ),
  );
  return {
    inputs,
    operands,
    output: output.type,
    expected: hostTensor(output.type.dtype as DType, output.type.shape, values),
  };
}

/** Normalised mean squared error and worst element of `actual`; both 0 where the results are equal bytes. */
export function caseError(actual: HostTensor, expected: HostTensor): { nmse: number; worst: number } {
  const isExact = !isFloat(expected.type.dtype);
  const [got, wanted] = [actual, expected].map((t) =>
    isExact ? Float64Array.from(t.bytes) : Float64Array.from(elementsOf(t)),
  ) as [Float64Array, Float64Array];
  let [squares, total, worst] = [0, 0, 0];
  wanted.forEach((value, i) => {
    if (Object.is(value, got[i]) || value === got[i]) return;
    const difference = Math.abs(got[i]! - value);
    squares += difference ** 2;
    worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  });
  for (const value of wanted) total += Number.isFinite(value) ? value ** 2 : 0;
  const root = Math.sqrt(total / Math.max(1, wanted.length)) || 1;
  return { nmse: squares / (root ** 2 * Math.max(1, wanted.length)), worst: worst / root };
}
