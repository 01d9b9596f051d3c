import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { f16ToNumber } from '../../ir/float16.ts';
import { loadFloatPair } from '../../kernel/decode.ts';
import {
  add,
  type BinaryOp,
  binary,
  type Expr,
  f32,
  fma,
  i32,
  mul,
  select,
  sub,
  ternary,
  threadCount,
  threadIndex,
  type UnaryOp,
  unary,
  vectorType,
} from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import { EDGE_FLOATS, EDGE_WORDS } from '../../kernel/testing/index.ts';
import { platform } from '../../platform/index.ts';
import { ModuleBuilder } from './encoder.ts';
import { detectFeatures } from './features.ts';
import { law, lower, PLAIN, RELAXED } from './lower.fixture.ts';
import { lowerKernel } from './lower.ts';

// Switches relaxed SIMD on where the engine hides it.
beforeAll(() => detectFeatures(platform.wasm));

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const words = (...values: number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer);

/** out[i] = f(a[i], b[i]) over whole vectors, then one by one. */
function mapKernel(
  name: string,
  memory: 'f32' | 'i32',
  n: number,
  f: (k: KernelBuilder, a: Expr, b: Expr) => Expr,
): Kernel {
  const k = new KernelBuilder(name, 4);
  const [a, b, out] = [k.buffer('a', 'read'), k.buffer('b', 'read'), k.buffer('out', 'write')];
  k.vectorLoop(0, n, (i, lanes) => {
    const value = f(k, k.loadAt(a, memory, i, lanes), k.loadAt(b, memory, i, lanes));
    const stored = value.type.element === 'mask' ? unary('mask_to_i32', value) : value;
    k.storeAt(out, stored.type.element === 'f32' ? 'f32' : 'i32', i, stored);
  });
  return k.finish();
}

/** Every pair of the values, an odd number of them. */
function pairs(values: readonly number[]): [number[], number[]] {
  const all = values.flatMap((x) => values.map((y) => [x, y] as const));
  if (all.length % 4 === 0) all.push([values[0]!, values[1]!]);
  return [all.map(([x]) => x), all.map(([, y]) => y)];
}

const UNARY_FLOAT: UnaryOp[] = [
  'neg',
  'abs',
  'sqrt',
  'floor',
  'ceil',
  'nearest',
  'trunc',
  'to_i32',
  'to_u32',
  'bits_i32',
  'bits_f32',
  'f32_to_f16',
];
const UNARY_WORD: UnaryOp[] = ['neg', 'abs', 'not', 'to_f32', 'to_f32_u', 'bits_f32', 'bits_i32', 'f16_to_f32'];
const BINARY_FLOAT: BinaryOp[] = ['add', 'sub', 'mul', 'div', 'min', 'max', 'eq', 'ne', 'lt', 'le', 'gt', 'ge'];
const BINARY_WORD: BinaryOp[] = [
  'add',
  'sub',
  'mul',
  'min',
  'max',
  'min_u',
  'max_u',
  'and',
  'or',
  'xor',
  'eq',
  'ne',
  'lt',
  'le',
  'gt',
  'ge',
  'lt_u',
  'le_u',
  'gt_u',
  'ge_u',
];

describe('operations, as vectors and one by one', () => {
  const [fa, fb] = pairs(EDGE_FLOATS);
  const [wa, wb] = pairs(EDGE_WORDS);
  const out = (n: number) => new Uint8Array(n * 4);

  it.each(UNARY_FLOAT)('f32 %s', async (op) => {
    const kernel = mapKernel(op, 'f32', fa.length, (_, a) => unary(op, a));
    (await law(kernel, PLAIN, op !== 'to_i32'))([floats(...fb), floats(...fb), out(fa.length)]);
  });

  it.each(UNARY_WORD)('i32 %s', async (op) => {
    const kernel = mapKernel(op, 'i32', wa.length, (_, a) => unary(op, a));
    (await law(kernel, PLAIN, op.endsWith('f32')))([words(...wb), words(...wb), out(wa.length)]);
  });

  it.each(BINARY_FLOAT)('f32 %s', async (op) => {
    const kernel = mapKernel(op, 'f32', fa.length, (_, a, b) => binary(op, a, b));
    (await law(kernel, PLAIN))([floats(...fa), floats(...fb), out(fa.length)]);
  });

  it.each(BINARY_WORD)('i32 %s', async (op) => {
    const kernel = mapKernel(op, 'i32', wa.length, (_, a, b) => binary(op, a, b));
    (await law(kernel, PLAIN, false))([words(...wa), words(...wb), out(wa.length)]);
  });

  it.each(['shl', 'shr_s', 'shr_u'] as const)('i32 %s by one amount', async (op) => {
    for (const amount of [0, 1, 7, 31]) {
      const kernel = mapKernel(op, 'i32', wa.length, (_, a) => binary(op, a, i32(amount)));
      (await law(kernel, PLAIN, false))([words(...wa), words(...wb), out(wa.length)]);
    }
  });

  it.each([PLAIN, RELAXED])('selects and combines masks with %o', async (features) => {
    const kernel = mapKernel('select', 'f32', fa.length, (_, a, b) => {
      const isSmaller = binary('lt', a, b);
      const mask = binary('or', unary('not', isSmaller), binary('eq', a, a));
      return select(binary('xor', mask, binary('and', isSmaller, mask)), a, b);
    });
    (await law(kernel, features))([floats(...fa), floats(...fb), out(fa.length)]);
  });

  it.each(['one by one', 'by pairs of vectors'])('converts every binary16 %s, and back', async (way) => {
    const n = 1 << 16;
    const k = new KernelBuilder('all halves', 4);
    const [a, wide, back] = [k.buffer('a', 'read'), k.buffer('wide', 'write'), k.buffer('back', 'write')];
    const put = (i: Expr, value: Expr): void => {
      k.storeAt(wide, 'f32', i, value);
      k.storeAt(back, 'u16', i, unary('f32_to_f16', value));
    };
    if (way === 'one by one')
      k.vectorLoop(0, n, (i, lanes) => put(i, k.let(unary('f16_to_f32', k.loadAt(a, 'u16', i, lanes)))));
    else
      k.loop(0, n, 8, (i) => {
        for (const [part, value] of loadFloatPair(k, 'f16', a, mul(i, 2), 4).entries())
          put(add(i, 4 * part), k.let(value));
      });
    const every = Uint16Array.from({ length: n }, (_, i) => i);
    const [, asFloats, asHalves] = (await lower(k.finish(), PLAIN))([
      new Uint8Array(every.buffer),
      new Uint8Array(n * 4),
      new Uint8Array(n * 2),
    ]);
    const [values, halves] = [new Float32Array(asFloats!.buffer), new Uint16Array(asHalves!.buffer)];
    const isSame = (half: number, value: number, back: number) =>
      (half & 0x7fff) > 0x7c00
        ? Number.isNaN(value) && (back & 0x7fff) > 0x7c00
        : Object.is(value, f16ToNumber(half)) && back === half;
    expect([...every].filter((half, i) => !isSame(half, values[i]!, halves[i]!))).toEqual([]);
  });

  it('rounds every f32 exponent to binary16 as the interpreter does', async () => {
    const kernel = mapKernel('halves', 'f32', 5, (_, a) => unary('f32_to_f16', a));
    const check = await law(kernel, PLAIN, false);
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true }), { minLength: 5, maxLength: 5 }), (x) =>
        check([floats(...x), floats(...x), new Uint8Array(20)]),
      ),
      { numRuns: 300 },
    );
  });
});

describe('dot products, look-ups and permutations', () => {
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });

  it.each([
    ['dot8u7', PLAIN, 127],
    ['dot8u7', RELAXED, 127],
    ['dot8u8', PLAIN, 255],
    ['dot8u8', RELAXED, 255],
  ] as const)('%s with %o is exact', async (op, features, limit) => {
    const kernel = mapKernel(op, 'i32', 5, (_, a, b) => ternary(op, add(a, 3), a, b));
    const check = await law(kernel, features, false);
    fc.assert(
      fc.property(bytes, bytes, (signed, codes) => {
        const limited = codes.map((c) => Math.min(c, limit));
        const tail = Uint8Array.of(0x80, 0x80, 0x80, 0x80);
        const limits = new Uint8Array(4).fill(limit);
        check([Uint8Array.of(...signed, ...tail), Uint8Array.of(...limited, ...limits), words(0, 0, 0, 0, 0)]);
      }),
      { numRuns: 20 },
    );
  });

  it.each([PLAIN, RELAXED])('looks up, shuffles, packs and reduces with %o', async (features) => {
    const table = Array.from({ length: 16 }, (_, i) => (i * 37 + 200) & 255);
    const k = new KernelBuilder('permutations', 4);
    const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'write')];
    const type = vectorType('i32', 4);
    const x = k.let(k.load(a, 'i32', 0, 4));
    const y = k.let(k.load(a, 'i32', 16, 4));
    const values: Expr[] = [
      { kind: 'lookup', type, table, indices: x },
      { kind: 'lookup', type, table, indices: binary('and', y, 0x0f0f0f0f) },
      { kind: 'shuffle', type, a: x, b: y, pattern: [3, 4, 0, 7] },
      { kind: 'halves', type, a: x, part: 'low' },
      { kind: 'halves', type, a: y, part: 'high' },
      { kind: 'pack8', type, parts: [x, y, binary('shr_s', x, 24), binary('shr_s', y, 25)] },
      ternary('dot16', x, y, binary('xor', x, 0x00700001)),
      unary('popcount', x),
    ];
    values.forEach((v, i) => {
      k.store(out, 'i32', i * 16, v);
    });
    const lane: Expr = { kind: 'extract', type: { element: 'i32', lanes: 1 }, a: x, lane: 2 };
    const one = { element: 'i32', lanes: 1 } as const;
    const parts = [lane, i32(-300), i32(5), i32(99)] as [Expr, Expr, Expr, Expr];
    const scalars: Expr[] = [
      lane,
      unary('reduce_add', x),
      unary('reduce_min', x),
      unary('reduce_max', y),
      { kind: 'lookup', type: one, table, indices: lane },
      { kind: 'pack8', type: one, parts },
      ternary('dot8u7', i32(5), lane, i32(0x01027f04)),
      ternary('dot16', i32(5), lane, i32(-0x01027f04)),
      unary('reduce_add', lane),
      unary('mask_to_i32', { kind: 'extract', type: { element: 'mask', lanes: 1 }, a: binary('ne', x, y), lane: 1 }),
    ];
    scalars.forEach((v, i) => {
      k.store(out, 'i32', (values.length + i / 4) * 16, v);
    });
    const check = await law(k.finish(), features, false);
    fc.assert(
      fc.property(bytes, bytes, (p, q) => check([Uint8Array.of(...p, ...q), new Uint8Array(192)])),
      { numRuns: 20 },
    );
  });

  it('loads and stores every memory type as vectors and scalars', async () => {
    const k = new KernelBuilder('memory types', 4);
    const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'readwrite')];
    let at = 0;
    for (const memory of ['i32', 'i16', 'u16', 'i8', 'u8', 'f32'] as const) {
      for (const lanes of [4, 1]) {
        const value = k.let(k.load(a, memory, 5, lanes));
        k.store(out, memory === 'f32' ? 'f32' : 'i32', at, value);
        // Floats stay on whole words: the comparison treats all NaN as one, word by word.
        k.store(out, memory, at + (memory === 'f32' ? 20 : 17), value);
        at += 36;
      }
    }
    const check = await law(k.finish(), PLAIN);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 24 }), (data) => check([data, new Uint8Array(at + 4)])),
      { numRuns: 20 },
    );
  });
});

describe('fused multiply-add', () => {
  it.each([PLAIN, RELAXED])('stays within one rounding of the exact product with %o', async (features) => {
    const kernel = mapKernel('fma', 'f32', 9, (_, a, b) => fma(a, b, sub(a, b)));
    const run = await lower(kernel, features);
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: 18, maxLength: 18 }), (x) => {
        const [a, b] = [x.slice(0, 9), x.slice(9)];
        const out = new Float32Array(run([floats(...a), floats(...b), new Uint8Array(36)])[2]!.buffer);
        out.forEach((value, i) => {
          const product = a[i]! * b[i]!;
          const sum = Math.fround(a[i]! - b[i]!);
          expect(Math.abs(value - (product + sum))).toBeLessThanOrEqual(
            2 ** -23 * (Math.abs(product) + Math.abs(sum)) + 1e-44,
          );
        });
      }),
      { numRuns: 40 },
    );
  });

  it('uses one instruction for each of its relaxed forms', () => {
    const kernel = mapKernel('fma', 'f32', 4, (_, a, b) => fma(a, b, a));
    const module = new ModuleBuilder();
    lowerKernel(module, kernel, RELAXED, module.function('barrier', ['i32']).index);
    expect(Buffer.from(module.bytes()).includes(Buffer.from([0xfd, 0x85, 0x02]))).toBe(true);
  });
});

describe('addresses', () => {
  it('keeps constants of falling addresses out of the instruction', async () => {
    const n = 4000;
    const k = new KernelBuilder('reverse', 4);
    const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'write')];
    k.loop(0, n, 1, (i) => k.storeAt(out, 'i32', i, k.loadAt(a, 'i32', sub(n - 1, i))));
    const values = Int32Array.from({ length: n }, (_, i) => i * 3);
    (await law(k.finish(), PLAIN, false))([new Uint8Array(values.buffer), new Uint8Array(n * 4)]);
  });

  it('splits work among any number of threads, with uneven grains', async () => {
    for (const threads of [1, 2, 3, 7]) {
      const k = new KernelBuilder('threads', 4);
      const out = k.buffer('out', 'readwrite');
      k.parallelLoop(53, 5, (i) => {
        k.loop(i, binary('min', add(i, 5), 53), 1, (j) =>
          k.storeAt(out, 'i32', j, add(k.loadAt(out, 'i32', j), mul(add(threadIndex, 1), threadCount))),
        );
      });
      (await law(k.finish(), PLAIN, false))([new Uint8Array(53 * 4)], threads);
    }
  });

  it('hoists sums out of nested loops without changing them', async () => {
    const k = new KernelBuilder('nested', 4);
    const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'readwrite')];
    const { buffer: scratch, byteOffset } = k.threadScratch(64);
    const shift = k.variable(i32(0));
    k.loop(0, 4, 1, (i) => {
      k.store(scratch, 'i32', byteOffset + 4, mul(i, 8));
      k.loop(0, add(i, 1), 1, (j) => {
        const row = k.let(add(mul(i, 40), shift));
        k.vectorLoop(0, 9, (c, lanes) => {
          const at = add(add(row, mul(c, 4)), mul(j, 4));
          k.store(
            out,
            'i32',
            at,
            add(
              k.load(out, 'i32', at, lanes),
              k.load(a, 'i32', add(k.load(scratch, 'i32', byteOffset + 4), mul(c, 4)), lanes),
            ),
          );
        });
        k.if(
          binary('gt', j, 1),
          () => k.set(shift, add(shift, 4)),
          () => k.set(shift, sub(shift, shift)),
        );
      });
      k.while(binary('gt', shift, 0), () => {
        k.storeAt(out, 'i32', 60, add(shift, k.loadAt(out, 'i32', 60)));
        k.set(shift, sub(shift, 4));
      });
    });
    const data = Int32Array.from({ length: 64 }, (_, i) => i * i);
    (await law(k.finish(), PLAIN, false))([new Uint8Array(data.buffer), new Uint8Array(64 * 4)]);
  });
});

describe('malformed kernels', () => {
  it('are refused with the operation and the kernel named', async () => {
    const kernel = mapKernel('bad', 'f32', 4, (_, a, b) => binary('xor', a, b));
    await expect(lower(kernel, PLAIN)).rejects.toThrow(/kernel bad: operation xor does not take f32/);
    const scalar = mapKernel('bad scalar', 'f32', 1, (_, a) => binary('rem_s', a, f32(2)));
    await expect(lower(scalar, PLAIN)).rejects.toThrow(/rem_s does not take f32/);
  });
});
