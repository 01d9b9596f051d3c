/** Many more random kernels than in the quick suite, each for every feature set of this machine. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { platform } from '../../platform/index.ts';
import { detectFeatures } from '../wasm/features.ts';
import { availability, nativeHost } from './lower.fixture.ts';
import { RandomRuns } from './lower-random.fixture.ts';

const sets = (await availability()).filter(({ why }) => why === undefined);

describe.skipIf(sets.length === 0)('random kernels (skipped where no machine code runs)', () => {
  let random: RandomRuns;
  beforeAll(async () => {
    detectFeatures(platform.wasm);
    random = new RandomRuns(await nativeHost(), sets);
  });
  afterAll(() => random?.dispose());

  it.each(Array.from({ length: 20 }, (_, i) => 5000 + 5000 * i))(
    'of 5,000 seeds from %i',
    { timeout: 600_000 },
    async (from) => {
      expect(await random.run(from, 5000), `see ${random.logPath} where the process ends`).toEqual([]);
    },
  );
});
