/** The device that computes where no operand lies on one: made on first use, changed by `setDefaultDevice`. */
import { createDevice } from './create-device.ts';
import type { Device } from './device.ts';

let current: Promise<Device> | null = null;

export function defaultDevice(): Promise<Device> {
  current ??= createDevice('auto');
  return current;
}

/** Makes later programs run on `device`; null: on one made anew on first use. Tensors that lie on another one stay there. */
export function setDefaultDevice(device: Device | null): void {
  current = device && Promise.resolve(device);
}
