/** The tables of macOS and Windows, which need not be here: what is called, in which order, with which arguments. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Answers, recordingLibrary } from './foreign-library.fixture.ts';
import { NativeMachine } from './native-machine.ts';
import { posixSystem } from './native-posix.ts';
import { windowsSystem } from './native-windows.ts';

const folder = mkdtempSync(join(tmpdir(), 'bitloom-systems-'));
const path = join(folder, 'file.bin');
writeFileSync(path, 'five!');
afterAll(() => rmSync(folder, { recursive: true }));

const MiB = 2 ** 20;

describe('macOS', () => {
  const make = (answers: Answers = {}) => {
    const library = recordingLibrary({ mmap: 0x10_0000, ...answers });
    return { library, host: new NativeMachine(posixSystem('macos', library), library, () => undefined) };
  };

  test('maps with its own flags, and knows no huge pages', () => {
    const { library, host } = make();
    host.allocate(8 * MiB).dispose();
    host.mapCode(Uint8Array.of(0xc3)).dispose();
    expect(library.calls).toEqual([
      `mmap(0, ${8 * MiB}, 3, ${0x1002}, -1, 0)`,
      `munmap(${0x10_0000}, ${8 * MiB})`,
      `mmap(0, 4096, 3, ${0x1002}, -1, 0)`,
      `mprotect(${0x10_0000}, 4096, 5)`,
      `munmap(${0x10_0000}, 4096)`,
    ]);
    expect(library.bound.filter((entry) => /madvise|tryjoin|syscall/.test(entry))).toEqual([]);
    expect(host.permitTiles()).toBe(false);
  });

  test('waits on addresses by its own functions', () => {
    const { host } = make();
    expect(host).toMatchObject({ system: 'macos', convention: 'system-v' });
    expect(host.sleep).toEqual({ kind: 'ulock', wait: '!__ulock_wait'.length, wake: '!__ulock_wake'.length });
  });

  test('asks whether a thread is known', () => {
    const ended = { kill: 0 };
    const { library, host } = make({ pthread_kill: () => ended.kill });
    library.memory.set(0x10_0000, Uint8Array.of(7, 0, 0, 0, 1, 0, 0, 0));
    const thread = host.startThread(111, 222);
    expect(thread.isAlive()).toBe(true);
    ended.kill = 3;
    expect([thread.isAlive(), thread.isAlive()]).toEqual([false, false]);
    thread.join();
    const name = 2 ** 32 + 7;
    expect(library.calls.slice(1)).toEqual([
      `pthread_create(${0x10_0000}, 0, 111, 222)`,
      `munmap(${0x10_0000}, 4096)`,
      `pthread_kill(${name}, 0)`,
      `pthread_kill(${name}, 0)`,
      `pthread_join(${name}, 0)`,
    ]);
  });
});

describe('Windows', () => {
  const SCRATCH = 0x7000_0000;
  const make = (answers: Answers = {}) => {
    const library = recordingLibrary({
      VirtualAlloc: (_address, byteLength) => (byteLength! > 64 && byteLength! !== 4096 ? 0x20_0000 : SCRATCH),
      VirtualProtect: 1,
      CreateFileW: 31,
      CreateFileMappingW: 32,
      MapViewOfFile: 0x30_0000,
      CreateThread: 33,
      WaitForSingleObject: 258,
      ...answers,
    });
    return { library, host: new NativeMachine(windowsSystem(library), library, () => undefined) };
  };

  test('writes code, then protects it, then flushes', () => {
    const { library, host } = make();
    host.mapCode(Uint8Array.from({ length: 5000 }, () => 0x90)).dispose();
    expect(library.memory.get(0x20_0000)).toEqual(Uint8Array.from({ length: 5000 }, () => 0x90));
    expect(library.calls).toEqual([
      `VirtualAlloc(0, 8192, ${0x3000}, 4)`,
      `VirtualAlloc(0, 4096, ${0x3000}, 4)`,
      `VirtualProtect(${0x20_0000}, 8192, 32, ${SCRATCH})`,
      `VirtualFree(${SCRATCH}, 0, ${0x8000})`,
      `FlushInstructionCache(-1, ${0x20_0000}, 8192)`,
      `VirtualFree(${0x20_0000}, 0, ${0x8000})`,
    ]);
  });

  test('guards pages', () => {
    const { library, host } = make();
    const memory = host.allocateGuarded(100);
    expect(memory.address).toBe(0x20_0000 + 4096 + 4096 - 128);
    const guards = library.calls.filter((call) => call.startsWith('VirtualProtect'));
    expect(guards).toEqual([
      `VirtualProtect(${0x20_0000}, 4096, 1, ${SCRATCH})`,
      `VirtualProtect(${0x20_0000 + 8192}, 4096, 1, ${SCRATCH})`,
    ]);
  });

  test('maps a file by its name and closes what it opened', () => {
    const names: string[] = [];
    const { library, host } = make({
      CreateFileW: (address) => {
        names.push(new TextDecoder('utf-16le').decode(library.memory.get(address!)));
        return 31;
      },
    });
    const start = library.calls.length;
    const file = host.mapFile(path);
    file.dispose();
    expect([file.address, file.byteLength]).toEqual([0x30_0000, 5]);
    expect(names[0]).toMatch(/file\.bin\0$/);
    expect(library.calls.slice(start).filter((call) => !call.startsWith('Virtual'))).toEqual([
      expect.stringMatching(new RegExp(`^CreateFileW\\(\\d+, ${0x8000_0000}, 7, 0, 3, 128, 0\\)$`)),
      'CreateFileMappingW(31, 0, 2, 0, 0, 0)',
      'MapViewOfFile(32, 4, 0, 0, 0)',
      'CloseHandle(32)',
      'CloseHandle(31)',
      `UnmapViewOfFile(${0x30_0000})`,
    ]);
    for (const refused of ['CreateFileMappingW', 'MapViewOfFile']) {
      const { library: other, host: poor } = make({ [refused]: 0 });
      expect(() => poor.mapFile(path)).toThrow(/error 12 of Windows/);
      expect(other.calls.filter((call) => call.startsWith('CloseHandle')).at(-1)).toBe('CloseHandle(31)');
    }
    expect(() => make({ CreateFileW: -1 }).host.mapFile(path)).toThrow('CreateFile: error 12');
  });

  test('runs threads by handles', () => {
    const answer = { wait: 258 };
    const { library, host } = make({ WaitForSingleObject: () => answer.wait });
    const [first, second] = [host.startThread(111, 222), host.startThread(111, 222)];
    expect(first!.isAlive()).toBe(true);
    answer.wait = 0;
    expect([first!.isAlive(), first!.isAlive()]).toEqual([false, false]);
    second!.join();
    second!.join();
    expect(library.calls).toEqual([
      `CreateThread(0, ${8 * MiB}, 111, 222, ${0x10000}, 0)`,
      `CreateThread(0, ${8 * MiB}, 111, 222, ${0x10000}, 0)`,
      'WaitForSingleObject(33, 0)',
      'WaitForSingleObject(33, 0)',
      'CloseHandle(33)',
      `WaitForSingleObject(33, ${0xffff_ffff})`,
      'CloseHandle(33)',
    ]);
    expect(() => make({ CreateThread: 0 }).host.startThread(1, 2)).toThrow('CreateThread: error 12 of Windows');
  });

  test('waits on addresses, and asks for tiles where it can', () => {
    const { host } = make({ EnableProcessOptionalXStateFeatures: 1 });
    const file = 'api-ms-win-core-synch-l1-2-0.dll!';
    const [wait, wakeAll] = [`${file}WaitOnAddress`.length, `${file}WakeByAddressAll`.length];
    expect(host).toMatchObject({ system: 'windows', convention: 'microsoft' });
    expect(host.sleep).toEqual({ kind: 'wait-on-address', wait, wakeAll });
    expect(host.permitTiles()).toBe(true);
    expect(make().host.permitTiles()).toBe(false);
    const old = recordingLibrary({}, ['EnableProcessOptionalXStateFeatures']);
    expect(windowsSystem(old).permitTiles()).toBe(false);
  });
});
