/** Makes a device by name. */
import { BitloomError } from '../ir/error.ts';
import type { Device, DeviceName } from './device.ts';
import { InterpreterDevice } from './interpreter-device.ts';
import { WasmDevice } from './wasm-device.ts';

export interface DeviceOptions {
  /** Default: as many as the machine has cores. */
  readonly threads?: number;
  /** Hears of each fallback once, by name. Default: `console.warn`. */
  readonly onWarning?: (message: string) => void;
}

/** `auto` takes the fastest device that runs here. Throws INVALID_ARGUMENT, NO_DEVICE. */
export async function createDevice(name: DeviceName | 'auto', options: DeviceOptions = {}): Promise<Device> {
  const { threads } = options;
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) {
    throw new BitloomError('INVALID_ARGUMENT', `threads must be a whole number from 1 on, not ${threads}`, { threads });
  }
  if (name === 'interpreter') return new InterpreterDevice();
  if (name === 'wasm' || name === 'auto') return WasmDevice.create(options);
  throw new BitloomError('INVALID_ARGUMENT', `device '${String(name)}' is not one of auto, wasm, interpreter`, {
    device: name,
  });
}
