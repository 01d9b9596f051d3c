/** For tests: every device that this machine offers, by name, so that one list of cases runs on all. */
import { createDevice } from './create-device.ts';
import type { Device } from './device.ts';

export const testDevices: readonly { name: string; create: () => Promise<Device> }[] = [
  { name: 'interpreter', create: () => createDevice('interpreter') },
  { name: 'wasm, 1 thread', create: () => createDevice('wasm', { threads: 1 }) },
  { name: 'wasm, 2 threads', create: () => createDevice('wasm', { threads: 2 }) },
];
