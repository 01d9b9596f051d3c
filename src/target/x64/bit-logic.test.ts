import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { and, binary, type Expr, or, shl, shrU, ternary, unary } from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import { AVX512_ALL, assemble, availability, Bench, nativeHost } from './lower.fixture.ts';

const sets = await availability();
const COUNT = 64;

/** Stores what `make` gives for the words of two buffers. */
function logicKernel(lanes: number, make: (a: Expr, b: Expr, k: KernelBuilder) => Expr): Kernel {
  const k = new KernelBuilder('logic', lanes);
  const [a, b, out] = [k.buffer('a', 'read'), k.buffer('b', 'read'), k.buffer('out', 'write')];
  k.loop(0, COUNT, lanes, (i) => {
    const [x, y] = [a, b].map((buffer) => k.let(k.loadAt(buffer, 'i32', i, lanes))) as [Expr, Expr];
    k.storeAt(out, 'i32', i, make(x, y, k));
  });
  return k.finish();
}

const buffers = [1, 2].map((seed) => {
  const words = Int32Array.from({ length: COUNT }, (_, i) => Math.imul(i + seed, 0x9e3779b1) ^ (seed << (i % 31)));
  return new Uint8Array(words.buffer);
});
const LOGIC = ['and', 'or', 'xor'] as const;

let bench: Bench | undefined;
beforeAll(async () => {
  if (sets.some(({ why }) => why === undefined)) bench = new Bench(await nativeHost(), [512, 512, 512]);
});
afterAll(() => bench?.dispose());

for (const { name, features, lanes: widest, why } of sets) {
  describe.skipIf(why !== undefined)(`${name}${why ? `: ${why}` : ''}`, () => {
    const check = (make: (a: Expr, b: Expr, k: KernelBuilder) => Expr): void => {
      for (const lanes of [4, 8, 16].filter((n) => n <= widest))
        bench!.check({ kernel: logicKernel(lanes, make), features }, [...buffers, new Uint8Array(4 * COUNT)], {
          isFloat: false,
        });
    };

    it('does two logical operations on three operands', () => {
      for (const outer of LOGIC) {
        for (const inner of LOGIC) {
          check((a, b) => binary(outer, binary(inner, a, b), 0x12345678));
          check((a, b) => binary(outer, b, binary(inner, shrU(a, 9), 0x0f0f0f0f)));
          check((a, b, k) => {
            const shared = k.let(shl(a, 3));
            return binary(outer, binary(inner, shared, b), binary(inner, shared, binary(outer, a, shared)));
          });
        }
      }
    });

    it('moves bits within bytes, and across them', () => {
      for (let by = 0; by < 10; by++) {
        for (const mask of [0x01, 0x03, 0x0f, 0x40, 0x80, 0xc6, 0xff]) {
          const all = Math.imul(mask, 0x01010101);
          check((a) => and(shrU(a, by), all));
          check((a) => and(shl(a, by), all));
          check((a, b) => or(and(shrU(a, by), all), and(shl(b, by), 0x04040404)));
        }
        check((a) => and(shrU(a, by), 0x03030301));
      }
    });

    it('counts bits and multiplies words', () => {
      check((a, b) => unary('popcount', binary('xor', a, b)));
      check((a, b, k) => k.let(ternary('dot16', shl(a, 1), a, b)));
      check((a, b, k) => {
        const sum = k.variable(a);
        k.set(sum, ternary('dot16', sum, b, unary('popcount', a)));
        return sum;
      });
    });
  });
}

describe.skipIf(sets.some(({ why }) => why !== undefined))('with everything', () => {
  it('takes codes of three bits apart in one instruction a part, and joins them in one', async () => {
    const kernel = logicKernel(16, (a, b) => or(and(shrU(a, 6), 0x03030303), and(shrU(b, 4), 0x04040404)));
    const text = assemble(await nativeHost(), kernel, AVX512_ALL).listing();
    expect(text.match(/vgf2p8affineqb/g)).toHaveLength(2);
    expect(text).not.toMatch(/vpsrld|vpandd/);
    const plain = assemble(await nativeHost(), kernel, { ...AVX512_ALL, gfni: false }).listing();
    expect(plain.match(/vpternlogd/g)).toHaveLength(1);
    expect(plain.match(/vpandd/g)).toHaveLength(1);
  });
});
