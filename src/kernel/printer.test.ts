import { expect, test } from 'vitest';
import { add, binary, fma, select } from './expression.ts';
import { KernelBuilder } from './language.ts';
import { printKernel } from './printer.ts';

test('a kernel reads as what it does', () => {
  const k = new KernelBuilder('relu_3', 4);
  const [x, y] = [k.buffer('in0', 'read'), k.buffer('out', 'write')];
  k.loop(0, 8, 4, (i) => {
    const value = k.let(fma(k.loadAt(x, 'f32', i, 4), 2, 1));
    k.storeAt(y, 'f32', i, select(binary('lt', value, 0), 0, value));
  });
  k.if(binary('ne', k.load(x, 'u8', 3), 0), () => k.barrier());
  k.store(y, 'u8', 0, add(k.load(x, 'u8', 1), -1));
  expect(printKernel(k.finish())).toBe(
    [
      'kernel relu_3(in0: read, out: write)',
      '  for r0 from 0 to 8 by 4',
      '    r1: f32x4 = fma(in0.f32x4[r0 * 4], 2, 1)',
      '    out.f32x4[r0 * 4] = select(r1 < 0, 0, r1)',
      '  if in0.u8[3] != 0',
      '    barrier',
      '  out.u8[0] = in0.u8[1] + -1',
    ].join('\n'),
  );
});
