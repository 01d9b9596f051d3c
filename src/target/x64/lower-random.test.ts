/** Random kernels leave the same memory as machine code, as WebAssembly and by the interpreter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { platform } from '../../platform/index.ts';
import { detectFeatures } from '../wasm/features.ts';
import { availability, nativeHost } from './lower.fixture.ts';
import { RandomRuns } from './lower-random.fixture.ts';

const all = await availability();
const sets = all.filter(({ why }) => why === undefined);
const missing = all.flatMap(({ name, why }) => (why === undefined ? [] : [`${name}: ${why}`]));

/**
 * Kernels that each of these mistakes makes wrong: values that wait past a store or a change of their address, sums and
 * constants that outlive what they are made from or are loaded on one road only, results that overwrite their operands,
 * operands taken twice, aligned loads, offsets below zero read as unsigned, shifts by more than 31.
 */
const TELLING: readonly number[] = [4, 6, 21, 26, 35, 39, 147, 231, 277, 653, 1425, 3707, 3824];

describe.skipIf(sets.length === 0)(
  `random kernels${missing.length > 0 ? ` (skipped: ${missing.join('; ')})` : ''}`,
  () => {
    let random: RandomRuns;
    beforeAll(async () => {
      detectFeatures(platform.wasm); // switches relaxed SIMD on where the engine hides it
      random = new RandomRuns(await nativeHost(), sets);
    });
    afterAll(() => random?.dispose());

    it('that tell common mistakes do what they mean with every feature set', async () => {
      for (const seed of TELLING) expect(await random.run(seed, 1)).toEqual([]);
    });

    it('of 5,000 seeds do what they mean', async () => {
      expect(await random.run(0, 5000, false), `see ${random.logPath} where the process ends`).toEqual([]);
      for (const { name } of sets) expect(random.runs.get(name), name).toBeGreaterThan(200);
      expect(random.runs.get('wasm')).toBeGreaterThan(50);
    });
  },
);
