/** What hot loops look like as machine code: how many instructions, which ones, and nothing on the stack. */
import { describe, expect, it } from 'vitest';
import {
  add,
  binary,
  constant,
  type Expr,
  fma,
  mul,
  select,
  splat,
  sub,
  ternary,
  unary,
  vectorType,
} from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import { transposeSquare } from '../../kernel/library/transpose.ts';
import { platform } from '../../platform/index.ts';
import type { CodeFeatures } from './features.ts';
import { AVX2_PLAIN, AVX2_VNNI, AVX512_VNNI, assemble } from './lower.fixture.ts';

const support = await platform.native();
const why = 'why' in support ? support.why : undefined;

/** The instructions of a kernel's function, with labels. */
function linesOf(kernel: Kernel, features: CodeFeatures): string[] {
  if ('why' in support) throw new Error(support.why);
  const lines = assemble(support.host, kernel, features)
    .listing()
    .split('\n')
    .map((line) => line.replace(/^[0-9a-f]{6} {2}(?:[0-9a-f]{2} )+ */, ''));
  return lines.slice(lines.indexOf('kernel:') + 1, lines.indexOf('barrier:')).filter((line) => line !== 'nop');
}

/** The instructions of the innermost loop. */
function loopOf(kernel: Kernel, features: CodeFeatures): string[] {
  const lines = linesOf(kernel, features);
  const end = lines.findIndex((line) => line.startsWith('jl '));
  const start = lines.indexOf(`${lines[end]!.slice(3)}:`);
  expect(start).toBeGreaterThanOrEqual(0);
  return lines.slice(start + 1, end + 1);
}

const count = (lines: readonly string[], what: RegExp): number => lines.filter((line) => what.test(line)).length;

/** sums[i][j] += left[i] * right[j] over p, as matrix kernels do. */
function outerProduct(lanes: number, rows: number, columns: number): Kernel {
  const k = new KernelBuilder('outer product', lanes);
  const [a, b, c] = [k.buffer('a', 'read'), k.buffer('b', 'read'), k.buffer('c', 'write')];
  const zero = constant(vectorType('f32', lanes), 0);
  const sums = Array.from({ length: rows }, () => Array.from({ length: columns }, () => k.variable(zero)));
  k.loop(0, 100, 1, (p) => {
    const right = sums[0]!.map((_, j) => k.let(k.loadAt(b, 'f32', add(mul(p, columns * lanes), j * lanes), lanes)));
    for (const [i, row] of sums.entries()) {
      const left = k.let(splat(k.loadAt(a, 'f32', add(mul(p, rows), i)), lanes));
      for (const [j, sum] of row.entries()) k.set(sum, fma(right[j]!, left, sum));
    }
  });
  for (const [i, sum] of sums.flat().entries()) k.storeAt(c, 'f32', i * lanes, sum);
  return k.finish();
}

/** out[i] = f(a[i]), in whole vectors. */
function map(lanes: number, f: (x: Expr, k: KernelBuilder) => Expr, memory: 'f32' | 'i32' = 'f32'): Kernel {
  const k = new KernelBuilder('map', lanes);
  const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'write')];
  k.loop(0, 1024, lanes, (i) => k.storeAt(out, memory, i, f(k.loadAt(a, memory, i, lanes), k)));
  return k.finish();
}

/** Counting and the branch back. */
const LOOP = 3;

describe.skipIf(why)(why ? `hot loops (skipped: ${why})` : 'hot loops', () => {
  it('asks for what it reads later, at addresses that it has anyway', () => {
    const k = new KernelBuilder('stream', 16);
    const [data, out] = [k.buffer('data', 'read'), k.buffer('out', 'write')];
    const sum = k.variable(constant(vectorType('f32', 16), 0));
    k.loop(0, 6400, 64, (at) => {
      k.set(sum, add(sum, k.load(data, 'f32', at, 16)));
      k.prefetch(data, add(at, 1024));
    });
    k.store(out, 'f32', 0, sum);
    const lines = loopOf(k.finish(), AVX512_VNNI);
    expect(count(lines, /^prefetcht0 \[\w+\+\w+\*1\+1024\]/)).toBe(1);
    expect(lines).toHaveLength(5);
  });

  it('of outer products keep their sums in registers', () => {
    const cases = [
      // One row a time multiplies by what memory repeats, several columns share a repeated number.
      { lanes: 16, rows: 24, columns: 1, features: AVX512_VNNI, loads: 1 },
      { lanes: 16, rows: 12, columns: 2, features: AVX512_VNNI, loads: 2 + 12 },
      { lanes: 8, rows: 6, columns: 2, features: AVX2_VNNI, loads: 2 + 6 },
      { lanes: 8, rows: 4, columns: 3, features: AVX2_PLAIN, loads: 3 + 4 },
    ];
    for (const { lanes, rows, columns, features, loads } of cases) {
      const loop = loopOf(outerProduct(lanes, rows, columns), features);
      const addresses = 2; // one for each buffer
      expect(count(loop, /^vfmadd231ps/)).toBe(rows * columns);
      expect(count(loop, /\[rsp/)).toBe(0);
      expect(loop.length).toBe(rows * columns + loads + addresses + LOOP);
    }
  });

  it('of products with repeated numbers take them from memory where that repeats', () => {
    const kernel = outerProduct(16, 24, 1);
    expect(count(loopOf(kernel, AVX512_VNNI), /^vfmadd231ps zmm\d+, zmm\d+, \[.*\]\{1to16\}$/)).toBe(24);
    const sum = (x: Expr, k: KernelBuilder) => add(x, splat(k.load(k.buffer('b', 'read'), 'f32', 4), 16));
    expect(count(loopOf(map(16, sum), AVX512_VNNI), /^vaddps .*\{1to16\}$/)).toBe(1);
    expect(count(loopOf(outerProduct(8, 6, 1), AVX2_VNNI), /^vbroadcastss ymm\d+, \[/)).toBe(6);
  });

  it('have their constants loaded before them', () => {
    for (const [lanes, features] of [
      [16, AVX512_VNNI],
      [8, AVX2_PLAIN],
    ] as const) {
      const kernel = map(lanes, (x) =>
        select(binary('lt', mul(x, 3), 1), fma(x, constant(x.type, 5), add(x, 7)), mul(x, 9)),
      );
      expect(count(loopOf(kernel, features), /\[rip/)).toBe(0);
      expect(count(linesOf(kernel, features), /\[rip/)).toBe(5);
    }
  });

  it('index memory without instructions of their own', () => {
    const copy = loopOf(
      map(16, (x) => x),
      AVX512_VNNI,
    );
    expect(copy).toEqual([
      expect.stringMatching(/^vmovups zmm\d+, \[\w+\+\w+\*4\]$/),
      expect.stringMatching(/^vmovups \[\w+\+\w+\*4\], zmm\d+$/),
      expect.stringMatching(/^add \w+, 16$/),
      expect.stringMatching(/^cmp \w+, 1024$/),
      expect.stringMatching(/^jl /),
    ]);
    const k = new KernelBuilder('rows', 16);
    const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'write')];
    k.loop(0, 8, 1, (row) =>
      k.loop(0, 512, 16, (i) =>
        k.storeAt(out, 'f32', add(i, 64), k.loadAt(a, 'f32', add(sub(mul(row, 512), 64), i), 16)),
      ),
    );
    expect(loopOf(k.finish(), AVX512_VNNI).length).toBe(2 + LOOP);
  });

  it('multiply bytes, convert halves and choose in one instruction where there is one', () => {
    const dot = (x: Expr) => ternary('dot8u8', constant(x.type, 1), x, x);
    expect(count(loopOf(map(16, dot, 'i32'), AVX512_VNNI), /^vpdpbusd zmm/)).toBe(1);
    expect(count(loopOf(map(8, dot, 'i32'), AVX2_VNNI), /vpdpbusd ymm/)).toBe(1);
    expect(count(loopOf(map(8, dot, 'i32'), AVX2_PLAIN), /vpdpbusd/)).toBe(0);
    const choice = (x: Expr) => select(binary('lt', x, 1), x, 0);
    expect(count(loopOf(map(16, choice), AVX512_VNNI), /\{k\d\}\{z\}/)).toBe(1);
    const k = new KernelBuilder('halves', 16);
    const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'write')];
    k.loop(0, 512, 16, (i) =>
      k.storeAt(out, 'u16', i, unary('f32_to_f16', unary('neg', unary('f16_to_f32', k.loadAt(a, 'u16', i, 16))))),
    );
    const loop = loopOf(k.finish(), AVX512_VNNI);
    expect(loop[0]).toMatch(/^vcvtph2ps zmm\d+, \[/);
    expect(loop[2]).toMatch(/^vcvtps2ph \[.*\], zmm\d+, 0$/);
    expect(loop.length).toBe(3 + LOOP);
  });

  it('transpose with one instruction a shuffle', () => {
    for (const [lanes, features] of [
      [16, AVX512_VNNI],
      [8, AVX2_PLAIN],
      [4, AVX2_PLAIN],
    ] as const) {
      const k = new KernelBuilder('transpose', lanes);
      const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'write')];
      const rows = Array.from({ length: lanes }, (_, i) => k.let(k.loadAt(a, 'f32', i * lanes, lanes)));
      for (const [i, column] of transposeSquare(k, rows).entries()) k.storeAt(out, 'f32', i * lanes, column);
      const shuffles = linesOf(k.finish(), features).filter((line) => !/^(?:v?mov|ret|sub|add)/.test(line));
      expect(shuffles.length).toBe(lanes * Math.log2(lanes));
      expect(count(shuffles, /^(?:vunpck|vshufps|vshuff32x4|vperm2f128)/)).toBe(shuffles.length);
    }
  });
});
