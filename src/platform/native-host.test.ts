/** The native host on this machine: code that runs, memory that both sides see, files, threads. */
import { constants } from 'node:buffer';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import { platform as browser } from './browser.ts';
import type { NativeHost } from './native-host.ts';
import { platform } from './node.ts';

const isHere = process.platform === 'linux' && process.arch === 'x64';

/** lea eax, [rdi+rsi]; ret */
const ADD = [0x8d, 0x04, 0x37, 0xc3];
/** lea rax, [rdi+rsi]; add rax, rdx; add rax, rcx; add rax, r8; add rax, r9; shr rax, 32; ret */
const HIGH_SUM = [
  0x48, 0x8d, 0x04, 0x37, 0x48, 0x01, 0xd0, 0x48, 0x01, 0xc8, 0x4c, 0x01, 0xc0, 0x4c, 0x01, 0xc8, 0x48, 0xc1, 0xe8,
  0x20, 0xc3,
];
/** mov eax, [rdi]; inc dword [rdi]; ret */
const READ_AND_COUNT = [0x8b, 0x07, 0xff, 0x07, 0xc3];
/** pause; cmp dword [rdi], 0; je back; lock inc dword [rdi+4]; ret */
const WAIT_AND_COUNT = [0xf3, 0x90, 0x83, 0x3f, 0x00, 0x74, 0xf9, 0xf0, 0xff, 0x47, 0x04, 0xc3];

function codeOf(action: () => unknown): string {
  try {
    action();
    return 'no error';
  } catch (error) {
    return error instanceof BitloomError ? error.code : String(error);
  }
}

/** The line of /proc that says what may be done at an address. */
function mapping(address: number, table = 'maps'): string | undefined {
  const entries = readFileSync(`/proc/self/${table}`, 'utf8').split(/\n(?=[0-9a-f]+-)/);
  return entries.find((entry) => {
    const [start, end] = entry.split(/[- ]/).map((text) => Number.parseInt(text, 16));
    return start! <= address && address < end!;
  });
}
const statusOf = (field: string): number =>
  Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

test('pages have no native host', async () => {
  expect(await browser.native()).toEqual({ why: 'pages cannot run machine code', isFixable: false });
});

describe.skipIf(!isHere)('Linux on x64 (skipped elsewhere)', () => {
  let host: NativeHost;
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-native-'));
  const map = (code: readonly number[]): number => host.mapCode(Uint8Array.from(code)).address;

  beforeAll(async () => {
    const support = await platform.native();
    if ('why' in support) throw new Error(support.why);
    host = support.host;
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('says what it is, and is one', async () => {
    expect(host).toMatchObject({ library: 'koffi', system: 'linux', convention: 'system-v' });
    expect(host.sleep).toEqual({ kind: 'futex' });
    expect(await platform.native()).toEqual({ host });
  });

  describe('code', () => {
    test('runs with numbers of 32 bits and 64', () => {
      const add = host.function(map(ADD), 2);
      expect([add(3, 4), add(-5, 2), add(2 ** 31, 0), add(2 ** 40 + 1, 2)]).toEqual([7, -3, -(2 ** 31), 3]);
      const sum = host.function(map(HIGH_SUM), 6);
      expect(sum(2 ** 33, 2 ** 34, 2 ** 35, 2 ** 36, 2 ** 37, 2 ** 38)).toBe(126);
      expect(sum(2 ** 32 - 1, 1, 2 ** 52, 0, 0, 0)).toBe(2 ** 20 + 1);
      expect(host.function(map([0xb8, 42, 0, 0, 0, 0xc3]), 0)()).toBe(42);
    });

    test('takes six arguments at most', () => {
      for (const count of [-1, 1.5, 7]) expect(codeOf(() => host.function(0, count))).toBe('INVALID_ARGUMENT');
    });

    test('lies in pages that nobody may write', () => {
      const code = host.mapCode(Uint8Array.from({ length: 5000 }, () => 0xc3));
      expect(mapping(code.address)).toMatch(/ r-xp /);
      expect(mapping(code.address + 4999)).toMatch(/ r-xp /);
      expect(host.function(code.address + 4999, 0)()).toEqual(expect.any(Number));
      code.dispose();
      code.dispose();
      expect(mapping(code.address) ?? '').not.toMatch(/ r-xp 00000000 00:00 0 *$/);
      expect(codeOf(() => host.mapCode(new Uint8Array(0)))).toBe('INVALID_ARGUMENT');
    });

    test('is found by functions when everything that made them was collected', async () => {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      const memory = host.allocate(4);
      const read = (() => host.function(map(READ_AND_COUNT), 1))();
      for (let i = 0; i < 5; i++) {
        for (let garbage = 0; garbage < 1000; garbage++) host.function(memory.address + read(memory.address), 1);
        collect();
        await platform.nextTurn();
      }
      expect(read(memory.address)).toBe(5000);
      expect(new Int32Array(memory.bytes.buffer)[0]).toBe(5001);
      memory.dispose();
    });
  });

  describe('memory', () => {
    test('starts as zeros at a page, and both sides see it', () => {
      const read = host.function(map(READ_AND_COUNT), 1);
      for (const byteLength of [1, 4095, 4096, 4097, 1 << 20]) {
        const memory = host.allocate(byteLength);
        expect(memory.address % 4096).toBe(0);
        expect(memory.bytes).toBe(memory.bytes);
        expect([memory.byteLength, memory.bytes.length]).toEqual([byteLength, byteLength]);
        expect(memory.bytes.every((byte) => byte === 0)).toBe(true);
        memory.bytes[0] = 0x29;
        expect(read(memory.address)).toBe(0x29);
        expect(memory.view(0, 1)[0]).toBe(0x2a);
        memory.dispose();
      }
    });

    test('of many bytes begins at a huge page and asks for more', () => {
      const memory = host.allocate((5 << 20) + 1);
      expect(memory.address % (1 << 21)).toBe(0);
      expect(mapping(memory.address, 'smaps')).toMatch(/VmFlags:.* hg\b/);
      memory.bytes[5 << 20] = 1;
      memory.dispose();
    });

    test('may be longer than the arrays of the engine', () => {
      const memory = host.allocate(5 * 2 ** 30);
      const last = memory.view(memory.byteLength - 4, 4);
      last[0] = 9;
      expect(host.function(map(READ_AND_COUNT), 1)(memory.address + memory.byteLength - 4)).toBe(9);
      expect(last[0]).toBe(10);
      const whole = codeOf(() => memory.bytes);
      expect(whole).toBe(memory.byteLength > constants.MAX_LENGTH ? 'UNSUPPORTED_FEATURE' : 'no error');
      expect(codeOf(() => memory.view(memory.byteLength - 4, 5))).toBe('INVALID_ARGUMENT');
      memory.dispose();
    });

    test('is given back, once', () => {
      const before = statusOf('VmSize');
      for (let i = 0; i < 100; i++) {
        const [memory, guarded] = [host.allocate(64 << 20), host.allocateGuarded(64 << 20)];
        memory.bytes[i] = guarded.bytes[i]!;
        for (const each of [memory, guarded, memory, guarded]) each.dispose();
        expect(codeOf(() => memory.bytes)).toBe('INVALID_ARGUMENT');
      }
      expect(statusOf('VmSize') - before).toBeLessThan(64 << 10); // KiB: less than one round
    });

    test('is refused with the numbers', () => {
      try {
        host.allocate(2 ** 46);
        expect.unreachable();
      } catch (error) {
        expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', details: { neededBytes: 2 ** 46, why: 'mmap: ENOMEM' } });
      }
      for (const none of [0, -1, 1.5, Number.NaN]) expect(codeOf(() => host.allocate(none))).toBe('INVALID_ARGUMENT');
    });

    test('between guards ends at one', () => {
      for (const byteLength of [64, 4096, 4160, 100]) {
        const memory = host.allocateGuarded(byteLength);
        const end = memory.address + byteLength;
        const guard = Math.ceil(end / 4096) * 4096;
        expect([memory.address % 64, guard - end < 64]).toEqual([0, true]);
        expect(mapping(guard)).toMatch(/ ---p /);
        expect(mapping(memory.address)).toMatch(/ rw-p /);
        expect(mapping(Math.floor(memory.address / 4096) * 4096 - 1)).toMatch(/ ---p /);
        memory.bytes.fill(255);
        memory.dispose();
      }
    });
  });

  describe('files', () => {
    test('are shared, to read only, and closed', () => {
      const path = join(folder, 'shared.bin');
      writeFileSync(
        path,
        Uint8Array.from({ length: 5000 }, (_, i) => i),
      );
      const descriptors = readdirSync('/proc/self/fd').length;
      const file = host.mapFile(path);
      expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
      expect(mapping(file.address)).toMatch(/ r--s /);
      expect([file.byteLength, file.bytes[3], file.bytes[4999]]).toEqual([5000, 3, 4999 % 256]);
      writeFileSync(path, Uint8Array.of(77), { flag: 'r+' });
      expect(file.bytes[0]).toBe(77);
      file.dispose();
      file.dispose();
    });

    test('that are none have their codes', () => {
      const empty = join(folder, 'empty.bin');
      writeFileSync(empty, '');
      expect(codeOf(() => host.mapFile(join(folder, 'nothing')))).toBe('MISSING_FILE');
      expect(codeOf(() => host.mapFile(empty))).toBe('BAD_FILE');
      expect(codeOf(() => host.mapFile(folder))).toBe('BAD_FILE');
      expect(codeOf(() => host.mapFile('/dev/null'))).toBe('BAD_FILE');
    });

    test('may be longer than the arrays of the engine', () => {
      const path = join(folder, 'long.bin');
      writeFileSync(path, '');
      truncateSync(path, 5 * 2 ** 30);
      const file = host.mapFile(path);
      expect([...file.view(5 * 2 ** 30 - 2, 2)]).toEqual([0, 0]);
      file.dispose();
    });
  });

  describe('threads', () => {
    test('run beside this one until their code returns', async () => {
      const memory = host.allocate(8);
      const words = new Int32Array(memory.bytes.buffer);
      const code = map(WAIT_AND_COUNT);
      const threads = [0, 1].map(() => host.startThread(code, memory.address));
      expect(threads.map((thread) => thread.isAlive())).toEqual([true, true]);
      Atomics.store(words, 0, 1);
      threads[0]!.join();
      while (threads[1]!.isAlive()) await platform.nextTurn();
      expect([...words]).toEqual([1, 2]);
      for (const thread of threads) {
        thread.join();
        expect(thread.isAlive()).toBe(false);
      }
      memory.dispose();
    });

    test('leave nothing behind', () => {
      const memory = host.allocate(8);
      const words = new Int32Array(memory.bytes.buffer);
      words[0] = 1;
      const code = map(WAIT_AND_COUNT);
      host.startThread(code, memory.address).join();
      const [threads, size] = [statusOf('Threads'), statusOf('VmSize')];
      for (let i = 0; i < 100; i++) host.startThread(code, memory.address).join();
      expect(words[1]).toBe(101);
      expect(statusOf('Threads')).toBe(threads);
      expect(statusOf('VmSize') - size).toBeLessThan(100 * 1024); // KiB: an eighth of the stacks
      memory.dispose();
    });
  });

  test('asking for tiles has an answer', () => {
    const hasTiles = /\bamx_tile\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
    if (!hasTiles) expect(host.permitTiles()).toBe(false);
    expect(host.permitTiles()).toBe(host.permitTiles());
  });
});
