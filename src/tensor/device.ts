/**
 * Where tensor programs run. A device owns memory and turns graphs into programs; `x64` and `wasm` compile
 * them, `interpreter` executes their meaning in plain loops.
 */
import type { Donation } from '../compile/index.ts';
import type { TuneOptions, TuneReport } from '../compile/tune/index.ts';
import type { Graph } from '../ir/graph.ts';
import type { TensorType } from '../ir/shape.ts';
import type { DeviceBuffer, MappedFile, Pause } from '../target/target.ts';

export type DeviceName = 'x64' | 'wasm' | 'interpreter';

/** A graph made runnable for one device. */
export interface DeviceProgram {
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  /**
   * Runs on buffers of the given types; donated outputs are the inputs' own buffers. Allocates nothing. The
   * interpreter does not pause.
   */
  run(inputs: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[], pause?: Pause): Promise<void>;
  /** What was generated, for people: kernels, fusions, memory. */
  explain(): string;
  dispose(): void;
}

export interface Device {
  readonly name: DeviceName;
  /** Threads that work on one program. */
  readonly threads: number;
  /** Why there are not more threads, where there could be. */
  readonly threadsNote?: string | undefined;
  /** Rows of packed weights that its kernels read together: weights lie in panels of as many (`toPanels`). */
  readonly panelRows: number;
  /** Hardware features in use, by name. */
  readonly features: readonly string[];
  /** Bytes allocated and not freed; mapped files do not count. */
  readonly liveBytes: number;
  /** Bytes that it can hold at most, whatever the machine has left; undefined where nothing but the machine limits it. */
  readonly limitBytes?: number | undefined;
  /** Throws OUT_OF_MEMORY with needed and available bytes. */
  allocate(byteLength: number): DeviceBuffer;
  /** The same, holding zeros: those that the system gives anyway are not written again. */
  allocateZeroed(byteLength: number): DeviceBuffer;
  /** Holds a file's bytes without reading them, where the device can. Throws MISSING_FILE, BAD_FILE. */
  readonly mapFile?: ((path: string) => MappedFile) | undefined;
  /** The buffer's memory itself: fill it or read it without a copy. */
  bytes(buffer: DeviceBuffer): Uint8Array;
  compile(graph: Graph, options?: { donate?: readonly Donation[]; name?: string }): Promise<DeviceProgram>;
  /** Kernels in use whose best schedules were not measured on this machine yet. */
  readonly untunedCount: number;
  /**
   * Measures the best few schedules of such kernels, and keeps which was fastest for this process and later ones.
   * Programs that were compiled before stay as they are. Nothing else may run on the device meanwhile.
   */
  tune(options?: TuneOptions): Promise<TuneReport>;
  dispose(): void;
}
