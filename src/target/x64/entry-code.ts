/** The frame of functions that C calls: what a calling convention wants kept is kept, the stack is aligned for vectors. */
import type { NativeConvention } from '../../platform/index.ts';
import { type Assembler, imm, type Register, r64, xmm } from './assembler/index.ts';

const [RBX, RSP, RBP, RSI, RDI] = [3, 4, 5, 6, 7];

interface Convention {
  /** Numbers of the general registers that hold the first arguments. */
  readonly parameters: readonly number[];
  /** General registers that a function must give back as they were, beside rbp. */
  readonly kept: readonly number[];
  /** Vector registers whose lower 128 bits it must give back. */
  readonly keptVectors: readonly number[];
  /** Bytes above the return address that a callee may use. */
  readonly homeBytes: number;
}

export const CONVENTIONS: Readonly<Record<NativeConvention, Convention>> = {
  'system-v': { parameters: [RDI, RSI, 2, 1, 8, 9], kept: [RBX, 12, 13, 14, 15], keptVectors: [], homeBytes: 0 },
  microsoft: {
    parameters: [1, 2, 8, 9],
    kept: [RBX, RSI, RDI, 12, 13, 14, 15],
    keptVectors: [6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    homeBytes: 32,
  },
};

const VECTOR_BYTES = 16;

/**
 * Writes a function: its frame of `frameBytes` (a multiple of 64) lies at the stack pointer, which is a multiple of 64 itself. `body`
 * may change every register but the stack pointer; its result is in rax.
 */
export function writeFunction(
  out: Assembler,
  convention: NativeConvention,
  frameBytes: number,
  body: (parameters: readonly Register[]) => void,
): void {
  const { parameters, kept, keptVectors } = CONVENTIONS[convention];
  const sp = r64(RSP);
  out.emit('push', r64(RBP));
  out.emit('mov', r64(RBP), sp);
  for (const id of kept) out.emit('push', r64(id));
  const vectorsAt = -8 * kept.length - VECTOR_BYTES * keptVectors.length;
  const place = (i: number) => ({ kind: 'mem' as const, base: RBP, displacement: vectorsAt + VECTOR_BYTES * i });
  if (keptVectors.length > 0) out.emit('sub', sp, imm(VECTOR_BYTES * keptVectors.length));
  for (const [i, id] of keptVectors.entries()) out.emit('vmovups', place(i), xmm(id));
  out.emit('and', sp, imm(-64));
  out.emit('sub', sp, imm(frameBytes + 64));
  const saved = { kind: 'mem' as const, base: RSP, displacement: frameBytes };
  out.emit('mov', saved, r64(RBP));
  body(parameters.map(r64));
  out.emit('vzeroupper');
  out.emit('mov', r64(RBP), saved);
  for (const [i, id] of keptVectors.entries()) out.emit('vmovups', xmm(id), place(i));
  out.emit('lea', sp, { kind: 'mem', base: RBP, displacement: -8 * kept.length });
  for (const id of [...kept].reverse()) out.emit('pop', r64(id));
  out.emit('pop', r64(RBP));
  out.emit('ret');
}
