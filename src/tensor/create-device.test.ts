/** Which device `auto` is: machine code where it runs, else WebAssembly, and why, told once where someone can do something about it. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type NativeSupport, platform } from '../platform/index.ts';
import { createDevice } from './index.ts';

afterEach(() => void vi.restoreAllMocks());

async function fallback(support: NativeSupport): Promise<{ name: string; warnings: string[] }> {
  vi.spyOn(platform, 'native').mockResolvedValue(support);
  const warnings: string[] = [];
  const device = await createDevice('auto', { threads: 1, onWarning: (message) => warnings.push(message) });
  device.dispose();
  return { name: device.name, warnings };
}

describe('a device for auto', () => {
  test('is wasm without a library that calls machine code, which is told once', async () => {
    const why = 'no library calls machine code: npm install koffi';
    const { name, warnings } = await fallback({ why, isFixable: true });
    expect(name).toBe('wasm');
    expect(warnings).toEqual([`wasm: machine code cannot run here: ${why}`]);
  });

  test('is wasm on other processors, where there is nothing to tell', async () => {
    const why = 'machine code is made for x64, and this Node is arm64';
    expect(await fallback({ why, isFixable: false })).toEqual({ name: 'wasm', warnings: [] });
  });

  test('that was asked for by name is had, or an error says why', async () => {
    vi.spyOn(platform, 'native').mockResolvedValue({ why: 'koffi is missing', isFixable: true });
    await expect(createDevice('x64')).rejects.toMatchObject({
      code: 'NO_DEVICE',
      message: expect.stringContaining('koffi is missing'),
    });
  });

  test.each(['gpu', '', undefined])('has a known name, unlike %s', async (name) => {
    await expect(createDevice(name as 'auto')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
