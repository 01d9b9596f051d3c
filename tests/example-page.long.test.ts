/** The example page as a visitor uses it: keys, streaming, stopping, failures; under its own headers, without remote requests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from './browser/gguf-file.ts';
import { findChromium, launch } from './browser/page.ts';

const chromium = findChromium();
const server = fileURLToPath(new URL('../examples/page/serve.js', import.meta.url));

describe.skipIf(!chromium)('the example page (skipped where no Chromium is installed)', () => {
  let browser: Browser;
  let page: Page;
  let process: ChildProcess;
  let address: string;
  const requests: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    process = spawn(globalThis.process.execPath, [server, '0']);
    address = await new Promise((resolve) => {
      process.stdout?.once('data', (line) => resolve(String(line).trim()));
    });
    browser = await launch(chromium!);
    page = await browser.newPage();
    page.on('request', (request) => requests.push(request.url()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(address);
  });
  afterAll(async () => {
    await browser?.close();
    process?.kill();
  });
  const text = async (selector: string): Promise<string> => (await page.textContent(selector)) ?? '';
  const ready = () => page.locator('#go:not([disabled])').waitFor({ timeout: 60_000 });

  test('loads the embedded model and says what it needs and runs on', async () => {
    expect(await text('#machine')).toContain('threads are allowed');
    await page.click('#embedded');
    await ready();
    expect(await text('#facts')).toMatch(/7\.0 million parameters.*MiB: weights 13\.3 MiB.*threads\d.*relaxed-simd/);
    expect(await page.isHidden('#loading')).toBe(true);
  });

  test('streams a reply by Ctrl+Enter, and Escape stops it', async () => {
    await page.fill('#tokens', '400');
    await page.focus('#prompt');
    await page.keyboard.press('Control+Enter');
    await expect.poll(() => text('#speed'), { timeout: 30_000 }).toMatch(/^\d+ tokens, \d+\.\d a second$/);
    await page.keyboard.press('Escape');
    await ready();
    expect((await text('#reply')).length).toBeGreaterThan(0);
    await page.fill('#tokens', '5');
    await page.click('#go');
    await expect.poll(() => text('#speed'), { timeout: 30_000 }).toMatch(/^5 tokens at .*ended at the limit$/);
  });

  test('opens a picked file in the place of the model before', async () => {
    const file = await writeTinyGguf('Q8_0');
    await page.setInputFiles('#file', file.path);
    await ready();
    file.remove();
    expect(await text('#facts')).toMatch(/model\.gguf — LlamaForCausalLM, 7\.0 million parameters in Q8_0/);
  });

  test('asked nothing of other machines, and met no policy on its way', () => {
    expect(requests.filter((url) => !url.startsWith(address) && !url.startsWith('data:'))).toEqual([]);
    // Files that a model may have and this one has not are looked for.
    expect(complaints.filter((complaint) => !complaint.includes('404'))).toEqual([]);
  });

  test('tells a failure by its code', async () => {
    await page.fill('#name', './no-such-model.gguf');
    await page.keyboard.press('Enter');
    await expect.poll(() => text('#error'), { timeout: 30_000 }).toMatch(/^MISSING_FILE: /);
  });
});
