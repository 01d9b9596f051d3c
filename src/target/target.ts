/**
 * The narrow interface between compiled programs and machines. The compiler lowers a graph to a
 * plan (a straight list of kernel calls over numbered buffers); a target turns it into code and runs it.
 */
import { BitloomError } from '../ir/error.ts';
import type { Kernel } from '../kernel/language.ts';
import type { Machine } from '../kernel/machine.ts';

/** Memory of a device. Freed by `dispose`, which may be called twice. */
export interface DeviceBuffer {
  readonly byteLength: number;
  /** A window of this memory, valid as long as the whole is; disposing it frees nothing. Throws INVALID_ARGUMENT. */
  slice(byteOffset: number, byteLength: number): DeviceBuffer;
  dispose(): void;
}

/** A file whose bytes are a device's memory as they lie: read by the system when they are used, and shared between processes. */
export interface MappedFile {
  readonly byteLength: number;
  /**
   * A buffer that may only be read. It stands for itself: the file stays mapped until it, all others and the file are
   * disposed. Throws INVALID_ARGUMENT, DISPOSED.
   */
  slice(byteOffset: number, byteLength: number): DeviceBuffer;
  dispose(): void;
}

/** Checks that a window lies in a buffer. Throws INVALID_ARGUMENT. */
export function checkWindow(buffer: Pick<DeviceBuffer, 'byteLength'>, byteOffset: number, byteLength: number): void {
  if (byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= buffer.byteLength) return;
  const message = `bytes ${byteOffset} to ${byteOffset + byteLength} are not in a buffer of ${buffer.byteLength} bytes`;
  throw new BitloomError('INVALID_ARGUMENT', message, { byteOffset, byteLength });
}

/** Where a step's buffer lies: in an argument of the plan, or in its arena of intermediates. */
export type BufferSlot =
  | { readonly kind: 'argument'; readonly index: number; readonly byteOffset: number }
  | { readonly kind: 'arena'; readonly byteOffset: number };

export interface PlanStep {
  readonly kernel: Kernel;
  /** Index into `Plan.slots` for each of the kernel's buffers. */
  readonly slots: readonly number[];
  /** Threads wait for each other after this step: a later step reads what others wrote here. */
  readonly barrier: boolean;
}

/** One compiled program for one set of shapes. */
export interface Plan {
  readonly name: string;
  readonly steps: readonly PlanStep[];
  readonly slots: readonly BufferSlot[];
  /** Number of buffers passed to `run`: inputs, constants, outputs. */
  readonly argumentCount: number;
  readonly arenaBytes: number;
}

/**
 * Awaited now and then during a run, between steps, so that whatever else waits for this thread gets its turn.
 * Where it throws, the rest of the plan does not run: what it writes is then of no use, and the run rejects likewise.
 */
export type Pause = () => Promise<void> | void;

export interface CompiledPlan {
  readonly plan: Plan;
  /** Bytes of generated code. */
  readonly codeBytes: number;
  /** Frees the arena and the code. */
  dispose(): void;
}

export interface Target {
  readonly name: string;
  readonly machine: Machine;
  /** Threads that run a plan together. */
  readonly threads: number;
  /** Uninitialised memory, 64-byte aligned. Throws OUT_OF_MEMORY. */
  allocate(byteLength: number): DeviceBuffer;
  /**
   * The same, holding zeros. Where it is left out, they have to be written.
   */
  allocateZeroed?(byteLength: number): DeviceBuffer;
  /** Holds a file's bytes without reading them, where the target can. Throws MISSING_FILE, BAD_FILE. */
  mapFile?(path: string): MappedFile;
  /** The buffer's memory as bytes: to fill from a file or to read results, without a copy. */
  bytes(buffer: DeviceBuffer): Uint8Array;
  compile(plan: Plan): Promise<CompiledPlan>;
  /** Runs a plan to its end on all threads, with pauses where there is something to do in them. Allocates nothing. */
  run(compiled: CompiledPlan, args: readonly DeviceBuffer[], pause?: Pause): Promise<void>;
  /** Bytes allocated and not freed; mapped files do not count. */
  readonly liveBytes: number;
  dispose(): void;
}
