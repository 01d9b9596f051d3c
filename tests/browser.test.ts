/** The same sources in a real browser: Chromium, cross-origin isolated, with a strict content policy. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle, findChromium, openPage, type Session } from './browser/page.ts';

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
});
