/** Block sizes of products in tile registers (gemm-tile-registers.ts), and what each costs. */
import type { ElementType } from '../../ir/dtype.ts';
import { rankSchedules, TILE_DOT_CYCLES, type Work } from '../cost.ts';
import type { Machine } from '../machine.ts';
import { TILES } from '../tile.ts';
import type { GemmSizes } from './gemm.ts';
import type { TileGemmSchedule } from './gemm-tile-registers.ts';
import { isTileOperand, operandBytes, type TileOperandType } from './tile-squares.ts';

const SIDE = TILES.rows;
const PAIR = 2 * SIDE;
const WORD_BYTES = 4;

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** Vector operations that load, turn and store a square of 16 vectors; shuffles go to one of two units. */
const [SQUARE, TURNED_SQUARE] = [16 + 16, 16 + 2 * 64 + 16];

/** What a candidate does, in vector operations, of which there are two a cycle: products of tiles run beside loads. */
export function tileGemmWork(
  sizes: GemmSizes,
  dtype: TileOperandType,
  schedule: TileGemmSchedule,
  { l2Bytes }: Machine,
): Work {
  const { batch, m, n, depth } = sizes;
  const { tileDepthBytes, rowPairs, nc, mc } = schedule;
  const depthBytes = depth * operandBytes(dtype);
  const [rowTiles, columnTiles, squares] = [
    Math.ceil(m / SIDE),
    Math.ceil(n / SIDE),
    Math.ceil(depthBytes / TILES.rowBytes),
  ];
  const [rowBlocks, columnBlocks] = [Math.ceil(m / mc), Math.ceil(n / nc)];
  const slices = Math.ceil(depthBytes / tileDepthBytes);
  const tiles = batch * rowTiles * columnTiles;
  const dots = 2 * TILE_DOT_CYCLES * tiles * squares;
  const sums = tiles * slices * (2 * SIDE + SIDE) + tiles * 3 * SIDE;
  const packing = batch * squares * (columnTiles * rowBlocks * TURNED_SQUARE + rowTiles * columnBlocks * SQUARE);
  const aBytes = batch * m * depthBytes;
  const far = (bytes: number, times: number): number => (bytes > l2Bytes ? bytes * times : 0);
  return {
    multiplies: dots + sums + packing,
    instructions: tiles * squares * 5 + packing + sums,
    chains: 8,
    nearBytes:
      batch * Math.ceil(m / PAIR / rowPairs) * n * depthBytes +
      aBytes * columnBlocks +
      2 * WORD_BYTES * batch * m * n * slices,
    farBytes: far(aBytes, columnBlocks) + far(batch * n * depthBytes, rowBlocks) + far(WORD_BYTES * batch * m * n, 1),
    items: batch * rowBlocks * columnBlocks,
  };
}

/** Candidates, best first: depth by shares of L1, columns by half of L2, work items enough for all threads. */
export function tileGemmSchedules(sizes: GemmSizes, dtype: TileOperandType, machine: Machine): TileGemmSchedule[] {
  const { batch, m, n, depth } = sizes;
  const { l1Bytes, l2Bytes, threads } = machine;
  const depthBytes = Math.max(TILES.rowBytes, roundUp(depth * operandBytes(dtype), TILES.rowBytes));
  const found = new Map<string, TileGemmSchedule>();
  for (const rowPairs of [1, 2]) {
    // What stays in L1: the rows of A, and with two pairs of them a pair of tiles of columns of B.
    const inL1 = rowPairs === 1 ? PAIR : (rowPairs + 1) * PAIR;
    for (const share of [1, 2, 4]) {
      const most = Math.floor(l1Bytes / share / inL1 / TILES.rowBytes) * TILES.rowBytes;
      const tileDepthBytes = Math.min(depthBytes, Math.max(TILES.rowBytes, most));
      for (const itemsPerThread of threads === 1 ? [1] : [1, 2, 4]) {
        for (const rowShare of [1, 2, 4]) {
          const mc = Math.max(1, Math.ceil(m / rowShare / rowPairs / PAIR)) * rowPairs * PAIR;
          const waiting = depthBytes > tileDepthBytes ? WORD_BYTES * mc : 0;
          const columns = Math.max(1, Math.floor(l2Bytes / 2 / (tileDepthBytes + waiting) / PAIR)) * PAIR;
          const items = Math.max(Math.ceil(n / columns), Math.ceil((itemsPerThread * threads) / (batch * rowShare)));
          const nc = Math.max(PAIR, Math.min(columns, roundUp(Math.ceil(n / items), PAIR)));
          const schedule = { tileDepthBytes, rowPairs, nc, mc };
          found.set(Object.values(schedule).join(), schedule);
        }
      }
    }
  }
  return rankSchedules([...found.values()], (schedule) => tileGemmWork(sizes, dtype, schedule, machine), machine);
}

/** The tile schedules of a product of two operands, none where tiles do not take them. */
export function tileSchedulesFor(
  sizes: GemmSizes,
  types: readonly ElementType[],
  machine: Machine,
): TileGemmSchedule[] {
  const [dtype, other] = types;
  return machine.tiles && isTileOperand(dtype) && dtype === other ? tileGemmSchedules(sizes, dtype, machine) : [];
}
