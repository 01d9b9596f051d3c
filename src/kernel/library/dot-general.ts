/**
 * `dot_general` of floats whose batch, free and contracted axes each lie at one stride, as in a matrix product with
 * either operand transposed and one batch axis. Runs through the blocked product of gemm.ts; on machines with tiles that of
 * bf16 by bf16 may run in them, and that of bytes by bytes does (gemm-tile-registers.ts).
 */
import {
  emitTileGemm,
  floatResults,
  integerResults,
  isTileGemm,
  type TileGemmProblem,
  tileGemmWork,
  tileSchedulesFor,
} from '#wide-kernels';
import { rowMajorStrides, type Shape, type TensorType } from '../../ir/shape.ts';
import { rankSchedules, type Work } from '../cost.ts';
import { type FloatType, isFloatType } from '../decode.ts';
import type { BufferParam } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { emitGemm, type GemmSchedule, type GemmSizes, gemmSchedules, gemmWork } from './gemm.ts';
import { kernelName } from './naming.ts';
import type { MatrixSource } from './panel-source.ts';
import { Results, writesFloats } from './results.ts';
import { isTileOperand, type TileOperandType } from './tile-squares.ts';

/** Several axes that lie as one: their joint size and the stride of the last. */
interface Joined {
  readonly size: number;
  readonly stride: number;
}

/** Axes in order as one axis, or null where their strides do not nest. Axes of size 1 do not matter. */
function joinAxes(shape: Shape, axes: readonly number[]): Joined | null {
  const strides = rowMajorStrides(shape);
  const real = axes.filter((axis) => shape[axis] !== 1);
  for (let i = 0; i + 1 < real.length; i++) {
    const [outer, inner] = [real[i]!, real[i + 1]!];
    if (strides[outer] !== strides[inner]! * shape[inner]!) return null;
  }
  const last = real.at(-1);
  return { size: real.reduce((n, axis) => n * shape[axis]!, 1), stride: last === undefined ? 1 : strides[last]! };
}

interface Side {
  readonly batch: Joined;
  readonly free: Joined;
  readonly contract: Joined;
}

function sideOf({ shape }: TensorType, batchAxes: readonly number[], contractAxes: readonly number[]): Side | null {
  const freeAxes = shape
    .map((_, axis) => axis)
    .filter((axis) => !batchAxes.includes(axis) && !contractAxes.includes(axis));
  const [batch, free, contract] = [batchAxes, freeAxes, contractAxes].map((axes) => joinAxes(shape, axes));
  return batch && free && contract ? { batch, free, contract } : null;
}

function sidesOf({ inputs: [lhs, rhs], attrs }: KernelRequest): [Side, Side] | null {
  const axes = (key: string): readonly number[] => attrs[key] as readonly number[];
  const a = sideOf(lhs!, axes('lhsBatch'), axes('lhsContract'));
  const b = sideOf(rhs!, axes('rhsBatch'), axes('rhsContract'));
  return a && b ? [a, b] : null;
}

const sourceOf = (buffer: BufferParam, dtype: FloatType, { batch, free, contract }: Side): MatrixSource => ({
  buffer,
  dtype,
  rows: free.size,
  depth: contract.size,
  rowStride: free.stride,
  depthStride: contract.stride,
  batchStride: batch.stride,
});

/** A column as the one row of the other operand's product, so that no panel is padded. */
const isColumn = ({ output, epilogue }: KernelRequest, b: Side): boolean =>
  b.free.size === 1 && (output.shape.length === 1 || epilogue === undefined);

interface MatrixProblem extends GemmSizes {
  readonly a: MatrixSource;
  readonly b: MatrixSource;
}

/** The product in tile registers, for operands that they take. */
function tileProblemOf(request: KernelRequest, lhs: BufferParam, rhs: BufferParam): TileGemmProblem {
  const { a, b, ...sizes } = problemOf(request, lhs, rhs);
  const dtype = request.inputs[0]!.dtype as TileOperandType;
  return { ...sizes, a: { ...a, dtype }, b: { ...b, dtype } };
}

/** Whether tile registers take both operands: bf16 to f32, bytes to i32, each along its depth or across it. */
function fitsTiles({ inputs: [lhs, rhs], output, machine, epilogue }: KernelRequest, sides: [Side, Side]): boolean {
  if (!machine.tiles || !isTileOperand(lhs!.dtype) || lhs!.dtype !== rhs!.dtype) return false;
  const isWhole = lhs!.dtype === 'bf16' || (output.dtype === 'i32' && epilogue === undefined);
  return isWhole && sides.every(({ free, contract }) => free.stride === 1 || contract.stride === 1);
}

function problemOf(request: KernelRequest, lhs: BufferParam, rhs: BufferParam): MatrixProblem {
  const [a, b] = sidesOf(request)!;
  const [left, right] = [
    sourceOf(lhs, request.inputs[0]!.dtype as FloatType, a),
    sourceOf(rhs, request.inputs[1]!.dtype as FloatType, b),
  ];
  const [rows, columns] = isColumn(request, b) ? [right, left] : [left, right];
  return { batch: a.batch.size, m: rows.rows, n: columns.rows, depth: a.contract.size, a: rows, b: columns };
}

export const dotGeneral: KernelTemplate = {
  op: 'dot_general',
  name: 'dot_general',
  supports(request) {
    const sides = sidesOf(request);
    if (sides === null) return false;
    if (!request.inputs.every((t) => isFloatType(t.dtype))) return fitsTiles(request, sides);
    return request.output.dtype === 'f32' && writesFloats(request);
  },
  schedules(request) {
    const { machine, inputs } = request;
    const unused: BufferParam = { name: '', access: 'read', index: 0 };
    const sizes = problemOf(request, unused, unused);
    const types = inputs.map((t) => t.dtype);
    const tiled = fitsTiles(request, sidesOf(request)!) ? tileSchedulesFor(sizes, types, machine) : [];
    if (tiled.length === 0) return gemmSchedules(sizes, machine);
    if (!isFloatType(types[0]!)) return tiled;
    const work = (schedule: Schedule): Work =>
      isTileGemm(schedule)
        ? tileGemmWork(sizes, 'bf16', schedule, machine)
        : gemmWork(sizes, schedule as GemmSchedule, machine, 'bf16');
    return rankSchedules<Schedule>([...gemmSchedules(sizes, machine), ...tiled], work, machine);
  },
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('dot_general', request, schedule), request.machine.lanes);
    const [lhs, rhs] = [k.buffer('lhs', 'read'), k.buffer('rhs', 'read')];
    if (isTileGemm(schedule)) {
      const isFloat = request.output.dtype !== 'i32';
      const results = isFloat ? floatResults(new Results(k, request), request) : integerResults(k);
      emitTileGemm(k, tileProblemOf(request, lhs, rhs), schedule, results);
      return k.finish();
    }
    const problem = problemOf(request, lhs, rhs);
    emitGemm(k, problem, schedule as GemmSchedule, new Results(k, request, 'readwrite'));
    return k.finish();
  },
};
