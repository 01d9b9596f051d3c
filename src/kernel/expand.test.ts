/** What `expand`, `popcount` and `dotBf16` mean, by the kernel interpreter. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { bf16ToNumber } from '../ir/float16.ts';
import { type Expr, f32, i32, ternary, unary } from './expression.ts';
import { runKernel } from './interpret.ts';
import { KernelBuilder } from './language.ts';
import { printKernel } from './printer.ts';

const LANES = 8;

/** Expands what is in `source` from byte 4 on. */
function expanded(memory: 'f32' | 'i32' | 'u16', source: Uint8Array, mask: number): Uint8Array {
  const k = new KernelBuilder('expand', LANES);
  const [from, to] = [k.buffer('in', 'read'), k.buffer('out', 'write')];
  k.store(to, memory === 'f32' ? 'f32' : 'i32', 0, k.expand(from, memory, i32(4), i32(mask)));
  const result = new Uint8Array(4 * LANES);
  runKernel(k.finish(), [source, result]);
  return result;
}

describe('expand', () => {
  it.each(['f32', 'i32', 'u16'] as const)('hands out elements of %s and reads no more than these', (memory) => {
    const make = (numbers: readonly number[]) =>
      memory === 'f32'
        ? new Float32Array(numbers)
        : memory === 'i32'
          ? new Int32Array(numbers)
          : new Uint16Array(numbers);
    const before = memory === 'u16' ? [7, 8] : [9];
    const places = memory === 'u16' ? 2 * LANES : LANES;
    fc.assert(
      fc.property(fc.integer(), (mask) => {
        const isSet = Array.from({ length: places }, (_, i) => ((mask >>> i) & 1) === 1);
        const count = isSet.filter((is) => is).length;
        const elements = Array.from({ length: count }, (_, i) => i + 1);
        let next = 0;
        const wanted = make(isSet.map((is) => (is ? elements[next++]! : 0)));
        const source = new Uint8Array(make([...before, ...elements]).buffer);
        expect(expanded(memory, source, mask)).toEqual(new Uint8Array(wanted.buffer));
        const shorter = source.subarray(0, source.length - 1);
        if (count > 0) expect(() => expanded(memory, shorter, mask)).toThrow(/reaches bytes/);
      }),
    );
  });

  test('reads as what it does', () => {
    const k = new KernelBuilder('expand', LANES);
    const [from, to] = [k.buffer('in', 'read'), k.buffer('out', 'write')];
    const word = k.let(k.load(from, 'i32', 0));
    k.store(to, 'i32', 0, k.expand(from, 'u16', unary('popcount', word), word));
    expect(printKernel(k.finish())).toContain('expand(in.u16x8[popcount(r0)], r0)');
  });
});

/** The value of one scalar. */
function lawful(e: Expr): number {
  const k = new KernelBuilder('one', 4);
  k.store(k.buffer('out', 'write'), e.type.element as 'f32' | 'i32', 0, e);
  const word = new Float32Array(1);
  runKernel(k.finish(), [new Uint8Array(word.buffer)]);
  return e.type.element === 'f32' ? word[0]! : new Int32Array(word.buffer)[0]!;
}

test('popcount counts the bits of any number', () => {
  fc.assert(
    fc.property(fc.integer(), (n) => {
      expect(lawful(unary('popcount', i32(n)))).toBe((n >>> 0).toString(2).replaceAll('0', '').length);
    }),
  );
});

test('dotBf16 adds two exact products within its bound', () => {
  const half = fc
    .integer({ min: 0, max: 0xffff })
    .filter((bits) => (bits & 0x7f80) < 0x5000 && (bits & 0x7f80) > 0x3000);
  fc.assert(
    fc.property(half, half, half, half, fc.float({ noNaN: true, min: -1000, max: 1000 }), (a, b, c, d, sum) => {
      const start = Math.abs(sum) < 2 ** -126 ? 0 : sum;
      const got = lawful(ternary('dotBf16', f32(start), i32((a << 16) | b), i32((c << 16) | d)));
      const terms = [start, bf16ToNumber(a) * bf16ToNumber(c), bf16ToNumber(b) * bf16ToNumber(d)];
      const [exact, size] = terms.reduce(([s, t], x) => [s + x, t + Math.abs(x)] as const, [0, 0] as readonly [
        number,
        number,
      ]);
      expect(Math.abs(got - exact)).toBeLessThanOrEqual(size * 2 ** -23 + 2 ** -126);
    }),
  );
});
