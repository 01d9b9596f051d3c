/**
 * Tiles of the kernel language: registers of two dimensions, and products of them. A machine with tiles has eight, of up to
 * 16 rows of up to 64 bytes; what shape a tile has is declared once and holds for the whole kernel. Tiles are zero when a
 * kernel starts. They are no values: statements name them.
 *
 * A product adds to sums [M][N] what rows of a [M][K] give with columns of b, where a column has its K elements four bytes
 * by four bytes: b is [K / q][N][q] with q = 4 bytes or 2 bfloat16 numbers.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18 (AMX).
 */
import { BitloomError } from '../ir/error.ts';
import type { BufferParam, Expr } from './expression.ts';

/** What a machine with tiles has. */
export const TILES = { count: 8, rows: 16, rowBytes: 64 } as const;

/** Sums are i32 or f32; the factors of products are bytes, whatever a product takes them for. */
export type TileElement = 'i32' | 'f32' | 'bytes';

export interface Tile {
  /** Its number among the kernel's tiles. */
  readonly id: number;
  readonly element: TileElement;
  readonly rows: number;
  /** Bytes of a row, a multiple of 4. */
  readonly columnBytes: number;
}

/** Elements of a, then of b: signed and unsigned bytes are summed exactly modulo 2^32, bfloat16 numbers as `TILE_DOTS` says. */
export type TileDot = 's8s8' | 's8u8' | 'u8s8' | 'u8u8' | 'bf16';

/**
 * What a product's sums are. `bf16`: for each row and column two chains of fused multiply-adds, over the elements of even
 * and of odd number; their sum is added to what was there. Each step rounds to nearest even, takes denormals for zeros and
 * makes zeros of them.
 */
export const TILE_DOTS: Readonly<Record<TileDot, { readonly sums: TileElement }>> = {
  s8s8: { sums: 'i32' },
  s8u8: { sums: 'i32' },
  u8s8: { sums: 'i32' },
  u8u8: { sums: 'i32' },
  bf16: { sums: 'f32' },
};

export type TileStatement =
  | { readonly kind: 'tileZero'; readonly tile: Tile }
  /** Fills a tile from rows of memory, `rowStride` bytes apart, or writes it there. Any alignment. */
  | {
      readonly kind: 'tileLoad' | 'tileStore';
      readonly tile: Tile;
      readonly buffer: BufferParam;
      readonly byteOffset: Expr;
      readonly rowStride: number;
    }
  /** sums += a * b. */
  | { readonly kind: 'tileDot'; readonly dot: TileDot; readonly sums: Tile; readonly a: Tile; readonly b: Tile };

/** Bytes from a tile's first byte in memory to behind its last. */
export const tileSpan = ({ rows, columnBytes }: Tile, rowStride: number): number =>
  (rows - 1) * rowStride + columnBytes;

const wrong = (kernel: string, what: string): BitloomError =>
  new BitloomError('INVALID_GRAPH', `kernel ${kernel}: ${what}`, { kernel });

/** Throws INVALID_GRAPH for a tile that no machine has. */
export function checkTile(kernel: string, { id, rows, columnBytes }: Tile): void {
  if (id >= TILES.count) throw wrong(kernel, `there are ${TILES.count} tiles, not ${id + 1}`);
  const fits = rows >= 1 && rows <= TILES.rows && columnBytes >= 4 && columnBytes <= TILES.rowBytes;
  if (!fits || columnBytes % 4 !== 0)
    throw wrong(
      kernel,
      `no tile has ${rows} rows of ${columnBytes} bytes; it may have ${TILES.rows} of ${TILES.rowBytes}`,
    );
}

/** Throws INVALID_GRAPH for tiles that do not multiply. */
export function checkTileDot(kernel: string, dot: TileDot, sums: Tile, a: Tile, b: Tile): void {
  const text = ({ element, rows, columnBytes }: Tile): string => `${element} ${rows} x ${columnBytes}`;
  const areFactors = a.element === 'bytes' && b.element === 'bytes' && sums.element === TILE_DOTS[dot].sums;
  const fits = a.rows === sums.rows && b.columnBytes === sums.columnBytes && b.rows === a.columnBytes / 4;
  if (!areFactors || !fits)
    throw wrong(kernel, `a product ${dot} of ${text(a)} and ${text(b)} bytes does not add to ${text(sums)} bytes`);
}
