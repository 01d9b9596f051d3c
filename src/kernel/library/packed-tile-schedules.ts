/** Block sizes of packed products in tile registers (packed-tile-registers.ts), and what each costs. */
import { TILE_DOT_CYCLES, type Work } from '../cost.ts';
import type { Schedule } from '../template.ts';
import { TILES } from '../tile.ts';
import {
  CHUNK_START,
  chunkOf,
  EXPOSED_LOADS,
  LEAST_TOKENS,
  type Problem,
  RECORD,
  WAIT_PER_BYTE,
} from './packed-problem.ts';
import { productBytes, type TileRegisterSizes } from './packed-tile-registers.ts';
import { hasSignedLevels } from './panel-stage.ts';
import { recordBytes } from './token-records.ts';

export type TileRegisterSchedule = TileRegisterSizes & Schedule;

export const inTileRegisters = (schedule: Schedule): schedule is TileRegisterSchedule => 'tilePanels' in schedule;

/**
 * Per group, token and panel three vector operations (four with a minimum), beside products of tiles, stores of their sums
 * and loads: the longest of these, in vector operations, of which there are two a cycle.
 */
export function tileRegisterWork(problem: Problem, { tilePanels, chunk, block }: TileRegisterSchedule): Work {
  const { m, depth, x, w, sizes, machine, panelCount, least, decode, decodeArithmetic, wBytes, isFar } = problem;
  const { units, quads, spans } = sizes;
  const [tiles, blocks, panelTiles] = [Math.ceil(m / TILES.rows), Math.ceil(m / block), panelCount / tilePanels];
  const groups = units * spans * panelCount;
  const products = w.groupSize / productBytes(w);
  const arithmetic = groups * m * (3 + least);
  const loads = groups * (m * (2 + least + products) + tiles * products * (productBytes(w) / 4));
  const dots = 2 * TILE_DOT_CYCLES * groups * tiles * products;
  const stores = 2 * groups * m;
  const starts = (panelCount * tiles * depth) / (chunk * w.blockSize);
  const stages = units * panelCount * blocks;
  const signs = w.offset === 0 ? 0 : 3 * quads;
  const farBytes = isFar ? wBytes * blocks : 0;
  const rows = m * units * (x.blockBytes + recordBytes(w, sizes));
  return {
    multiplies:
      Math.max(arithmetic, loads, dots, stores) +
      loads * EXPOSED_LOADS +
      stages * (decodeArithmetic + signs) +
      farBytes * WAIT_PER_BYTE +
      starts * (CHUNK_START / 2),
    instructions:
      arithmetic + loads + 2 * stores + stages * (decode + quads + signs) + units * machine.threads * m * RECORD,
    chains: TILES.rows,
    nearBytes: rows * panelTiles + wBytes * blocks - farBytes,
    farBytes,
    items: Math.ceil(panelTiles),
  };
}

/** For 1 to 4 panels; even blocks of whole tiles of tokens, of which half of L2 holds rows and records. */
export function tileRegisterSchedules(problem: Problem): TileRegisterSchedule[] {
  const { m, x, w, sizes, machine } = problem;
  if (!machine.tiles || m < LEAST_TOKENS || !(w.offset === 0 || hasSignedLevels(w))) return [];
  const tiles = Math.ceil(m / TILES.rows);
  const tokenBytes = Math.max(1, sizes.units * (x.blockBytes + recordBytes(w, sizes)));
  return [1, 2, 4].map((tilePanels) => {
    const held = Math.max(1, Math.floor(machine.l2Bytes / 2 / tokenBytes / TILES.rows));
    const block = Math.min(m, Math.ceil(tiles / Math.ceil(tiles / held)) * TILES.rows);
    return { tilePanels, chunk: chunkOf(problem, tilePanels), block };
  });
}
