/** The device that new tensors use when none is named: made on first use, changed by `setDefaultDevice`. */
import type { Device } from './device.ts';
import { WasmDevice } from './wasm-device.ts';

let current: Device | null = null;

export function defaultDevice(): Device {
  current ??= new WasmDevice();
  return current;
}

/** Makes later tensors use `device`. Tensors that exist stay where they are. */
export function setDefaultDevice(device: Device): void {
  current = device;
}
