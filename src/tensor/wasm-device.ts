/** The WebAssembly device: graphs are compiled to one module each and run by all threads. */
import { compileGraph } from '../compile/index.ts';
import type { Graph } from '../ir/graph.ts';
import type { DeviceBuffer } from '../target/target.ts';
import { WasmTarget } from '../target/wasm/index.ts';
import type { DeviceOptions } from './create-device.ts';
import type { Device, DeviceProgram, Donation } from './device.ts';

export class WasmDevice implements Device {
  readonly name = 'wasm';
  readonly #target: WasmTarget;

  constructor(options: DeviceOptions = {}) {
    this.#target = new WasmTarget(options);
  }
}
