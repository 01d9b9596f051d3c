/** The same sources in a real browser: Chromium, cross-origin isolated, with a strict content policy. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle, findChromium, openPage, type Session } from './browser/page.ts';

const { goldens } = JSON.parse(readFileSync(new URL('../assets/tiny/goldens.json', import.meta.url), 'utf8')) as {
  goldens: { prompt: string; greedy_ids: number[] }[];
};
const golden = goldens[0]!;
const chromium = findChromium();
const required = process.env.BITLOOM_REQUIRE_BROWSER === '1';

describe.skipIf(!chromium && !required)('browser (skipped where no Chromium is installed)', () => {
  let session: Session;

  beforeAll(async () => {
    if (!chromium) throw new Error('BITLOOM_REQUIRE_BROWSER=1, but no Chromium is on the PATH.');
    session = await openPage(chromium, await bundle('entry.ts'));
  });
  afterAll(() => session?.close());

  test('the page is isolated and has the platform of browsers', async () => {
    expect(await session.page.evaluate('crossOriginIsolated')).toBe(true);
  });

  test('files are read by range into shared memory', async () => {
    const result = await session.page.evaluate('readConfig()');
    expect(result).toEqual({ platform: 'browser', bytes: 687, sizeBytes: 687, hiddenSize: 256 });
  });

  test.each([1, 2])('the embedded model gives the golden tokens with %i thread(s)', async (threads) => {
    const call = `generate(${JSON.stringify(golden.prompt)}, ${threads}, 24)`;
    const result = (await session.page.evaluate(call)) as { tokens: number[]; features: string[] };
    expect(result).toMatchObject({ device: 'wasm', threads, warnings: [] });
    expect(result.features).toContain('relaxed-simd');
    expect(result.tokens).toEqual(golden.greedy_ids.slice(0, 24));
  });

  test('without isolation one thread does the work, and says so once', async () => {
    const plain = await openPage(chromium!, await bundle('entry.ts'), false);
    const result = await plain.page.evaluate(`generate(${JSON.stringify(golden.prompt)}, 2, 4)`);
    await plain.close();
    expect(result).toMatchObject({ threads: 1, tokens: golden.greedy_ids.slice(0, 4) });
    expect((result as { warnings: string[] }).warnings).toEqual([expect.stringMatching(/^one-thread/)]);
  });
});
