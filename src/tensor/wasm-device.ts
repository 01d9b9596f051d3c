/** The WebAssembly device: graphs are compiled to one module each and run by all threads. */
import { compileGraph, type Donation, explain, type Program } from '../compile/index.ts';
import { type Dials, readDials } from '../ir/config.ts';
import type { Graph } from '../ir/graph.ts';
import type { Kernel } from '../kernel/language.ts';
import { kernelLibrary } from '../kernel/library/index.ts';
import { platform } from '../platform/index.ts';
import type { DeviceBuffer } from '../target/target.ts';
import { WasmTarget } from '../target/wasm/index.ts';
import type { DeviceOptions } from './create-device.ts';
import type { Device, DeviceProgram } from './device.ts';

export class WasmDevice implements Device {
  readonly name = 'wasm';
  readonly #target: WasmTarget;
  /** Kernels built so far: the programs of a model share most of theirs. */
  readonly #kernels = new Map<string, Kernel>();
  readonly #dials: Dials;

  private constructor(target: WasmTarget, dials: Dials) {
    this.#target = target;
    this.#dials = dials;
  }

  /** Throws NO_DEVICE where the engine has no SIMD. */
  static async create({
    threads,
    onWarning = (message) => console.warn(message),
  }: DeviceOptions = {}): Promise<WasmDevice> {
    const dials = readDials({
      BITLOOM_CHECK: platform.environment('BITLOOM_CHECK'),
      BITLOOM_DEBUG: platform.environment('BITLOOM_DEBUG'),
    });
    return new WasmDevice(await WasmTarget.create({ onWarning, ...(threads === undefined ? {} : { threads }) }), dials);
  }

  get threads(): number {
    return this.#target.machine.threads;
  }

  get threadsNote(): string | undefined {
    return this.#target.threadsNote;
  }

  get features(): readonly string[] {
    const { relaxedSimd, dotU8 } = this.#target.features;
    return [
      'simd128',
      ...(relaxedSimd ? ['relaxed-simd'] : []),
      ...(dotU8 ? ['dot-u8'] : []),
      ...(this.threads > 1 ? ['threads'] : []),
    ];
  }

  get liveBytes(): number {
    return this.#target.liveBytes;
  }

  allocate(byteLength: number): DeviceBuffer {
    return this.#target.allocate(byteLength);
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

  dispose(): void {
    this.#target.dispose();
  }
}
