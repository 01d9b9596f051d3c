/**
 * A roofline-like cost model that ranks schedules (Williams et al., Roofline, 2009): a candidate counts its work, the
 * machine's rates turn it into cycles. It orders dozens of candidates, so that a tuner, or nobody, need measure the rest.
 */
import type { FloatType } from './decode.ts';
import type { Machine } from './machine.ts';
import type { Schedule } from './template.ts';

/** What one kernel does in all, over all threads. Vector instructions are of the machine's lanes. */
export interface Work {
  /** Fused multiply-adds, or 8-bit dot products. */
  readonly multiplies: number;
  /** Vector instructions in all, multiplies and address arithmetic included. */
  readonly instructions: number;
  /** Sums that a multiply need not wait for: fewer than latency x rate of them leave units idle. */
  readonly chains: number;
  /** Bytes that come from L2. */
  readonly nearBytes: number;
  /** Bytes that come from beyond L2. */
  readonly farBytes: number;
  /** Pieces that are divided among the threads. */
  readonly items: number;
}

/** Instructions that widening a vector of each float type to f32 costs. */
export const WIDENING: Readonly<Record<FloatType, number>> = { f32: 0, f16: 9, bf16: 1 };

/** Rates of a current x86-64 core. Ranking needs their proportions only. */
const RATES = { multiplies: 2, multiplyLatency: 4, instructions: 4.5, nearBytes: 24, farBytes: 6 } as const;

/**
 * Cycles of one product of whole tiles, whatever of their 64 bytes of depth is in use: 1024 multiply-adds of bytes or 512 of
 * bf16 a cycle, where vectors make 128 and 32.
 */
export const TILE_DOT_CYCLES = 16;

/** The part of the shorter times that does not hide behind the longest. */
const EXPOSED = 0.15;

/** Cycles until the last thread is done: the longest of arithmetic, L2 and memory, and a part of the others. */
export function estimateCycles(work: Work, { threads, rates = RATES }: Machine): number {
  const { multiplies, instructions, chains, nearBytes, farBytes, items } = work;
  const rate = Math.min(RATES.multiplies, chains / RATES.multiplyLatency);
  const busiest = items === 0 ? 0 : Math.ceil(items / threads) / items;
  const arithmetic = Math.max(multiplies / rate, instructions / RATES.instructions) * busiest;
  const times = [arithmetic, (nearBytes / rates.nearBytes) * busiest, farBytes / rates.farBytes];
  const longest = Math.max(...times);
  return longest + EXPOSED * (times.reduce((sum, time) => sum + time, 0) - longest);
}

/** Candidates by estimated cycles, best first; equals stay in order. */
export function rankSchedules<S extends Schedule>(
  candidates: readonly S[],
  work: (schedule: S) => Work,
  machine: Machine,
): S[] {
  const rated = candidates.map((schedule) => ({ schedule, cycles: estimateCycles(work(schedule), machine) }));
  return rated.sort((a, b) => a.cycles - b.cycles).map(({ schedule }) => schedule);
}
