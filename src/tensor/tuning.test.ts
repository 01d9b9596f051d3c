/** Tuning a real device: what it finds is in a file, and the next device takes it from there. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { platform } from '../platform/index.ts';
import { createDevice, jit, numpy as np, type Tensor } from './index.ts';

const support = await platform.native();
const why = 'why' in support ? ` (skipped: ${support.why})` : '';

describe.skipIf(why !== '')(`tuning${why}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-tuning-'));
  const before = process.env.BITLOOM_TUNING;
  beforeAll(() => {
    process.env.BITLOOM_TUNING = folder;
  });
  afterAll(() => {
    if (before === undefined) delete process.env.BITLOOM_TUNING;
    else process.env.BITLOOM_TUNING = before;
    rmSync(folder, { recursive: true });
  });

  test('measures what programs use, keeps it, and spares it the next time', async () => {
    const product = jit((a: Tensor, b: Tensor) => np.matmul(a, b));
    const results: Float32Array[] = [];
    for (const round of [0, 1]) {
      const device = await createDevice('x64', { threads: 1 });
      const values = Float32Array.from({ length: 192 * 192 }, (_, i) => (i % 13) - 6);
      const a = np.array(values, { shape: [192, 192], device });
      results.push((await (await product(a, a)).data()) as Float32Array);
      expect(device.untunedCount).toBe(1 - round);
      const report = await device.tune({ budgetMs: 500 });
      expect(report).toMatchObject({ measured: 1 - round, left: 0 });
      expect(device.untunedCount).toBe(0);
      device.dispose();
    }
    expect(results[1]).toEqual(results[0]); // small integers: exact in any order
    const [file] = readdirSync(folder);
    const record = JSON.parse(readFileSync(join(folder, file!), 'utf8'));
    expect(Object.keys(record.schedules)).toHaveLength(1);
    expect(record.rates.nearBytes).toBeGreaterThan(record.rates.farBytes);
  });

  test('a deterministic device is not tuned', async () => {
    const device = await createDevice('x64', { threads: 1, isDeterministic: true });
    expect(await device.tune()).toEqual({ measured: 0, changed: 0, left: 0 });
    device.dispose();
  });
});
