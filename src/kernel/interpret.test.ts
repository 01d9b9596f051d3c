import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import {
  add,
  binary,
  div,
  type Expr,
  f32,
  fma,
  i32,
  mul,
  select,
  splat,
  sub,
  ternary,
  threadCount,
  threadIndex,
  unary,
  vectorType,
} from './expression.ts';
import { runKernel } from './interpret.ts';
import { KernelBuilder } from './language.ts';

const bytesOf = (array: Float32Array | Int32Array | Uint8Array): Uint8Array => new Uint8Array(array.buffer);

/** Evaluates one expression of 1 or 4 lanes and returns its lanes as 32-bit words. */
function evaluate(make: (k: KernelBuilder) => Expr): { f: Float32Array; i: Int32Array } {
  const k = new KernelBuilder('one expression', 4);
  const out = k.buffer('out', 'write');
  const value = make(k);
  k.store(out, value.type.element === 'f32' ? 'f32' : 'i32', 0, value);
  const words = new Uint32Array(4);
  runKernel(k.finish(), [new Uint8Array(words.buffer)]);
  return { f: new Float32Array(words.buffer), i: new Int32Array(words.buffer) };
}

describe('arithmetic', () => {
  it('rounds f32 after every operation but only once in fma', () => {
    const tiny = 2 ** -24;
    expect(evaluate(() => sub(add(f32(1), f32(tiny)), f32(1))).f[0]).toBe(0);
    expect(evaluate(() => fma(f32(1 + 2 ** -12), f32(1 - 2 ** -12), f32(-1))).f[0]).toBe(-(2 ** -24));
    expect(evaluate(() => div(f32(1), f32(3))).f[0]).toBe(Math.fround(1 / 3));
  });

  it('wraps i32 and compares unsigned where the name says so', () => {
    // Loads keep the constructors from folding the operands.
    const big = (k: KernelBuilder) => k.let(add(mul(threadIndex, 7), i32(0x7fffffff)));
    expect(evaluate((k) => add(big(k), 1)).i[0]).toBe(-0x80000000);
    expect(evaluate((k) => unary('mask_to_i32', binary('gt_u', add(big(k), 1), i32(1)))).i[0]).toBe(1);
    expect(evaluate((k) => unary('mask_to_i32', binary('gt', add(big(k), 1), i32(1)))).i[0]).toBe(0);
  });

  it('knows one zero of integers', () => {
    expect(Object.is(evaluate(() => unary('to_f32', unary('to_i32', f32(-0)))).f[0], 0)).toBe(true);
  });

  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, -0],
    [-1.5, -2],
    [8388609, 8388609],
    [Number.NaN, Number.NaN],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  ])('rounds %f to the nearest even integer %f', (from, to) => {
    expect(evaluate(() => unary('nearest', f32(from))).f[0]).toBe(to);
  });

  it.each([
    [Number.NaN, 0],
    [3e9, 0x7fffffff],
    [-3e9, -0x80000000],
    [-1.9, -1],
  ])('converts %f to i32 %d', (from, to) => {
    expect(evaluate(() => unary('to_i32', f32(from))).i[0]).toBe(to);
  });

  it('propagates NaN through min and max, and orders zeros', () => {
    expect(evaluate(() => binary('max', f32(Number.NaN), f32(1))).f[0]).toBeNaN();
    expect(evaluate(() => binary('min', f32(-0), f32(0))).f[0]).toBe(-0);
  });
});

describe('vectors', () => {
  const iota = (k: KernelBuilder, from: number): Expr => {
    const { buffer } = k.threadScratch(16);
    for (let i = 0; i < 4; i++) k.storeAt(buffer, 'i32', i, i32(from + i));
    return k.let(k.load(buffer, 'i32', 0, 4));
  };

  it('shuffles lanes of two vectors', () => {
    const type = vectorType('i32', 4);
    const make = (k: KernelBuilder): Expr => {
      const a = iota(k, 0);
      return { kind: 'shuffle', type, a, b: binary('add', a, 10), pattern: [0, 5, 2, 7] };
    };
    expect([...evaluate(make).i]).toEqual([0, 11, 2, 13]);
  });

  it('looks bytes up and packs with saturation', () => {
    const table = Array.from({ length: 16 }, (_, i) => i * i);
    const type = vectorType('i32', 4);
    const found = evaluate(() => ({ kind: 'lookup', type, table, indices: splat(i32(0x0f030201), 4) }));
    expect(bytesOf(found.i).slice(0, 4)).toEqual(Uint8Array.of(1, 4, 9, 225));
    const parts = [1, -1, 200, -200].map((v) => splat(i32(v), 4)) as [Expr, Expr, Expr, Expr];
    const packed = new Int8Array(evaluate(() => ({ kind: 'pack8', type, parts })).i.buffer);
    expect([...packed]).toEqual([1, 1, 1, 1, -1, -1, -1, -1, 127, 127, 127, 127, -128, -128, -128, -128]);
  });

  it('takes 16-bit numbers from words', () => {
    const type = vectorType('i32', 4);
    const words = (k: KernelBuilder): Expr => binary('or', iota(k, 1), binary('shl', iota(k, 0x8001), 16));
    expect([...evaluate((k) => ({ kind: 'halves', type, a: words(k), part: 'low' })).i]).toEqual([
      1, 0x8001, 2, 0x8002,
    ]);
    expect([...evaluate((k) => ({ kind: 'halves', type, a: words(k), part: 'high' })).i]).toEqual([
      3, 0x8003, 4, 0x8004,
    ]);
  });

  it('selects and reduces', () => {
    const even = (k: KernelBuilder): Expr => select(binary('eq', binary('and', iota(k, 5), 1), 0), 100, 1);
    expect([...evaluate(even).i]).toEqual([1, 100, 1, 100]);
    expect(evaluate((k) => unary('reduce_add', iota(k, 5))).i[0]).toBe(26);
  });

  it('adds two products of words per lane, wrapping', () => {
    const word = (high: number, low: number): Expr => i32((high << 16) | (low & 0xffff));
    const dot = (sum: number, b: Expr, c: Expr): number => evaluate(() => ternary('dot16', i32(sum), b, c)).i[0]!;
    expect(dot(1000, word(-3, 7), word(11, -13))).toBe(1000 - 33 - 91);
    expect(dot(-1, word(-32768, -32768), word(-32768, -32768))).toBe(2 ** 31 - 1);
    expect(evaluate(() => unary('popcount', splat(i32(-2), 4))).i[3]).toBe(31);
  });

  it('adds four signed products per lane and refuses codes beyond the limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -128, max: 127 }), { minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        (bytes, codes) => {
          const signed = new Int32Array(Int8Array.from(bytes).buffer)[0]!;
          const unsigned = new Int32Array(codes.slice().buffer)[0]!;
          const expected = bytes.reduce((sum, b, i) => sum + b * codes[i]!, 1000);
          expect(evaluate(() => ternary('dot8u8', i32(1000), i32(signed), i32(unsigned))).i[0]).toBe(expected);
          if (codes.some((c) => c > 127)) {
            expect(() => evaluate(() => ternary('dot8u7', i32(0), i32(signed), i32(unsigned)))).toThrow(BitloomError);
          }
        },
      ),
    );
  });
});

describe('threads', () => {
  it('split work and see each other after a barrier', () => {
    const k = new KernelBuilder('sum of squares', 4);
    const out = k.buffer('out', 'write');
    const { buffer, byteOffset } = k.sharedScratch(16 * 4);
    const partial = k.variable(i32(0));
    k.parallelLoop(100, 1, (i) => k.set(partial, add(partial, mul(i, i))));
    k.store(buffer, 'i32', add(mul(threadIndex, 4), byteOffset), partial);
    k.barrier();
    k.if(binary('eq', threadIndex, 0), () => {
      const sum = k.variable(i32(0));
      k.loop(0, threadCount, 1, (t) => k.set(sum, add(sum, k.loadAt(buffer, 'i32', t))));
      k.store(out, 'i32', 0, sum);
    });
    const kernel = k.finish();
    for (const threads of [1, 2, 3, 16]) {
      const result = new Int32Array(1);
      runKernel(kernel, [bytesOf(result)], threads);
      expect(result[0]).toBe(328350);
    }
  });

  it('covers every element exactly once, whatever the grain and the threads', () => {
    fc.assert(
      fc.property(
        fc.nat(70),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 5 }),
        (extent, grain, threads) => {
          const k = new KernelBuilder('count', 4);
          const out = k.buffer('out', 'readwrite');
          k.parallelRange(extent, grain, (begin, end) => {
            k.vectorLoop(begin, end, (i, lanes) => k.storeAt(out, 'i32', i, add(k.loadAt(out, 'i32', i, lanes), 1)));
          });
          const result = new Int32Array(extent);
          runKernel(k.finish(), [bytesOf(result)], threads);
          expect(result.every((n) => n === 1)).toBe(true);
        },
      ),
    );
  });

  it('refuses a barrier that only some threads reach', () => {
    const k = new KernelBuilder('torn barrier', 4);
    k.if(binary('eq', threadIndex, 0), () => k.barrier());
    expect(() => runKernel(k.finish(), [], 2)).toThrow(/barrier/);
    expect(() => runKernel(k.finish(), [], 1)).not.toThrow();
  });
});

describe('bounds', () => {
  it('names buffer and offset of an access out of bounds', () => {
    const k = new KernelBuilder('overrun', 4);
    const out = k.buffer('out', 'write');
    k.store(out, 'f32', 4, f32(1));
    expect(() => runKernel(k.finish(), [new Uint8Array(7)])).toThrow(/bytes 4..8 of buffer out, which has 7/);
  });

  it('lets a hint of what will be read point anywhere', () => {
    const k = new KernelBuilder('hint', 4);
    const out = k.buffer('out', 'write');
    k.prefetch(out, i32(1 << 20));
    k.store(out, 'f32', 0, f32(1));
    expect(() => runKernel(k.finish(), [new Uint8Array(4)])).not.toThrow();
  });

  it('refuses stores to buffers that are only read', () => {
    const k = new KernelBuilder('write to input', 4);
    k.store(k.buffer('in', 'read'), 'f32', 0, f32(1));
    expect(() => runKernel(k.finish(), [new Uint8Array(8)])).toThrow(/only reads/);
  });
});
