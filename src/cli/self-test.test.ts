import { expect, test } from 'vitest';
import { createDevice } from '../tensor/index.ts';
import { selfTest } from './self-test.ts';

test('the interpreter agrees with itself, and a device that computes wrongly is found out', async () => {
  const device = await createDevice('interpreter');
  const results = await selfTest(device);
  expect(results.length).toBeGreaterThan(10);
  expect(results.filter((result) => !result.passed)).toEqual([]);
  const broken = Object.create(device, {
    bytes: { value: (buffer: never) => device.bytes(buffer).map((byte) => byte ^ 1) },
  });
  expect((await selfTest(broken)).every((result) => !result.passed)).toBe(true);
  device.dispose();
});
