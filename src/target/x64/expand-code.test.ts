/** `expand`, `popcount` and `dotBf16` as machine code, beside the kernel interpreter; memory ends where its elements do. */
import { afterAll, describe, expect, it } from 'vitest';
import { add, constant, i32, ternary, unary, vectorType } from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import { numbersFrom } from '../../kernel/testing/index.ts';
import { availability, Bench, nativeHost } from './lower.fixture.ts';

const sets = await availability();
const MEMORIES = ['u16', 'i32', 'f32'] as const;

/** Expands the elements of `in` from the byte on that the second word in `mask` says, as the first one says. */
function expanding(memory: (typeof MEMORIES)[number], lanes: number): Kernel {
  const k = new KernelBuilder(`expand ${memory} ${lanes}`, lanes);
  const [mask, from, to] = [k.buffer('mask', 'read'), k.buffer('in', 'read'), k.buffer('out', 'write')];
  const word = k.let(k.load(mask, 'i32', 0));
  k.store(to, memory === 'f32' ? 'f32' : 'i32', 0, k.expand(from, memory, k.load(mask, 'i32', 4), word));
  k.store(to, 'i32', 4 * lanes, unary('popcount', word));
  return k.finish();
}

const wordsOf = (...words: number[]): Uint8Array => new Uint8Array(Int32Array.from(words).buffer);

/** Bf16 numbers of moderate size, two to a word, zero and subnormal ones among them. */
function pairs(count: number, seed: number): Uint8Array {
  const next = numbersFrom(seed);
  const half = (): number => (next() % 16 === 0 ? next() & 0x807f : (next() & 0x8fff) | 0x3800);
  return new Uint8Array(Uint16Array.from({ length: 2 * count }, half).buffer);
}

describe.each(sets)('$name', ({ features, lanes: most, why }) => {
  describe.skipIf(why)(why ? `(skipped: ${why})` : 'sparse operations', async () => {
    const bench = why ? undefined : new Bench(await nativeHost(), Array(4).fill(4096));
    afterAll(() => bench?.dispose());
    const widths = [4, 8, 16].filter((lanes) => lanes <= most);

    it.runIf(features.expand).each(MEMORIES)('hands out elements of %s at the end of memory', (memory) => {
      const next = numbersFrom(5);
      for (const lanes of widths) {
        const kernel = expanding(memory, lanes);
        const places = memory === 'u16' ? 2 * lanes : lanes;
        const masks = [0, -1, 1, 1 << (places - 1), ...Array.from({ length: 60 }, () => next() | 0)];
        for (const mask of masks) {
          const taken = places === 32 ? mask >>> 0 : mask & (2 ** places - 1);
          const count = taken.toString(2).replaceAll('0', '').length;
          const bytes = count * (memory === 'u16' ? 2 : 4);
          const from = 2 + (bytes % 4 === 0 ? 2 : 0);
          const elements = Uint8Array.from({ length: from + bytes }, () => 1 + (next() % 60));
          bench!.check({ kernel, features }, [wordsOf(mask, from), elements, new Uint8Array(4 * lanes + 4)]);
        }
      }
    });

    it.runIf(features.expand)('goes on behind the elements of one word with those of the next', () => {
      const k = new KernelBuilder('stream', most);
      const [mask, from, to] = [k.buffer('mask', 'read'), k.buffer('in', 'read'), k.buffer('out', 'write')];
      const at = k.variable(i32(0));
      k.loop(0, 32, 1, (i) => {
        const word = k.let(k.loadAt(mask, 'i32', i));
        k.storeAt(to, 'i32', i, k.expand(from, 'u16', add(at, at), word));
        k.set(at, add(at, unary('popcount', word)));
      });
      const next = numbersFrom(9);
      const words = Int32Array.from({ length: 32 }, () => next() | 0);
      const elements = Uint8Array.from({ length: 2 * 32 * 32 }, () => next());
      const results = new Uint8Array(4 * 32 + 4 * most);
      bench!.check({ kernel: k.finish(), features }, [new Uint8Array(words.buffer), elements, results], {
        isFloat: false,
      });
    });

    it.runIf(features.bf16)('multiplies pairs of bf16 to the last bit', () => {
      for (const lanes of widths) {
        const k = new KernelBuilder('dot', lanes);
        const [a, b, sums, to] = [
          k.buffer('a', 'read'),
          k.buffer('b', 'read'),
          k.buffer('c', 'read'),
          k.buffer('out', 'write'),
        ];
        k.loop(0, 1024, 4 * lanes, (i) => {
          const sum = k.variable(k.load(sums, 'f32', i, lanes));
          const x = k.let(k.load(a, 'i32', i, lanes));
          k.set(sum, ternary('dotBf16', sum, x, k.load(b, 'i32', i, lanes)));
          k.set(sum, ternary('dotBf16', sum, x, x));
          k.store(to, 'f32', i, sum);
        });
        const numbers = new Uint8Array(Float32Array.from({ length: 256 }, (_, i) => Math.sin(i)).buffer);
        bench!.check({ kernel: k.finish(), features }, [pairs(256, 1), pairs(256, 2), numbers, new Uint8Array(1024)]);
      }
    });

    it.skipIf(features.expand && features.bf16)('refuses what the processor lacks', () => {
      const buffers = [wordsOf(1, 0), new Uint8Array(4), new Uint8Array(4 * most + 4)];
      const run = (kernel: Kernel): unknown => bench!.run({ kernel, features }, buffers);
      expect(() => run(expanding('u16', most))).toThrow(expect.objectContaining({ code: 'INVALID_GRAPH' }));
      const k = new KernelBuilder('dot', most);
      const [a, , to] = [k.buffer('a', 'read'), k.buffer('b', 'read'), k.buffer('out', 'write')];
      const zero = constant(vectorType('f32', most), 0);
      k.store(to, 'f32', 0, ternary('dotBf16', zero, k.load(a, 'i32', 0, most), k.load(a, 'i32', 0, most)));
      expect(() => run(k.finish())).toThrow(expect.objectContaining({ code: 'INVALID_GRAPH' }));
    });
  });
});
