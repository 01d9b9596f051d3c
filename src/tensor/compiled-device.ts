/** A device whose programs are compiled for a target: graphs become plans of kernels. */
import { compileGraph, type Donation, explain, type Program } from '../compile/index.ts';
import type { TuneOptions, TuneReport } from '../compile/tune/index.ts';
import { type Dials, readDials } from '../ir/config.ts';
import type { Graph } from '../ir/graph.ts';
import type { Kernel } from '../kernel/language.ts';
import { kernelLibrary } from '../kernel/library/index.ts';
import { platform } from '../platform/index.ts';
import type { DeviceBuffer, MappedFile, Target } from '../target/target.ts';
import type { Device, DeviceName, DeviceProgram } from './device.ts';
import type { DeviceTuning } from './tuning.ts';

/** The dials of this process's environment. */
export const processDials = (): Dials =>
  readDials({
    BITLOOM_CHECK: platform.environment('BITLOOM_CHECK'),
    BITLOOM_DEBUG: platform.environment('BITLOOM_DEBUG'),
  });

/** What a device tells of its target. */
export interface DeviceTraits {
  readonly name: DeviceName;
  readonly features: readonly string[];
  readonly threadsNote?: string | undefined;
  readonly limitBytes?: number | undefined;
}

export class CompiledDevice implements Device {
  readonly name: DeviceName;
  readonly features: readonly string[];
  readonly threadsNote: string | undefined;
  readonly limitBytes: number | undefined;
  readonly mapFile: ((path: string) => MappedFile) | undefined;
  readonly #target: Target;
  /** Kernels built so far: the programs of a model share most of theirs. */
  readonly #kernels = new Map<string, Kernel>();
  readonly #dials: Dials;

  readonly #tuning: DeviceTuning | undefined;

  constructor(
    target: Target,
    { name, features, threadsNote, limitBytes }: DeviceTraits,
    dials: Dials,
    tuning?: DeviceTuning,
  ) {
    this.#target = target;
    this.name = name;
    this.features = features;
    this.threadsNote = threadsNote;
    this.limitBytes = limitBytes;
    this.mapFile = target.mapFile?.bind(target);
    this.#dials = dials;
    this.#tuning = tuning;
  }

  get threads(): number {
    return this.#target.threads;
  }

  get panelRows(): number {
    return this.#target.machine.lanes;
  }

  get liveBytes(): number {
    return this.#target.liveBytes;
  }

  allocate(byteLength: number): DeviceBuffer {
    return this.#target.allocate(byteLength);
  }

  allocateZeroed(byteLength: number): DeviceBuffer {
    const target = this.#target;
    if (target.allocateZeroed !== undefined) return target.allocateZeroed(byteLength);
    const buffer = target.allocate(byteLength);
    target.bytes(buffer).fill(0);
    return buffer;
  }

  bytes(buffer: DeviceBuffer): Uint8Array {
    return this.#target.bytes(buffer);
  }

  async compile(graph: Graph, options: { donate?: readonly Donation[]; name?: string } = {}): Promise<DeviceProgram> {
    const program = await compileGraph(graph, this.#target, {
      ...options,
      templates: kernelLibrary,
      kernels: this.#kernels,
      check: this.#dials.check,
      ...(this.#tuning && { chooseSchedule: this.#tuning.choose, rates: this.#tuning.rates }),
    });
    this.#tell(program);
    return {
      inputs: program.inputs,
      outputs: program.outputs,
      run: (inputs, outputs, pause) => program.run(inputs, outputs, pause),
      explain: () => explain(program.report),
      dispose: () => program.dispose(),
    };
  }

  /** Tells of a program as much as `BITLOOM_DEBUG` asks for. */
  #tell({ report }: Program): void {
    const { debug } = this.#dials;
    if (debug === 0) return;
    const text = explain(report, { kernels: debug >= 3 });
    console.error(debug === 1 ? text.slice(0, text.indexOf('\n## ')) : text);
  }

  get untunedCount(): number {
    return this.#tuning?.openCount ?? 0;
  }

  async tune(options: TuneOptions = {}): Promise<TuneReport> {
    return this.#tuning?.tune(this.#target, options) ?? { measured: 0, changed: 0, left: 0 };
  }

  dispose(): void {
    this.#target.dispose();
  }
}
