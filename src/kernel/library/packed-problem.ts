/** A product of quantised activations by packed panels in numbers: what all ways to compute it share (packed-schedules.ts). */
import { type NumberFormat, SUB_BLOCK } from '../../quant/number-format.ts';
import type { Machine } from '../machine.ts';
import { levelInstructions } from '../packed-block.ts';
import type { KernelRequest } from '../template.ts';
import { linearSizes } from './linear-sizes.ts';
import { hasLeast, panelBytes, type UnitSizes, unitSizes } from './packed-product.ts';
import { stagedUnitBytes } from './panel-stage.ts';

/** The part of the loads that delays arithmetic where there are two units for each. */
export const EXPOSED_LOADS = 0.25;

/** Instructions that fit the time in which a tile starts on another chunk of the depth. */
export const CHUNK_START = 100;

/** Instructions that lay out the terms of one unit of one token (token-records.ts). */
export const RECORD = 6;

/** Multiplications that fit half the time in which a byte comes from memory: decoding apart from products waits for it. */
export const WAIT_PER_BYTE = 1 / 6;

/** Tokens from which decoding panels apart from products may pay. */
export const LEAST_TOKENS = 4;

export interface Problem {
  readonly m: number;
  readonly depth: number;
  readonly x: NumberFormat;
  readonly w: NumberFormat;
  readonly sizes: UnitSizes;
  readonly machine: Machine;
  readonly panelCount: number;
  /** 1 where weights have a minimum or a zero point, else 0. */
  readonly least: number;
  /** Instructions that decode a unit of a panel, and those among them that compute. */
  readonly decode: number;
  readonly decodeArithmetic: number;
  /** Bytes of all panels, and whether they lie beyond L2. */
  readonly wBytes: number;
  readonly isFar: boolean;
}

export function problemOf(request: KernelRequest): Problem {
  const { m, n, depth } = linearSizes(request);
  const { machine } = request;
  const [x, w] = request.inputs.map((t) => t.dtype) as [NumberFormat, NumberFormat];
  const sizes = unitSizes(x, w, depth);
  const panelCount = Math.ceil(n / machine.lanes);
  const wBytes = panelCount * panelBytes(w, depth);
  const levels = ((4 * sizes.quads) / SUB_BLOCK) * levelInstructions(w);
  return {
    ...{ m, depth, x, w, sizes, machine, panelCount, wBytes },
    least: hasLeast(w) ? 1 : 0,
    decode: levels + sizes.quads * (w.bits / 8) + sizes.spans * 5 + 10,
    decodeArithmetic: levels + 3 * sizes.spans,
    isFar: wBytes > machine.l2Bytes,
  };
}

/** Blocks of the depth, at most `most`, of which `panels` staged panels fit half of L1. */
export function chunkOf({ w, sizes, machine }: Problem, panels: number): number {
  const blockBytes = sizes.unitsPerBlock * stagedUnitBytes(w, sizes);
  const chunk = Math.max(1, Math.floor(machine.l1Bytes / 2 / panels / blockBytes));
  return Math.min(chunk, Math.max(1, sizes.units / sizes.unitsPerBlock));
}
