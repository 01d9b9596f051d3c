/** Random kernels with tiles against the interpreter, between pages that nobody may touch: emulated, and where there is AMX, natively. */
import { describe, expect, it } from 'vitest';
import { add, and, type Expr, i32, mul } from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import { numbersFrom } from '../../kernel/testing/index.ts';
import { TILE_DOTS, TILES, type TileDot } from '../../kernel/tile.ts';
import { platform } from '../../platform/index.ts';
import { AVX512_VNNI, assemble, Bench, nativeHost } from './lower.fixture.ts';
import { tileConfiguration } from './tile-code.ts';
import { TILE_SETS } from './tiles.fixture.ts';

const support = await platform.native();

const [IN_BYTES, OUT_BYTES] = [6000, 4096];
const DOTS = Object.keys(TILE_DOTS) as TileDot[];

/**
 * Products in a loop: factors and sums come from places that move with it, sums go to memory and, by way of scratch, through
 * vector registers. `crowd` more values live across it.
 */
function randomTiles(seed: number): { kernel: Kernel; isFloat: boolean } {
  const next = numbersFrom(seed);
  const below = (count: number): number => next() % Math.floor(count);
  const size = (): number => (below(2) === 0 ? TILES.rows : 1 + below(TILES.rows));
  const [m, n, words, dot] = [size(), size(), size(), DOTS[below(DOTS.length)]!];
  const k = new KernelBuilder(`tiles ${seed}`, 16);
  const [from, to, last] = [k.buffer('from', 'read'), k.buffer('to', 'readwrite'), k.buffer('last', 'readwrite')];
  const scratch = k.threadScratch(TILES.rows * TILES.rowBytes);
  const a = k.tile('bytes', m, 4 * words);
  const b = k.tile('bytes', words, 4 * n);
  const sums = [0, 1].map(() => k.tile(TILE_DOTS[dot].sums, m, 4 * n));
  const count = 1 + below(4);
  /** An offset that moves with `i` and ends, at last, at the buffer's end. */
  const place = (i: Expr, rows: number, bytes: number, length: number): [Expr, number] => {
    // Any NaN stands for any other where words of the result are floats: these lie at multiples of 4.
    const unit = dot === 'bf16' ? 4 : 1;
    const rowStride = bytes + unit * below(3) * below(70 / unit);
    const step = unit * below(40 / unit);
    const most = length - (rows - 1) * rowStride - bytes - step * (count - 1);
    return [add(mul(i, step), below(2) === 0 ? most : unit * below(most / unit + 1)), rowStride];
  };
  const crowd = Array.from({ length: below(2) * 24 }, (_, i) => k.let(k.load(from, 'i32', 4 * i + below(60))));
  k.loop(0, count, 1, (i) => {
    k.tileLoad(a, from, ...place(i, m, 4 * words, IN_BYTES));
    k.tileLoad(b, from, ...place(i, words, 4 * n, IN_BYTES));
    const sum = sums[below(2)]!;
    const start = below(4);
    if (start === 0) k.tileLoad(sum, from, ...place(i, m, 4 * n, IN_BYTES));
    else if (start === 1) k.tileZero(sum);
    for (let times = below(3); times >= 0; times--) k.tileDot(dot, sums[below(2)]!, a, b);
    k.tileStore(sum, to, ...place(i, m, 4 * n, OUT_BYTES));
    k.tileStore(sums[below(2)]!, scratch.buffer, scratch.byteOffset, 4 * n);
    for (let row = 0; row < 4; row++)
      k.store(
        to,
        'i32',
        add(mul(i, 4), 4 * row),
        k.load(scratch.buffer, 'i32', add(scratch.byteOffset, Math.min(row, m - 1) * 4 * n)),
      );
  });
  // Offsets, buffers and strides that are used once; a load that a store of a tile must not overtake.
  const shift = (): Expr => k.let(and(k.load(from, 'i32', 4 * below(9)), 12));
  k.tileLoad(a, from, shift(), 4 * words + 4);
  k.tileDot(dot, sums[0]!, a, b);
  const before = k.let(k.load(to, 'i32', 0, 16));
  k.tileStore(sums[0]!, to, 0, 4 * n + 8);
  k.store(to, 'i32', 2048, before);
  k.tileStore(sums[1]!, last, below(2) === 0 ? 64 : shift(), 4 * n + 12);
  for (const [i, value] of crowd.entries()) k.store(to, 'i32', i32(4 * i), value);
  return { kernel: k.finish(), isFloat: dot === 'bf16' };
}

function randomBytes(seed: number, length: number): Uint8Array {
  const next = numbersFrom(seed);
  // Runs of equal upper bytes make floats of near exponents, whose sums round.
  return Uint8Array.from({ length }, (_, i) => (i % 2 === 1 && next() % 4 !== 0 ? 0x3e + (next() % 4) : next() & 0xff));
}

describe.each(TILE_SETS)('$name', ({ features, why }) => {
  describe.skipIf(why !== undefined)(why === undefined ? 'random kernels' : `(skipped: ${why})`, () => {
    it.each(Array.from({ length: 10 }, (_, i) => i))('leave what the interpreter leaves, part %i', async (part) => {
      const bench = new Bench(await nativeHost(), [IN_BYTES, OUT_BYTES, OUT_BYTES]);
      for (let seed = 40 * part; seed < 40 * (part + 1); seed++) {
        const { kernel, isFloat } = randomTiles(seed);
        const contents = [IN_BYTES, OUT_BYTES, OUT_BYTES].map((length, i) => randomBytes(seed + i, length));
        bench.check({ kernel, features }, contents, { isFloat });
      }
      bench.dispose();
    });
  });
});

describe.skipIf('why' in support)('code for tiles of AMX', async () => {
  const host = 'why' in support ? undefined : await nativeHost();

  it('configures them, moves rows by a stride in a register, multiplies and lets go', () => {
    const k = new KernelBuilder('listing', 16);
    const [x, y] = [k.buffer('x', 'read'), k.buffer('y', 'write')];
    const [sums, a, b] = [k.tile('i32', 16, 64), k.tile('bytes', 16, 32), k.tile('bytes', 8, 64)];
    k.tileLoad(a, x, 8, 40);
    k.tileLoad(b, x, 0, 64);
    k.tileZero(sums);
    k.tileDot('s8u8', sums, a, b);
    k.tileStore(sums, y, 0, 64);
    const text = assemble(host!, k.finish(), { ...AVX512_VNNI, tiles: 'amx' }).listing();
    const names = ['ldtilecfg', 'tileloadd', 'tilezero', 'tdpbsud', 'tilestored', 'tilerelease'];
    const lines = text.split('\n').filter((line) => names.some((name) => line.includes(name)));
    expect(
      lines.map((line) =>
        line
          .slice(40)
          .replace(/\[rip[^\]]*\]/, '[rip]')
          .trim(),
      ),
    ).toMatchInlineSnapshot(`
      [
        "ldtilecfg [rip]",
        "tileloadd tmm1, [rcx+rbx*1+8]",
        "tileloadd tmm2, [rcx+rbp*1]",
        "tilezero tmm0",
        "tdpbsud tmm0, tmm1, tmm2",
        "tilestored [rax+rbp*1], tmm0",
        "tilerelease",
      ]
    `);
  });

  it('is refused where the machine has none', () => {
    const k = new KernelBuilder('refused', 16);
    k.tileZero(k.tile('i32', 1, 4));
    expect(() => assemble(host!, k.finish(), AVX512_VNNI)).toThrow(/has tiles, the machine has none/);
  });
});

it('a configuration has bytes of rows, then rows, by tile', () => {
  const k = new KernelBuilder('configuration', 16);
  const configuration = tileConfiguration([k.tile('i32', 16, 64), k.tile('bytes', 3, 32)]);
  const expected = new Array(64).fill(0);
  [expected[0], expected[16], expected[18], expected[48], expected[49]] = [1, 64, 32, 16, 3];
  expect([...configuration]).toEqual(expected);
});
