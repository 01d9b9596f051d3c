/** Asking for weights ahead of their use: streams from beyond the caches then come faster than the processor alone fetches them. */
import { add, type BufferParam, type Expr } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';

const LINE_BYTES = 64;
/** How far ahead of a stream its bytes are asked for: the nearest at which reading from memory was fastest. */
const AHEAD_BYTES = 1024;

/** Asks for `bytes` bytes that a stream, which is at `at` now, reads in a while. */
export function prefetchStream(k: KernelBuilder, buffer: BufferParam, at: Expr, bytes: number): void {
  for (let line = 0; line < bytes; line += LINE_BYTES) k.prefetch(buffer, add(at, AHEAD_BYTES + line));
}
