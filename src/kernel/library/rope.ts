/**
 * `rope`: turns pairs of each head's elements by position * frequency. Cosines and sines are computed once per
 * position into scratch and serve all heads; positions are split among threads.
 */
import { isInteger } from '../../ir/dtype.ts';
import type { TensorType } from '../../ir/shape.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat } from '../decode.ts';
import { add, type BufferParam, type Expr, f32, fma, type MemoryType, mul, splat, sub, unary } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import { cos, sin } from '../math.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';

const POSITION_MEMORY: Readonly<Record<string, MemoryType>> = { i32: 'i32', u32: 'i32', i8: 'i8', u8: 'u8' };

/** A region of thread scratch that holds f32. */
interface Table {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
}

const loadTable = (k: KernelBuilder, { buffer, byteOffset }: Table, index: Expr, lanes: number): Expr =>
  k.load(buffer, 'f32', add(mul(index, 4), byteOffset), lanes);

/** Where a head's elements come from and go to, as functions of the element. */
interface Head {
  load(element: Expr, lanes: number): Expr;
  store(element: Expr, value: Expr): void;
}

function turnHalves(k: KernelBuilder, head: Head, pairs: number, cosines: Table, sines: Table): void {
  k.vectorLoop(0, pairs, (i, lanes) => {
    const [a, b] = [k.let(head.load(i, lanes)), k.let(head.load(add(i, pairs), lanes))];
    const [c, s] = [k.let(loadTable(k, cosines, i, lanes)), k.let(loadTable(k, sines, i, lanes))];
    head.store(i, sub(mul(a, c), mul(b, s)));
    head.store(add(i, pairs), fma(b, c, mul(a, s)));
  });
}

function turnNeighbours(k: KernelBuilder, head: Head, pairs: number, cosines: Table, sines: Table): void {
  k.vectorLoop(0, pairs, (i, lanes) => {
    const at = k.let(mul(i, 2));
    const [first, second] = [k.let(head.load(at, lanes)), k.let(head.load(add(at, lanes), lanes))];
    const pick = (a: Expr, b: Expr, place: (lane: number) => number): Expr =>
      lanes === 1
        ? a
        : k.let({
            kind: 'shuffle',
            type: a.type,
            a,
            b,
            pattern: Array.from({ length: lanes }, (_, lane) => place(lane)),
          });
    const a = pick(first, second, (lane) => 2 * lane);
    const b = pick(second, first, (lane) => (2 * lane + 1 + lanes) % (2 * lanes));
    const [c, s] = [k.let(loadTable(k, cosines, i, lanes)), k.let(loadTable(k, sines, i, lanes))];
    const [x, y] = [k.let(sub(mul(a, c), mul(b, s))), k.let(fma(b, c, mul(a, s)))];
    const woven = (from: number) => (lane: number) => Math.floor((from + lane) / 2) + (lane % 2) * lanes;
    head.store(at, pick(x, y, woven(0)));
    head.store(add(at, lanes), lanes === 1 ? y : pick(x, y, woven(lanes)));
  });
}

export const ropeKernel: KernelTemplate = {
  op: 'rope',
  name: 'rope',
  supports: ({ inputs: [x, positions], epilogue }) => isFloatType(x!.dtype) && isInteger(positions!.dtype) && !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('rope', request, schedule), request.machine.lanes);
    const [x, positions, out] = [k.buffer('x', 'read'), k.buffer('positions', 'read'), k.buffer('output', 'write')];
    const [xType, positionType] = request.inputs as [TensorType, TensorType];
    const [seqLen, nHeads, headDim] = xType.shape as readonly [number, number, number];
    const dtype = xType.dtype as FloatType;
    const frequencies = request.attrs.inverseFrequencies as readonly number[];
    const pairs = frequencies.length;
    const [table, cosines, sines] = [
      k.threadScratch(4 * pairs),
      k.threadScratch(4 * pairs),
      k.threadScratch(4 * pairs),
    ];
    for (const [i, frequency] of frequencies.entries()) {
      k.store(table.buffer, 'f32', table.byteOffset + 4 * i, f32(frequency));
    }
    k.parallelLoop(seqLen, 1, (row) => {
      const integer = k.loadAt(positions, POSITION_MEMORY[positionType.dtype as string]!, row);
      const position = k.let(unary(positionType.dtype === 'u32' ? 'to_f32_u' : 'to_f32', integer));
      k.vectorLoop(0, pairs, (i, lanes) => {
        const angle = k.let(mul(splat(position, lanes), loadTable(k, table, i, lanes)));
        k.store(cosines.buffer, 'f32', add(mul(i, 4), cosines.byteOffset), cos(k, angle));
        k.store(sines.buffer, 'f32', add(mul(i, 4), sines.byteOffset), sin(k, angle));
      });
      k.loop(0, nHeads, 1, (headIndex) => {
        const start = k.let(mul(add(mul(row, nHeads), headIndex), headDim));
        const head: Head = {
          load: (element, lanes) => loadFloat(k, dtype, x, mul(add(start, element), FLOAT_BYTES[dtype]), lanes),
          store: (element, value) => k.storeAt(out, 'f32', add(start, element), value),
        };
        if (request.attrs.style === 'half') turnHalves(k, head, pairs, cosines, sines);
        else turnNeighbours(k, head, pairs, cosines, sines);
        if (2 * pairs < headDim) k.vectorLoop(2 * pairs, headDim, (i, lanes) => head.store(i, head.load(i, lanes)));
      });
    });
    return k.finish();
  },
};
