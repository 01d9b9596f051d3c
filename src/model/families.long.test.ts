/** Every case of every family on every device: biases, windows, rope variants, tied and untied, dense layers among experts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setDefaultDevice } from '../tensor/default-device.ts';
import { testDevices } from '../tensor/devices.fixture.ts';
import type { Device } from '../tensor/index.ts';
import { distancesFromReference, familyCases } from './testing/index.ts';

describe.each(testDevices)('families on $name', ({ create }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
    setDefaultDevice(device);
  });
  afterAll(() => {
    setDefaultDevice(null);
    return device.dispose();
  });

  test.each(familyCases)('$name', async (one) => {
    const cuts = [[24], [17, 5, 1, 1], [3, 8, 13]];
    for (const distance of await distancesFromReference(one, cuts)) expect(distance).toBeLessThan(2e-5);
  });
});
