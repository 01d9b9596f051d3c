/** Every operation of the kernel language, one by one and in vectors of every width, on the values that break them. */
import { afterAll, describe, expect, it } from 'vitest';
import { f16ToNumber } from '../../ir/float16.ts';
import {
  add,
  and,
  type BinaryOp,
  binary,
  constant,
  type Expr,
  fma,
  i32,
  type Operand,
  select,
  splat,
  ternary,
  type UnaryOp,
  unary,
} from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import { EDGE_FLOATS, EDGE_WORDS, numbersFrom } from '../../kernel/testing/index.ts';
import { availability, Bench, nativeHost } from './lower.fixture.ts';

/** Sets that only add operations make the same code of those that are here. */
const sets = (await availability()).filter(({ features }) => !features.expand);

const UNARY: Readonly<Record<'f32' | 'i32', readonly UnaryOp[]>> = {
  f32: ['neg', 'abs', 'sqrt', 'floor', 'ceil', 'nearest', 'trunc', 'to_i32', 'to_u32', 'bits_f32', 'f32_to_f16'],
  i32: ['neg', 'abs', 'not', 'to_f32', 'to_f32_u', 'bits_f32', 'bits_i32', 'f16_to_f32'],
};
const COMPARES: readonly BinaryOp[] = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'];
const BINARY: Readonly<Record<'f32' | 'i32', readonly BinaryOp[]>> = {
  f32: ['add', 'sub', 'mul', 'div', 'min', 'max', ...COMPARES],
  i32: [
    ...(['add', 'sub', 'mul', 'min', 'max', 'min_u', 'max_u', 'and', 'or', 'xor', ...COMPARES] as const),
    ...(['lt_u', 'le_u', 'gt_u', 'ge_u'] as const),
  ],
};

type Make = (a: Expr, b: Expr, k: KernelBuilder) => Expr;

/** out[i] = f(a[i], b[i]), `lanes` at a time. */
function mapKernel(name: string, element: 'f32' | 'i32', n: number, lanes: number, f: Make): Kernel {
  const k = new KernelBuilder(`${name} of ${lanes}`, Math.max(lanes, 4));
  const [a, b, out] = [k.buffer('a', 'read'), k.buffer('b', 'read'), k.buffer('out', 'write')];
  k.loop(0, n, lanes, (i) => {
    const value = f(k.loadAt(a, element, i, lanes), k.loadAt(b, element, i, lanes), k);
    const stored = value.type.element === 'mask' ? unary('mask_to_i32', value) : value;
    k.storeAt(out, stored.type.element === 'f32' ? 'f32' : 'i32', i, stored);
  });
  return k.finish();
}

type Buffers = readonly [Uint8Array, Uint8Array, Uint8Array];
/** Two operands, and room for as many results. */
const withResults = (a: Uint8Array, b: Uint8Array): Buffers => [a, b, new Uint8Array(a.length)];
const bytesOf = (element: 'f32' | 'i32', values: readonly number[]): Uint8Array =>
  new Uint8Array((element === 'f32' ? Float32Array.from(values) : Int32Array.from(values)).buffer);

/** Each value once, as both operands. */
function singles(element: 'f32' | 'i32'): Buffers {
  const bytes = bytesOf(element, element === 'f32' ? EDGE_FLOATS : EDGE_WORDS);
  return withResults(bytes, bytes);
}

/** Every pair of the values. */
function pairs(element: 'f32' | 'i32', values = element === 'f32' ? EDGE_FLOATS : EDGE_WORDS): Buffers {
  const first = values.flatMap((x) => values.map(() => x));
  const second = values.flatMap(() => values);
  return withResults(bytesOf(element, first), bytesOf(element, second));
}

describe.each(sets)('$name', ({ features, lanes: most, why }) => {
  describe.skipIf(why)(why ? `(skipped: ${why})` : 'operations', async () => {
    const bench = why ? undefined : new Bench(await nativeHost(), Array(5).fill(1 << 18));
    afterAll(() => bench?.dispose());
    const widths = [1, 4, 8, 16].filter((lanes) => lanes <= most);

    /** Checks an operation at every width. */
    function check(name: string, element: 'f32' | 'i32', f: Make, buffers = pairs(element), isFloat = true): void {
      for (const lanes of widths) {
        const kernel = mapKernel(name, element, buffers[0].length / 4, lanes, f);
        bench!.check({ kernel, features }, buffers, { isFloat });
      }
    }

    it.each(UNARY.f32)('f32 %s', (op) => check(op, 'f32', (_, b) => unary(op, b), pairs('f32'), !op.startsWith('to_')));
    it.each(UNARY.i32)('i32 %s', (op) => check(op, 'i32', (_, b) => unary(op, b)));
    it.each(BINARY.f32)('f32 %s', (op) => check(op, 'f32', (a, b) => binary(op, a, b)));
    it.each(BINARY.i32)('i32 %s', (op) => check(op, 'i32', (a, b) => binary(op, a, b), pairs('i32'), false));

    it('bits of floats as integers', () => {
      check('bits_i32', 'i32', (_, b) => unary('bits_i32', unary('bits_f32', b)), pairs('i32'), false);
      check('bits', 'f32', (a, b) =>
        select(binary('eq', a, a), unary('bits_i32', orNine(a)), unary('bits_i32', orNine(b))),
      );
    });

    it.each(['shl', 'shr_s', 'shr_u'] as const)('i32 %s by constants and by numbers', (op) => {
      for (const amount of [0, 1, 7, 31, 32, 40, -1]) {
        check(`${op} ${amount}`, 'i32', (a) => binary(op, a, i32(amount)), singles('i32'), false);
        check(
          `${op} by a number`,
          'i32',
          (a, b, k) => {
            const scalar = k.let(b.type.lanes === 1 ? b : { kind: 'extract', type: i32(0).type, a: b, lane: 1 });
            return binary(op, a, add(scalar, amount));
          },
          pairs('i32'),
          false,
        );
      }
    });

    it.each(['min', 'max', 'add', 'mul', 'sub', 'div', 'lt', 'ne'] as const)('f32 %s with constants', (op) => {
      for (const value of [0, -0, 1, -2.5, Number.NaN, Number.POSITIVE_INFINITY, 1e-40]) {
        const other = (a: Expr) => constant(a.type, value);
        check(`${op} ${value}`, 'f32', (a) => binary(op, a, other(a)), singles('f32'));
        check(`${value} ${op}`, 'f32', (_, b) => binary(op, other(b), b), singles('f32'));
      }
    });

    it.each(BINARY.i32)('i32 %s with constants', (op) => {
      for (const value of [0, 1, -1, 8, 255, 0x7fffffff, -0x80000000]) {
        const other = (a: Expr) => constant(a.type, value);
        check(`${op} ${value}`, 'i32', (a) => binary(op, a, other(a)), singles('i32'), false);
        check(`${value} ${op}`, 'i32', (_, b) => binary(op, other(b), b), singles('i32'), false);
      }
    });

    it.each(['div_s', 'rem_s', 'div_u', 'rem_u'] as const)('i32 %s', (op) => {
      const n = EDGE_WORDS.length ** 2;
      const buffers = pairs('i32');
      const one = (f: Make) =>
        bench!.check({ kernel: mapKernel(op, 'i32', n, 1, f), features }, buffers, { isFloat: false });
      one((a, b) => binary(op, a, select(binary('eq', b, 0), 3, b)));
      for (const divisor of [1, -1, 2, 3, 16, -7, 0x7fffffff, -0x80000000]) one((a) => binary(op, a, divisor));
      one((_, b) => binary(op, 1000, select(binary('eq', b, 0), 3, b)));
    });

    it('masks: logic, choices, numbers', () => {
      const less = (a: Expr, b: Operand): Expr => binary('lt', a, b);
      check('logic', 'f32', (a, b) => {
        const mask = binary('or', unary('not', less(a, b)), binary('eq', a, a));
        return select(binary('xor', mask, binary('and', less(a, b), mask)), a, b);
      });
      check('choice of masks', 'i32', (a, b) => select(less(a, b), binary('gt_u', a, b), unary('not', less(b, 5))));
      check('choice of integers', 'i32', (a, b) => select(less(a, b), a, b));
      for (const mask of [0, 1]) {
        check('constant mask', 'i32', (a) => binary('xor', less(a, 3), constant({ ...a.type, element: 'mask' }, mask)));
      }
      for (const [x, y] of [
        [0, 1],
        [1, 0],
        [-0, 1],
        [1, -0],
        [0, 0],
      ] as const) {
        check(`zeros ${x} ${y}`, 'f32', (a, b) => select(less(a, b), x === 1 ? a : x, y === 1 ? b : y));
      }
    });

    it('fused multiplication and addition rounds once', () => {
      const small = pairs('f32', [0, -0, 1, -3, 0.5, 1024, Number.NaN, Number.POSITIVE_INFINITY]);
      check('fma', 'f32', (a, b) => fma(a, b, a), small);
      check('fma of loads', 'f32', (a, b, k) => fma(k.let(a), b, k.let(b)), small);
      check('fma with constants', 'f32', (a, b) => fma(a, constant(a.type, -1), b), small);
      const third = 1 + 2 ** -12;
      for (const lanes of widths) {
        const kernel = mapKernel('fma', 'f32', 16, lanes, (a) => fma(a, a, constant(a.type, -third * third)));
        const buffers = [bytesOf('f32', Array(16).fill(third)), new Uint8Array(64), new Uint8Array(64)];
        const [, , out] = bench!.run({ kernel, features }, buffers);
        expect(new Float32Array(out!.buffer)[3]).toBe(third * third - Math.fround(third * third));
      }
    });

    it('converts every binary16 from every place, and back', () => {
      const n = 1 << 16;
      const every = Uint16Array.from({ length: n }, (_, i) => i);
      for (const lanes of widths) {
        const k = new KernelBuilder(`halves ${lanes}`, 16);
        const [a, ...out] = ['a', 'packed', 'loaded', 'words', 'back'].map((name) => k.buffer(name, 'readwrite'));
        k.loop(0, n, 2 * lanes, (i) => {
          const packed = k.let(k.load(a!, 'i32', binary('mul', i, 2), lanes));
          for (const [j, part] of (['low', 'high'] as const).entries()) {
            const at = add(i, j * lanes);
            const values = [
              unary('f16_to_f32', { kind: 'halves', type: packed.type, a: packed, part }),
              unary('f16_to_f32', k.loadAt(a!, 'u16', at, lanes)),
              unary('f16_to_f32', k.let(k.loadAt(a!, 'i16', at, lanes))), // its upper bits are no part of the number
            ].map((value) => k.let(value));
            for (const [form, value] of values.entries()) k.storeAt(out[form]!, 'f32', at, value);
            k.storeAt(out[3]!, 'u16', at, unary('f32_to_f16', values[0]!));
          }
        });
        const buffers = [new Uint8Array(every.buffer), ...[4, 4, 4, 2].map((size) => new Uint8Array(size * n))];
        const found = bench!.run({ kernel: k.finish(), features }, buffers);
        const floats = found.slice(1, 4).map((bytes) => new Float32Array(bytes.buffer));
        const back = new Uint16Array(found[4]!.buffer);
        const isSame = (half: number): boolean => {
          const wanted = f16ToNumber(half);
          const isKept = Number.isNaN(wanted) ? (back[half]! & 0x7fff) > 0x7c00 : back[half] === half;
          return isKept && floats.every((values) => Object.is(values[half], wanted));
        };
        expect([...every].filter((half) => !isSame(half))).toEqual([]);
      }
    });

    it('converts floats of every exponent', () => {
      const bits = Array.from({ length: 1 << 14 }, (_, i) => Math.imul(i, 0x40035) | 0);
      const buffers = withResults(bytesOf('i32', bits), bytesOf('i32', bits));
      for (const op of ['f32_to_f16', 'to_i32', 'to_u32'] as const) {
        check(op, 'f32', (a) => unary(op, orNine(a)), buffers, false);
      }
      for (const op of ['nearest', 'floor', 'ceil', 'trunc', 'sqrt'] as const)
        check(op, 'f32', (a) => unary(op, a), buffers);
      for (const op of ['to_f32', 'to_f32_u'] as const) check(op, 'i32', (a) => unary(op, a), buffers, false);
    });

    it.each(['dot8u7', 'dot8u8'] as const)('%s is exact', (op) => {
      const next = numbersFrom(7);
      const edges = [0, 1, 127, 128, 129, 255];
      const byte = () => (next() % 2 === 0 ? edges[next() % edges.length]! : next() & 255);
      const words = (limit: number) =>
        bytesOf(
          'i32',
          Array.from({ length: 512 }, () =>
            [0, 8, 16, 24].reduce((word, by) => word | (Math.min(byte(), limit) << by), 0),
          ),
        );
      const buffers = withResults(words(255), words(op === 'dot8u7' ? 127 : 255));
      check(op, 'i32', (a, b, k) => ternary(op, add(a, 3), k.let(a), b), buffers, false);
      const sums: Make = (a, b, k) => {
        const sum = k.variable(constant(a.type, 0x7ffffff0));
        k.set(sum, ternary(op, sum, a, k.let(b)));
        k.set(sum, ternary(op, sum, a, and(b, 0x7f7f7f7f)));
        return sum;
      };
      check(op, 'i32', sums, buffers, false);
    });

    it('refuses what does not exist, by name', () => {
      const bad = (name: string, lanes: number, f: Make) => () =>
        bench!.run({ kernel: mapKernel(name, 'f32', 4, lanes, f), features }, pairs('f32'));
      expect(bad('bad', 4, (a, b) => binary('xor', a, b))).toThrow(/kernel bad of 4: operation xor does not take f32/);
      expect(bad('bad', 1, (a) => binary('rem_s', a, constant(a.type, 2)))).toThrow(/rem_s does not take f32/);
      expect(bad('bad', 4, (a) => unary('not', a))).toThrow(/not does not take f32/);
      const ofIntegers: Make = (a) => fma(splat(i32(1), a.type.lanes), splat(i32(2), a.type.lanes), splat(i32(2), 4));
      expect(bad('bad', 4, ofIntegers)).toThrow(/fma does not take i32/);
    });
  });
});

/** The value, or 9 for NaN, whose bits machines choose as they like. */
const orNine = (e: Expr): Expr => select(binary('eq', e, e), e, 9);
