/** WebAssembly counts bits; it has neither `expand` nor `dotBf16`, and says so. */
import { expect, it, test } from 'vitest';
import { constant, i32, ternary, unary, vectorType } from '../../kernel/expression.ts';
import { KernelBuilder } from '../../kernel/language.ts';
import { law, lower, PLAIN, RELAXED } from './lower.fixture.ts';

it.each([PLAIN, RELAXED])('counts the bits of scalars', async (features) => {
  const k = new KernelBuilder('popcount', 4);
  const [from, to] = [k.buffer('in', 'read'), k.buffer('out', 'write')];
  k.loop(0, 256, 4, (i) => k.store(to, 'i32', i, unary('popcount', k.load(from, 'i32', i))));
  const words = Int32Array.from({ length: 64 }, (_, i) => Math.imul(i, 0x9e3779b1) | (i % 5 === 0 ? -1 : 0));
  (await law(k.finish(), features, false))([new Uint8Array(words.buffer), new Uint8Array(256)]);
});

test('what it lacks is refused by name', async () => {
  const expanding = new KernelBuilder('expand', 4);
  const [from, to] = [expanding.buffer('in', 'read'), expanding.buffer('out', 'write')];
  expanding.store(to, 'i32', 0, expanding.expand(from, 'u16', i32(0), i32(3)));
  await expect(lower(expanding.finish(), RELAXED)).rejects.toThrow(/expand/);
  const dot = new KernelBuilder('dot', 4);
  const sum = constant(vectorType('f32', 4), 0);
  const word = constant(vectorType('i32', 4), 1);
  dot.store(dot.buffer('out', 'write'), 'f32', 0, ternary('dotBf16', sum, word, word));
  await expect(lower(dot.finish(), RELAXED)).rejects.toThrow(/dotBf16/);
});
