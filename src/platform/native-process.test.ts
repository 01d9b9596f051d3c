/** The native host in processes of their own: what guard pages do, threads of Node side by side, and `node:ffi`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const { BITLOOM_NODE_NEWEST: newest } = process.env;
const isHere = process.platform === 'linux' && process.arch === 'x64';
const folder = mkdtempSync(join(tmpdir(), 'bitloom-native-'));
const program = join(folder, 'program.mjs');

beforeAll(() => {
  const fixture = fileURLToPath(new URL('native-process.fixture.ts', import.meta.url));
  buildSync({ entryPoints: [fixture], outfile: program, bundle: true, format: 'esm', platform: 'node' });
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'), 'dir');
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(node: string, task: string, library: string, argument = 0) {
  const { signal, stdout, stderr } = spawnSync(node, [program, task, library, String(argument)], { encoding: 'utf8' });
  return { signal, result: stdout === '' ? stderr : (JSON.parse(stdout) as unknown) };
}

describe.skipIf(!isHere)('koffi (skipped but on Linux x64)', () => {
  test('memory between guards ends where it says', () => {
    const outcomes = [0, 4159, 4160, -1 - 4096].map((offset) => run(process.execPath, 'store', 'koffi', offset));
    expect(outcomes.slice(0, 2)).toEqual([
      { signal: null, result: 7 },
      { signal: null, result: 7 },
    ]);
    expect(outcomes.slice(2).map(({ signal }) => signal)).toEqual(['SIGSEGV', 'SIGSEGV']);
  });

  test('every thread of Node has its host, all at once', () => {
    expect(run(process.execPath, 'workers', 'koffi')).toEqual({ signal: null, result: 4 * 101 });
  });
});

describe.skipIf(!isHere || !newest)('node:ffi (skipped where BITLOOM_NODE_NEWEST does not name a Node)', () => {
  test.each(['koffi', 'node:ffi'])('%s calls code in the newest Node', (library) => {
    expect(run(newest!, 'call', library)).toEqual({ signal: null, result: [126, 4, 6 << 20, 0] });
    expect(run(newest!, 'refuse', library).result).toContain('mmap: ENOMEM');
  });

  test('guards and threads are the same', () => {
    expect(run(newest!, 'store', 'node:ffi', 4159)).toEqual({ signal: null, result: 7 });
    expect(run(newest!, 'store', 'node:ffi', 4160).signal).toBe('SIGSEGV');
    expect(run(newest!, 'workers', 'node:ffi')).toEqual({ signal: null, result: 4 * 101 });
  });
});
