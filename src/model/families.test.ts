/** Every family against PyTorch's logits: a prompt in one step, and in uneven steps over a cache. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setDefaultDevice } from '../tensor/default-device.ts';
import { createDevice, type Device } from '../tensor/index.ts';
import { modelFamilies } from './index.ts';
import { distancesFromReference, type FamilyCase, familyCases } from './testing/index.ts';

/** One case of each architecture; families.long.test.ts runs all cases, cut in all ways, on all devices. */
const firstCases = modelFamilies.map(({ architectures }) => {
  const isOf = ({ config }: FamilyCase) => (config.architectures as string[])[0] === architectures[0];
  return familyCases.find(isOf)!;
});

const devices = [
  { name: 'interpreter', cases: familyCases, cuts: [[24]], create: () => createDevice('interpreter') },
  { name: 'wasm', cases: firstCases, cuts: [[17, 5, 1, 1]], create: () => createDevice('wasm', { threads: 2 }) },
];

describe.each(devices)('families on $name', ({ create, cases, cuts }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
    setDefaultDevice(device);
  });
  afterAll(() => {
    setDefaultDevice(null);
    return device.dispose();
  });

  test.each(cases)('$name', async (one) => {
    for (const distance of await distancesFromReference(one, cuts)) expect(distance).toBeLessThan(2e-5);
  });
});
