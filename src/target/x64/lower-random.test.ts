/** Random kernels leave the same memory as machine code, as WebAssembly and by the interpreter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { platform } from '../../platform/index.ts';
import { detectFeatures } from '../wasm/features.ts';
import { availability, nativeHost } from './lower.fixture.ts';
import { RandomRuns } from './lower-random.fixture.ts';

const sets = (await availability()).filter(({ why }) => why === undefined);
const missing = (await availability()).flatMap(({ name, why }) => (why === undefined ? [] : [`${name}: ${why}`]));

/** Kernels that were compiled wrongly once. */
const FOUND: readonly number[] = [];

describe.skipIf(sets.length === 0)(
  `random kernels${missing.length > 0 ? ` (skipped: ${missing.join('; ')})` : ''}`,
  () => {
    let random: RandomRuns;
    beforeAll(async () => {
      detectFeatures(platform.wasm); // switches relaxed SIMD on where the engine hides it
      random = new RandomRuns(await nativeHost(), sets);
    });
    afterAll(() => random?.dispose());

    it('that were wrong once are right', async () => {
      for (const seed of FOUND) expect(await random.run(seed, 1)).toEqual([]);
    });

    it('of 5,000 seeds do what they mean', async () => {
      expect(await random.run(0, 5000, false), `see ${random.logPath} where the process ends`).toEqual([]);
      for (const { name } of sets) expect(random.runs.get(name), name).toBeGreaterThan(200);
      expect(random.runs.get('wasm')).toBeGreaterThan(50);
    });
  },
);
