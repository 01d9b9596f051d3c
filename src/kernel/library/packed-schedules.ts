/**
 * Ways to multiply quantised activations by packed panels, and what each costs: panels read in place (direct-product.ts),
 * tiles on diagonals for vectors of 4 lanes (packed-tiles.ts), tiles of repeated activations for wider ones
 * (repeated-tiles.ts), tile registers where there are any (packed-tile-registers.ts).
 */
import { inTileRegisters, type TileRegisterSchedule, tileRegisterSchedules, tileRegisterWork } from '#wide-kernels';
import type { NumberFormat } from '../../quant/number-format.ts';
import { rankSchedules, type Work } from '../cost.ts';
import type { Machine } from '../machine.ts';
import type { KernelRequest, Schedule } from '../template.ts';
import {
  CHUNK_START,
  chunkOf,
  EXPOSED_LOADS,
  LEAST_TOKENS,
  type Problem,
  problemOf,
  RECORD,
  WAIT_PER_BYTE,
} from './packed-problem.ts';
import { dotOf } from './packed-product.ts';
import type { TileSizes } from './packed-tiles.ts';
import { type RepeatedSizes, tileRegisters } from './repeated-tiles.ts';
import { recordBytes } from './token-records.ts';
import { tokenLayout } from './token-stage.ts';

/** Tiles of tokens x panels read in place. */
export interface DirectSchedule extends Schedule {
  readonly tokens: number;
  readonly panels: number;
}
export type DiagonalSchedule = TileSizes & Schedule;
export type RepeatedSchedule = RepeatedSizes & Schedule;
export type PackedSchedule = DirectSchedule | DiagonalSchedule | RepeatedSchedule | TileRegisterSchedule;

export const isDirect = (schedule: Schedule): schedule is DirectSchedule => 'tokens' in schedule;
export const isDiagonal = (schedule: Schedule): schedule is DiagonalSchedule => 'fours' in schedule;

/** Tokens and lanes of one square of a diagonal tile. */
const FOUR = 4;

/**
 * Multiplications and instructions of one dot product: a machine of 7-bit dots takes multiplies of bytes and of 16-bit
 * sums and an addition, and twice as many for levels of 8 bits. Vectors of 4 lanes are WebAssembly's, whose engine chooses.
 */
function dotCost({ lanes, dot8 }: Machine, w: NumberFormat): DotCost {
  if (lanes <= FOUR || dot8 === 'u8') return { multiplies: 1, instructions: 1 };
  return dotOf(w) === 'dot8u7' ? { multiplies: 2, instructions: 3 } : { multiplies: 4, instructions: 6 };
}

interface DotCost {
  readonly multiplies: number;
  readonly instructions: number;
}

/** How many chains one sum is worth: where its products are made first, it waits for an addition only. */
const chainsOf = ({ multiplies }: DotCost): number => (multiplies > 1 ? 4 : 1);

/**
 * Decodes levels for each tile of tokens, repeats activations for each tile of panels, multiplies, and applies scales.
 * Wide vectors have two units for all arithmetic, so that what is not a product counts there, too.
 */
function directWork(problem: Problem, { tokens, panels }: DirectSchedule): Work {
  const { m, x, w, machine, panelCount, least, decode, decodeArithmetic, wBytes, isFar } = problem;
  const { units, quads, spans } = problem.sizes;
  const [rounds, panelTiles] = [Math.ceil(m / tokens), Math.ceil(panelCount / panels)];
  const isWide = machine.lanes > FOUR;
  const dot = dotCost(machine, w);
  const dots = m * panelCount * units * quads;
  const scaling = m * panelCount * spans * (3 + least);
  const isRepeatedFree = machine.repeatsFromMemory && panels === 1;
  const repeats = isWide ? (isRepeatedFree ? 0 : quads) + 3 * spans + 1 : 2 * quads + 6;
  const xBytes = m * units * x.blockBytes;
  const loads = panelCount * rounds * quads * (w.bits / 8) + m * panelTiles * (quads + spans + 1);
  const beside = panelCount * rounds * decodeArithmetic + scaling + m * panelTiles * spans + EXPOSED_LOADS * loads;
  const again = isFar ? (isWide ? rounds - 1 : 0) : rounds;
  return {
    multiplies: dots * dot.multiplies + (isWide ? units * beside : 0),
    instructions: dots * dot.instructions + units * (panelCount * rounds * decode + scaling + m * panelTiles * repeats),
    chains: 8 * chainsOf(dot), // sums start afresh with every unit
    nearBytes: (2 * xBytes < machine.l1Bytes ? xBytes : xBytes * panelTiles) + wBytes * again,
    farBytes: isFar ? wBytes : 0,
    items: panelTiles,
  };
}

function diagonalWork(problem: Problem, schedule: DiagonalSchedule): Work {
  const { m, depth, w, sizes, machine, panelCount, least, decode, wBytes, isFar } = problem;
  const { units, quads, spans } = sizes;
  const fours = Math.ceil(m / FOUR);
  const [tiles, blocks] = [Math.ceil(fours / schedule.fours), Math.ceil(fours / schedule.block)];
  const multiplies = fours * FOUR * panelCount * units * quads;
  const perTile = quads * 4 + spans * (6 + 3 * least);
  const perFour = quads + spans * (4 * (3 + least) + 6);
  // Each chunk fetches a tile's sums and leaves its loop by a branch that is seldom foreseen.
  const starts = (CHUNK_START * depth) / (schedule.chunk * w.blockSize);
  const staging = blocks * panelCount * (decode + quads) + machine.threads * 2 * fours * (5 * quads + 24);
  const staged = m * units * tokenLayout(w, sizes).bytes;
  return {
    multiplies,
    instructions:
      multiplies + units * (panelCount * (tiles * perTile + fours * perFour) + staging) + starts * panelCount * tiles,
    chains: 8,
    nearBytes: (staged / FOUR) * Math.ceil(panelCount / schedule.panels) + (isFar ? 0 : wBytes * blocks),
    farBytes: isFar ? wBytes * blocks : 0,
    items: Math.ceil(panelCount / schedule.panels),
  };
}

/**
 * Per unit, token and panel `quads` dot products and 2 multiply-adds (3 with a minimum) a span, which share two units.
 * There are two units for loads, too. For a machine that repeats operands by itself some loads are no instructions.
 */
function repeatedWork(problem: Problem, { tileTokens, panels, chunk, block }: RepeatedSchedule): Work {
  const { m, depth, x, w, sizes, machine, panelCount, least, decode, decodeArithmetic, wBytes, isFar } = problem;
  const { units, quads, spans } = sizes;
  const dot = dotCost(machine, w);
  const [panelTiles, tiles, blocks] = [panelCount / panels, Math.ceil(m / tileTokens), Math.ceil(m / block)];
  const products = m * panelCount * units;
  const scaling = spans * (2 + least);
  const perToken = quads + spans * (2 + least + (w.offset === 0 ? 0 : 1));
  const perTile = panels * (quads + spans * (1 + least));
  const loads = units * panelTiles * (m * perToken + tiles * perTile);
  const freeLoads = machine.repeatsFromMemory && panels === 1 ? units * panelTiles * m * perToken : 0;
  const arithmetic = products * (quads * dot.multiplies + scaling);
  const starts = (panelTiles * tiles * depth) / (chunk * w.blockSize);
  const stages = units * panelCount * blocks;
  const farBytes = isFar ? wBytes * blocks : 0;
  const rows = m * units * (x.blockBytes + recordBytes(w, sizes));
  return {
    multiplies:
      Math.max(arithmetic, loads) +
      loads * EXPOSED_LOADS +
      stages * decodeArithmetic +
      farBytes * WAIT_PER_BYTE +
      starts * (CHUNK_START / 2),
    instructions:
      products * (quads * dot.instructions + scaling + spans) +
      (loads - freeLoads) +
      stages * (decode + quads) +
      units * machine.threads * m * RECORD +
      starts * CHUNK_START,
    chains: tileTokens * panels * chainsOf(dot),
    nearBytes: rows * panelTiles + wBytes * blocks - farBytes,
    farBytes,
    items: Math.ceil(panelTiles),
  };
}

function packedWork(problem: Problem, schedule: PackedSchedule): Work {
  if (inTileRegisters(schedule)) return tileRegisterWork(problem, schedule);
  if (isDirect(schedule)) return directWork(problem, schedule);
  return isDiagonal(schedule) ? diagonalWork(problem, schedule) : repeatedWork(problem, schedule);
}

/** Tiles whose sums, levels and one activation the registers hold. */
function directSchedules({ m, sizes, machine }: Problem): DirectSchedule[] {
  const candidates: DirectSchedule[] = [];
  for (const tokens of machine.lanes <= FOUR ? [1, 2, 3, 4] : [1, 2, 3, 4, 6, 8]) {
    for (const panels of [1, 2, 4]) {
      const registers = (sizes.spans + 1) * tokens * panels + panels + 1;
      if (tokens > Math.max(1, m) || registers >= machine.vectorRegisters) continue;
      candidates.push({ tokens, panels });
    }
  }
  return candidates;
}

/** Squares of tokens and rows; as many tokens are staged at once as half of L2 holds. */
function diagonalSchedules(problem: Problem): DiagonalSchedule[] {
  const { m, w, sizes, machine } = problem;
  const tokenBytes = Math.max(1, sizes.units * tokenLayout(w, sizes).bytes);
  const block = Math.max(2, Math.min(Math.ceil(m / FOUR), Math.floor(machine.l2Bytes / 2 / tokenBytes / 2) * 2));
  const candidates: DiagonalSchedule[] = [];
  for (const fours of [1, 2]) {
    for (const panels of [2, 4, 8]) {
      if (m <= FOUR * (fours - 1) || m < 2) continue;
      candidates.push({ fours, panels, chunk: chunkOf(problem, panels), block });
    }
  }
  return candidates;
}

/**
 * For 1 to 3 panels the most tokens that registers hold, and the number that cuts m evenly into as many tiles; even blocks
 * of tokens of which half of L2 holds rows and records.
 */
function repeatedSchedules(problem: Problem): RepeatedSchedule[] {
  const { m, x, w, sizes, machine } = problem;
  const tokenBytes = Math.max(1, sizes.units * (x.blockBytes + recordBytes(w, sizes)));
  const candidates: RepeatedSchedule[] = [];
  for (const panels of [1, 2, 3]) {
    let most = 0;
    while (tileRegisters(most + 1, panels) <= machine.vectorRegisters) most++;
    if (most === 0 || m < LEAST_TOKENS) continue;
    const even = Math.ceil(m / Math.ceil(m / most));
    for (const tileTokens of new Set([Math.min(most, m), even])) {
      const tiles = Math.ceil(m / tileTokens);
      const held = Math.max(1, Math.floor(machine.l2Bytes / 2 / tokenBytes / tileTokens));
      const block = Math.min(m, Math.ceil(tiles / Math.ceil(tiles / held)) * tileTokens);
      candidates.push({ tileTokens, panels, chunk: chunkOf(problem, panels), block });
    }
  }
  return candidates;
}

/** All candidates, best first. */
export function packedSchedules(request: KernelRequest): PackedSchedule[] {
  const problem = problemOf(request);
  const { machine } = request;
  const tiles = machine.lanes === FOUR ? diagonalSchedules(problem) : repeatedSchedules(problem);
  const candidates: PackedSchedule[] = [...directSchedules(problem), ...tiles, ...tileRegisterSchedules(problem)];
  return rankSchedules(candidates, (schedule) => packedWork(problem, schedule), machine);
}
