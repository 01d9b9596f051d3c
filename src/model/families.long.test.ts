/** Every case of every family, compiled: biases, windows, rope variants, tied and untied, dense layers among experts. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { setDefaultDevice } from '../tensor/default-device.ts';
import { createDevice, type Device } from '../tensor/index.ts';
import { distancesFromReference, familyCases } from './testing/index.ts';

let device: Device;
beforeAll(async () => {
  device = await createDevice('wasm', { threads: 2 });
  setDefaultDevice(device);
});
afterAll(() => device.dispose());

test.each(familyCases)('$name on wasm', async (one) => {
  const cuts = [[24], [17, 5, 1, 1], [3, 8, 13]];
  for (const distance of await distancesFromReference(one, cuts)) expect(distance).toBeLessThan(2e-5);
});
