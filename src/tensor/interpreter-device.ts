/** The reference device: runs graphs through the interpreter, one thread, no compilation. */
import type { TuneReport } from '../compile/tune/index.ts';
import type { Graph } from '../ir/graph.ts';
import { interpret } from '../ir/interpreter/interpret.ts';
import { printGraph } from '../ir/printer.ts';
import { byteLength } from '../ir/shape.ts';
import { checkWindow, type DeviceBuffer } from '../target/target.ts';
import type { Device, DeviceProgram } from './device.ts';

class HostBuffer implements DeviceBuffer {
  readonly bytes: Uint8Array;
  readonly #release: (byteLength: number) => void;
  #isDisposed = false;

  constructor(bytes: Uint8Array, release: (byteLength: number) => void) {
    this.bytes = bytes;
    this.#release = release;
  }

  get byteLength(): number {
    return this.bytes.byteLength;
  }

  slice(byteOffset: number, byteLength: number): DeviceBuffer {
    checkWindow(this, byteOffset, byteLength);
    return new HostBuffer(this.bytes.subarray(byteOffset, byteOffset + byteLength), () => {});
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#release(this.byteLength);
  }
}

export class InterpreterDevice implements Device {
  readonly name = 'interpreter';
  readonly threads = 1;
  readonly panelRows: number = 4;
  readonly features: readonly string[] = [];
  readonly untunedCount = 0;
  liveBytes = 0;

  allocate(byteLength: number): DeviceBuffer {
    this.liveBytes += byteLength;
    return new HostBuffer(new Uint8Array(byteLength), (bytes) => {
      this.liveBytes -= bytes;
    });
  }

  allocateZeroed(byteLength: number): DeviceBuffer {
    return this.allocate(byteLength);
  }

  bytes(buffer: DeviceBuffer): Uint8Array {
    return (buffer as HostBuffer).bytes;
  }

  async compile(graph: Graph): Promise<DeviceProgram> {
    const inputs = graph.inputs.map((value) => value.type);
    const outputs = graph.outputs.map((value) => value.type);
    return {
      inputs,
      outputs,
      run: async (inputBuffers, outputBuffers) => {
        const results = interpret(
          graph,
          inputs.map((type, i) => ({ type, bytes: this.bytes(inputBuffers[i]!).subarray(0, byteLength(type)) })),
        );
        results.forEach((result, i) => this.bytes(outputBuffers[i]!).set(result.bytes));
      },
      explain: () => printGraph(graph),
      dispose() {},
    };
  }

  async tune(): Promise<TuneReport> {
    return { measured: 0, changed: 0, left: 0 };
  }

  dispose(): void {}
}
