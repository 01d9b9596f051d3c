import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as b from '../build.ts';
import { rmsNorm, ropeFrequencies } from '../composites.ts';
import type { DType, PackedType } from '../dtype.ts';
import { BitloomError } from '../error.ts';
import { apply, type Value } from '../graph.ts';
import { elementsOf, type HostTensor, hostTensor } from '../host-tensor.ts';
import { defineOp } from '../op/rule.ts';
import llama3Frequencies from '../reference/llama3-frequencies.json' with { type: 'json' };
import { interpret, makeInterpreter } from './interpret.ts';
import { threefry2x32 } from './leaf.ts';

/** Elements that a value made of constants has. */
const run = (value: Value): number[] => [...elementsOf(interpret({ inputs: [], outputs: [value] }, [])[0]!)];
const vector = (values: number[], dtype: DType = 'f32') => b.constant(dtype, [values.length], values);

describe('zeros keep the sign that the law gives them', () => {
  const cases: [string, (x: Value) => Value, number[], number[]][] = [
    ['sign', b.sign, [-0, 0], [-0, 0]],
    ['round', b.round, [-0.5, 0.5, -0.2], [-0, 0, -0]],
    ['max', (x) => b.max(x, b.neg(x)), [-0, 0], [0, 0]],
    ['min', (x) => b.min(x, b.neg(x)), [-0, 0], [-0, -0]],
    ['erf', b.erf, [-0, 0], [-0, 0]],
  ];
  test.each(cases)('%s', (_, f, input, expected) => {
    expect(run(f(vector(input)))).toEqual(expected);
  });
});

describe('integers wrap', () => {
  test('sums and dots beyond 32 bits', () => {
    const big = vector([2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1], 'i32');
    expect(run(b.reduceSum(big, [0]))).toEqual([2 ** 31 - 3]);
    const axes = { lhsContract: [0], rhsContract: [0] };
    expect(run(b.dotGeneral(big, big, axes))).toEqual([3]);
    const unsigned = vector([2 ** 32 - 1, 2], 'u32');
    expect(run(b.reduceSum(unsigned, [0]))).toEqual([1]);
  });
});

describe('random bits', () => {
  test('Threefry-2x32-20 gives the known answers of Random123', () => {
    expect(threefry2x32(0, 0, 0, 0)).toEqual([0x6b200159, 0x99ba4efe]);
    expect(threefry2x32(-1, -1, -1, -1)).toEqual([0x1cb996fc, 0xbb002be7]);
    expect(threefry2x32(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3)).toEqual([0xc4923a9c, 0x483df7a0]);
  });

  test('equal jax.random.bits(jax.random.key(42), (2, 3)) of JAX 0.10.2', () => {
    const bits = b.randomBits(vector([0, 42], 'u32'), [2, 3]);
    expect(run(bits)).toEqual([2098992034, 2919706841, 2646866425, 2409546199, 1935504149, 2516274904]);
  });
});

describe('packed rows move whole', () => {
  const pairs: PackedType = { kind: 'packed', name: 'P', blockSize: 4, blockBytes: 3, panelRows: 1 };
  const packed: HostTensor = {
    type: { dtype: pairs, shape: [3, 8] },
    bytes: Uint8Array.from({ length: 18 }, (_, i) => i),
  };
  const row = (i: number) => [0, 1, 2, 3, 4, 5].map((n) => i * 6 + n);
  const cases: [string, (x: Value) => Value, number[]][] = [
    ['gather', (x) => b.gather(x, vector([2, 0, 9], 'i32'), 0), [2, 0, 2].flatMap(row)],
    ['slice', (x) => b.sliceAxis(x, 0, 1, 3), [1, 2].flatMap(row)],
    ['concat', (x) => b.concat([x, b.sliceAxis(x, 0, 0, 1)], 0), [0, 1, 2, 0].flatMap(row)],
    ['broadcast', (x) => b.broadcast(b.sliceAxis(x, 0, 1, 2), [2, 8], [0, 1]), [1, 1].flatMap(row)],
    ['reverse', (x) => b.reverse(x, [0]), [2, 1, 0].flatMap(row)],
    ['reshape and transpose', (x) => b.transpose(b.reshape(x, [3, 1, 8]), [1, 0, 2]), [0, 1, 2].flatMap(row)],
    ['to bytes and back', (x) => b.bitcast(b.bitcast(x, 'u8'), pairs), [0, 1, 2].flatMap(row)],
  ];
  test.each(cases)('%s', (_, f, expected) => {
    expect(run(f(b.constantOf(packed)))).toEqual(expected);
  });

  test('panels pass through bytes with their shape given, and move no other way', () => {
    const panels: PackedType = { ...pairs, name: 'Px2', panelRows: 2 };
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i);
    const x = b.constantOf({ type: { dtype: panels, shape: [3, 8] }, bytes });
    const asBytes = b.bitcast(x, 'u8');
    expect(asBytes.type.shape).toEqual([2, 12]);
    expect(run(b.bitcast(asBytes, panels, [3, 8]))).toEqual([...bytes]);
    expect(() => b.bitcast(asBytes, panels)).toThrow(BitloomError);
    expect(() => b.reshape(x, [1, 3, 8])).toThrow(BitloomError);
  });

  test('the last axis cannot be cut', () => {
    const x = b.constantOf(packed);
    expect(() => b.sliceAxis(x, 1, 0, 4)).toThrow(BitloomError);
    expect(() => b.gather(x, vector([0], 'i32'), 1)).toThrow(BitloomError);
    expect(() => b.add(x, x)).toThrow(BitloomError);
  });
});

describe('properties', () => {
  const floats = fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 40 });

  test('sorting gives the gathered argsort, and top-k its start', () => {
    fc.assert(
      fc.property(floats, fc.boolean(), (values, descending) => {
        const x = vector(values);
        const sorted = run(b.sort(x, 0, descending));
        expect(sorted).toEqual(run(b.gather(x, b.argsort(x, 0, descending), 0)));
        expect(sorted).toEqual([...values].sort((p, q) => (descending ? q - p : p - q) || 0));
        const { values: top } = b.topK(x, 1, 0);
        expect(run(top)[0]).toBe(Math.max(...sorted) || run(b.sort(x, 0, true))[0]);
      }),
    );
  });

  test('a permutation undone, and pad then slice, change nothing', () => {
    const shapes = fc.array(fc.nat(4), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(shapes, fc.nat(3), fc.nat(2), (shape, low, interior) => {
        const x = b.reshape(b.iota('f32', [shape.reduce((n, d) => n * d, 1)], 0), shape);
        const perm = shape.map((_, i) => (i + 1) % shape.length);
        const back = perm.map((_, i) => perm.indexOf(i));
        expect(run(b.transpose(b.transpose(x, perm), back))).toEqual(run(x));
        const all = (n: number) => shape.map(() => n);
        const padded = b.pad(x, b.scalar('f32', -1), all(low), all(1), all(interior));
        const limits = padded.type.shape.map((d) => d - 1);
        expect(run(b.slice(padded, all(low), limits, all(interior + 1)))).toEqual(run(x));
      }),
    );
  });

  test('dot_general sums products of matching elements, whatever the tile edge', () => {
    const size = fc.integer({ min: 0, max: 9 });
    fc.assert(
      fc.property(size, size, size, (m, n, k) => {
        const lhs = Array.from({ length: m * k }, (_, i) => (i % 7) - 3);
        const rhs = Array.from({ length: k * n }, (_, i) => (i % 5) - 2);
        const axes = { lhsContract: [1], rhsContract: [0] };
        const product = b.dotGeneral(b.constant('f32', [m, k], lhs), b.constant('f32', [k, n], rhs), axes);
        const at = (i: number, j: number) =>
          Array.from({ length: k }).reduce<number>((s, _, p) => s + lhs[i * k + p]! * rhs[p * n + j]!, 0);
        expect(run(product)).toEqual(Array.from({ length: m * n }, (_, i) => at(Math.floor(i / n), i % n)));
      }),
    );
  });
});

describe('programs', () => {
  const x = b.input(0, 'x', 'f32', [2, 3]);
  const weight = b.input(1, 'weight', 'f16', [3]);
  const graph = { inputs: [x, weight], outputs: [rmsNorm(x, weight, 1e-5), x, b.reshape(x, [6])] };
  const inputs = [hostTensor('f32', [2, 3], [1, 2, 3, 4, 5, 6]), hostTensor('f16', [3], [1, 2, 3])];

  test('run again with the same bytes and leave their inputs alone', () => {
    const before = inputs.map(({ bytes }) => [...bytes]);
    const program = makeInterpreter(graph);
    expect(program(inputs).map(({ bytes }) => [...bytes])).toEqual(program(inputs).map(({ bytes }) => [...bytes]));
    expect(inputs.map(({ bytes }) => [...bytes])).toEqual(before);
  });

  test('read inputs that are not aligned', () => {
    const shifted = new Uint8Array(25);
    shifted.set(inputs[0]!.bytes, 1);
    const unaligned = { type: inputs[0]!.type, bytes: shifted.subarray(1) };
    expect(interpret(graph, [unaligned, inputs[1]!])).toEqual(interpret(graph, inputs));
  });

  test('reject inputs that do not fit', () => {
    expect(() => interpret(graph, [inputs[0]!])).toThrow(/takes 2 inputs, not 1/);
    expect(() => interpret(graph, [inputs[1]!, inputs[0]!])).toThrow(/input 0 \(x\) is f32\[2, 3\], not f16\[3\]/);
    expect(() => interpret(graph, [{ ...inputs[0]!, bytes: new Uint8Array(8) }, inputs[1]!])).toThrow(BitloomError);
  });

  test('of unknown ops are refused before they run', () => {
    const opaque = defineOp('opaque', { arity: 1, groups: [], meaning: '', infer: ([t]) => t! });
    const outputs = [apply(opaque, [x])];
    expect(() => makeInterpreter({ inputs: [x], outputs })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_OP' }),
    );
  });

  test('may be tens of thousands of values deep', () => {
    let deep: Value = b.scalar('i32', 0);
    const one = b.scalar('i32', 1);
    for (let i = 0; i < 20_000; i++) deep = b.add(deep, one);
    expect(run(deep)).toEqual([20_000]);
  });
});

test("Llama 3 frequencies are those of its paper's code, and the others the plain and divided ones", () => {
  const scaling = {
    kind: 'llama3',
    factor: 32,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 8192,
  } as const;
  ropeFrequencies(64, 500000, scaling).forEach((f, i) => {
    expect(f / llama3Frequencies[i]!).toBeCloseTo(1, 12);
  });
  expect(ropeFrequencies(4, 10000)).toEqual([1, 0.01]);
  expect(ropeFrequencies(4, 10000, { kind: 'linear', factor: 2 })).toEqual([0.5, 0.005]);
  expect(() => ropeFrequencies(3, 10000)).toThrow(BitloomError);
});
