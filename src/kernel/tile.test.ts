import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { add, threadIndex } from './expression.ts';
import { runKernel } from './interpret.ts';
import { KernelBuilder } from './language.ts';
import { printKernel } from './printer.ts';
import { TILE_DOTS, type TileDot } from './tile.ts';

const bytes = (array: Float32Array | Int32Array | Uint16Array | Int8Array | Uint8Array): Uint8Array =>
  new Uint8Array(array.buffer);

/** sums [m][n] += a [m][4 * words] * b [words][n][4], everything dense. */
function product(dot: TileDot, m: number, n: number, words: number) {
  const k = new KernelBuilder(`product ${dot}`, 16);
  const [a, b, sums] = [k.buffer('a', 'read'), k.buffer('b', 'read'), k.buffer('sums', 'readwrite')];
  const tiles = {
    sums: k.tile(TILE_DOTS[dot].sums, m, 4 * n),
    a: k.tile('bytes', m, 4 * words),
    b: k.tile('bytes', words, 4 * n),
  };
  k.tileLoad(tiles.sums, sums, 0, 4 * n);
  k.tileLoad(tiles.a, a, 0, 4 * words);
  k.tileLoad(tiles.b, b, 0, 4 * n);
  k.tileDot(dot, tiles.sums, tiles.a, tiles.b);
  k.tileStore(tiles.sums, sums, 0, 4 * n);
  return k.finish();
}

describe('products of tiles', () => {
  const size = fc.integer({ min: 1, max: 16 });
  const byte = fc.integer({ min: 0, max: 255 });

  it.each(['s8s8', 's8u8', 'u8s8', 'u8u8'] as const)('%s sum bytes exactly', (dot) => {
    fc.assert(
      fc.property(size, size, size, fc.infiniteStream(byte), (m, n, words, stream) => {
        const draw = (length: number): Uint8Array => Uint8Array.from({ length }, () => stream.next().value as number);
        const [a, b, start] = [draw(4 * m * words), draw(4 * n * words), draw(m * n)];
        const sums = Int32Array.from(start);
        runKernel(product(dot, m, n, words), [a, b, bytes(sums)]);
        const as = dot.startsWith('s8') ? new Int8Array(a.buffer) : a;
        const bs = dot.endsWith('s8') ? new Int8Array(b.buffer) : b;
        const expected = Array.from(start, (first, i) => {
          const [row, column] = [Math.floor(i / n), i % n];
          let sum = first;
          for (let d = 0; d < 4 * words; d++)
            sum += as[row * 4 * words + d]! * bs[(Math.floor(d / 4) * n + column) * 4 + (d % 4)]!;
          return sum;
        });
        expect([...sums]).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  it('wrap sums of bytes modulo 2^32', () => {
    const sums = Int32Array.of(0x7fffffff);
    runKernel(product('u8u8', 1, 1, 1), [Uint8Array.of(1, 0, 0, 0), Uint8Array.of(1, 0, 0, 0), bytes(sums)]);
    expect(sums[0]).toBe(-0x80000000);
  });

  const bf16 = (...values: number[]): Uint8Array =>
    bytes(Uint16Array.from(values, (value) => new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16));
  const dotOf = (start: number, a: number[], b: number[]): number => {
    const sums = Float32Array.of(start);
    runKernel(product('bf16', 1, 1, a.length / 2), [bf16(...a), bf16(...b), bytes(sums)]);
    return sums[0]!;
  };

  it('sum bfloat16 numbers in two chains, then add what was there', () => {
    expect(dotOf(100, [1, 2, 3, 4], [5, 6, 7, 8])).toBe(100 + 5 + 12 + 21 + 32);
    // 2^24 + 1 rounds to 2^24 in a chain of its own; in one chain with the others it would have been 2^24 + 2.
    expect(dotOf(0, [2 ** 24, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1])).toBe(2 ** 24);
    expect(dotOf(0, [2 ** 24, 1, 0, 1], [1, 1, 1, 1])).toBe(2 ** 24 + 2);
    expect(dotOf(0, [1, 0], [Number.POSITIVE_INFINITY, 1])).toBe(Number.POSITIVE_INFINITY);
    expect(dotOf(0, [0, 0], [Number.POSITIVE_INFINITY, 1])).toBeNaN();
  });

  it('take denormals for zeros and make zeros of them', () => {
    expect(dotOf(0, [2 ** -127, 0], [2 ** 100, 0])).toBe(0);
    expect(dotOf(0, [2 ** -70, 0], [2 ** -60, 0])).toBe(0);
    expect(dotOf(2 ** -127, [2 ** -60, 0], [2 ** -66, 0])).toBe(2 ** -126);
    expect(dotOf(0, [2 ** -66, 0], [2 ** -60, 0])).toBe(2 ** -126);
  });
});

describe('tiles in memory', () => {
  it('move rows that lie apart, and nothing between them', () => {
    const k = new KernelBuilder('copy', 16);
    const [from, to] = [k.buffer('from', 'read'), k.buffer('to', 'write')];
    const tile = k.tile('bytes', 3, 8);
    k.tileLoad(tile, from, add(threadIndex, 2), 10);
    k.tileStore(tile, to, 1, 9);
    const out = new Uint8Array(27);
    runKernel(k.finish(), [Uint8Array.from({ length: 30 }, (_, i) => i), out]);
    const row = (start: number) => Array.from({ length: 8 }, (_, i) => start + i);
    expect([...out]).toEqual([0, ...row(2), 0, ...row(12), 0, ...row(22)]);
  });

  it('are zero at first, and when told', () => {
    const k = new KernelBuilder('zero', 16);
    const [from, to] = [k.buffer('from', 'read'), k.buffer('to', 'write')];
    const [first, second] = [k.tile('i32', 2, 8), k.tile('i32', 2, 8)];
    k.tileStore(first, to, 0, 8);
    k.tileLoad(second, from, 0, 8);
    k.tileZero(second);
    k.tileStore(second, to, 16, 8);
    const out = new Uint8Array(32).fill(9);
    runKernel(k.finish(), [new Uint8Array(16).fill(7), out]);
    expect([...out]).toEqual(new Array(32).fill(0));
  });

  it('stay within buffers that may be written', () => {
    const reach = (byteOffset: number, access: 'read' | 'write') => {
      const k = new KernelBuilder('reach', 16);
      const buffer = k.buffer('buffer', access);
      k.tileStore(k.tile('bytes', 4, 16), buffer, byteOffset, 20);
      return () => runKernel(k.finish(), [new Uint8Array(80)]);
    };
    expect(reach(4, 'write')).not.toThrow();
    expect(reach(5, 'write')).toThrow(/reaches bytes 5\.\.81 of buffer buffer/);
    expect(reach(0, 'read')).toThrow(/only reads/);
  });
});

describe('shapes', () => {
  const k = () => new KernelBuilder('shapes', 16);

  it.each([
    [17, 64],
    [0, 64],
    [16, 68],
    [16, 6],
    [16, 0],
  ])('of %i rows of %i bytes are refused', (rows, columnBytes) => {
    expect(() => k().tile('bytes', rows, columnBytes)).toThrow(expect.objectContaining({ code: 'INVALID_GRAPH' }));
  });

  it('are those of eight tiles at most', () => {
    const builder = k();
    for (let i = 0; i < 8; i++) builder.tile('bytes', 16, 64);
    expect(() => builder.tile('bytes', 1, 4)).toThrow(/8 tiles, not 9/);
  });

  it('have to fit in products', () => {
    const builder = k();
    const [sums, a, b] = [builder.tile('i32', 3, 20), builder.tile('bytes', 3, 8), builder.tile('bytes', 2, 20)];
    expect(() => builder.tileDot('s8s8', sums, a, b)).not.toThrow();
    for (const wrong of [() => builder.tileDot('bf16', sums, a, b), () => builder.tileDot('s8s8', sums, b, a)])
      expect(wrong).toThrow(expect.objectContaining({ code: 'INVALID_GRAPH' }));
  });
});

it('reads as what it does', () => {
  expect(printKernel(product('s8u8', 2, 3, 4))).toBe(
    [
      'kernel product s8u8(a: read, b: read, sums: readwrite)',
      '  t0: i32 of 2 x 12 bytes',
      '  t1: bytes of 2 x 16 bytes',
      '  t2: bytes of 4 x 12 bytes',
      '  t0 = sums.2x12[0 by 12]',
      '  t1 = a.2x16[0 by 16]',
      '  t2 = b.4x12[0 by 12]',
      '  t0 += s8u8(t1, t2)',
      '  sums.2x12[0 by 12] = t0',
    ].join('\n'),
  );
});
