/** What the native host does where something is missing or refused: every cause has its words, and nothing is left behind. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import { recordingLibrary } from './foreign-library.fixture.ts';
import type { ForeignLoader } from './foreign-library.ts';
import { loadKoffi } from './koffi-library.ts';
import { findNative, type NativeSurroundings } from './native-host-node.ts';
import { NativeMachine } from './native-machine.ts';
import { posixSystem } from './native-posix.ts';
import type { NativeSystem } from './native-system.ts';
import { TRAMPOLINES } from './node-ffi-library.ts';

const folder = mkdtempSync(join(tmpdir(), 'bitloom-refusals-'));
afterAll(() => rmSync(folder, { recursive: true }));

const absent: ForeignLoader = async () => {
  throw new Error("Cannot find package 'koffi'\nRequire stack: …");
};

const around = (changes: Partial<NativeSurroundings>): NativeSurroundings => ({
  architecture: 'x64',
  platform: 'linux',
  loaders: [async () => recordingLibrary({ mmap: 4096 })],
  bindSystem: (_name, library) => posixSystem('linux', library),
  availableBytes: () => 1234,
  ...changes,
});
const whyNot = async (changes: Partial<NativeSurroundings>): Promise<string> => {
  const support = await findNative(around(changes));
  return 'why' in support ? support.why : 'there is a host';
};

describe('there is no host', () => {
  test('on other processors and systems', async () => {
    expect(await whyNot({ architecture: 'arm64' })).toContain('arm64');
    expect(await whyNot({ platform: 'freebsd' })).toContain('freebsd');
  });

  test('without a library', async () => {
    const why = await whyNot({ loaders: [absent, absent] });
    expect(why).toContain('npm install koffi');
    expect(why).toContain("Cannot find package 'koffi'; Cannot find");
    expect(why).not.toContain('\n');
  });

  test('where the system lacks a function', async () => {
    const loaders: ForeignLoader[] = [async () => recordingLibrary({}, ['mprotect'])];
    expect(await whyNot({ loaders })).toBe('koffi: no mprotect');
  });

  test('where views are copies', async () => {
    let address = 0;
    const library = recordingLibrary({ mmap: () => (address += 4096) });
    expect(await whyNot({ loaders: [absent, async () => library] })).toBe('koffi gives copies of memory here');
  });

  test('where code may not be run, whatever the library', async () => {
    const library = recordingLibrary({ mmap: 4096, mprotect: -1 });
    const why = await whyNot({ loaders: [async () => library, absent] });
    expect(why).toBe('the system refuses this process machine code of its own (mprotect: ENOMEM)');
    expect(library.calls.at(-1)).toBe('munmap(4096, 4096)');
  });
});

test('a library that needs code of its own is given it, protected', () => {
  const library = recordingLibrary({ mmap: 4096 });
  const starts: number[] = [];
  const started = {
    ...library,
    start: (map: (bytes: Uint8Array) => number) => void starts.push(map(Uint8Array.of(1))),
  };
  new NativeMachine(posixSystem('linux', started), started, () => undefined);
  expect(starts).toEqual([4096]);
  expect(library.calls).toEqual(['mmap(0, 4096, 3, 34, -1, 0)', 'mprotect(4096, 4096, 5)']);
});

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('on this system (skipped elsewhere)', () => {
  /** A host whose system does some things its own way; it tells what it was asked. */
  async function hostWith(change: (system: NativeSystem) => Partial<NativeSystem>) {
    const library = await loadKoffi('linux');
    const real = posixSystem('linux', library);
    const calls: string[] = [];
    const system: NativeSystem = { ...real, ...change(real) };
    const spied: NativeSystem = {
      ...system,
      reserve(byteLength) {
        calls.push(`reserve ${byteLength}`);
        return system.reserve(byteLength);
      },
      protect(address, byteLength, access) {
        calls.push(`${access} ${byteLength}`);
        return system.protect(address, byteLength, access);
      },
      release(address, byteLength) {
        calls.push(`release ${byteLength}`);
        system.release(address, byteLength);
      },
    };
    return { calls, host: new NativeMachine(spied, library, () => 1234) };
  }
  const failing = (action: () => unknown): BitloomError => {
    try {
      action();
    } catch (error) {
      if (error instanceof BitloomError) return error;
      throw error;
    }
    throw new Error('nothing was refused');
  };
  const why = 'simulated: EACCES';
  const refusal = () => why;

  test('code is written to pages, which then become executable', async () => {
    const { calls, host } = await hostWith(() => ({}));
    host.mapCode(Uint8Array.of(0xc3));
    expect(calls).toEqual(['reserve 4096', 'read-execute 4096']);
  });

  test('executable pages that are refused are given back', async () => {
    const { calls, host } = await hostWith(() => ({ protect: () => false, refusal }));
    const error = failing(() => host.mapCode(Uint8Array.of(0xc3)));
    expect(error).toMatchObject({ code: 'UNSUPPORTED_FEATURE', details: { why } });
    expect(error.message).toContain(why);
    expect(failing(() => host.allocateGuarded(10)).code).toBe('UNSUPPORTED_FEATURE');
    expect(calls.filter((call) => call.startsWith('re'))).toEqual([
      'reserve 4096',
      'read-execute 4096',
      'release 4096',
      'reserve 12288',
      'release 12288',
    ]);
  });

  test('memory that is refused is told with what there is', async () => {
    const { host } = await hostWith(() => ({ reserve: () => 0, refusal }));
    for (const action of [host.allocate, host.allocateGuarded]) {
      const error = failing(() => action.call(host, 5000));
      expect(error).toMatchObject({
        code: 'OUT_OF_MEMORY',
        details: { neededBytes: 5000, availableBytes: 1234, why },
      });
      expect(error.message).toMatch(/5000.*1234/);
    }
    expect(failing(() => host.mapCode(Uint8Array.of(0xc3))).code).toBe('OUT_OF_MEMORY');
  });

  test('threads and files that are refused say why', async () => {
    const { host } = await hostWith(() => ({ startThread: () => 0, mapFile: () => 0, refusal }));
    expect(failing(() => host.startThread(1, 2))).toMatchObject({ code: 'NO_DEVICE', details: { why } });
    const path = join(folder, 'file.bin');
    writeFileSync(path, 'text');
    expect(failing(() => host.mapFile(path))).toMatchObject({ code: 'BAD_FILE', details: { path, why } });
  });

  test('a thread that the system cannot start gives its room back', async () => {
    const library = recordingLibrary({ mmap: 4096, pthread_create: 11 });
    const system = posixSystem('linux', library);
    expect([system.startThread(1, 2), system.refusal()]).toEqual([0, 'pthread_create: EAGAIN']);
    expect(library.calls.at(-1)).toBe('munmap(4096, 4096)');
  });

  test('tiles may be refused', async () => {
    const { host } = await hostWith(() => ({ permitTiles: () => false }));
    expect(host.permitTiles()).toBe(false);
    const library = recordingLibrary();
    expect(posixSystem('linux', library).permitTiles()).toBe(true);
    expect(library.calls).toEqual([`syscall(158, ${0x1023}, 18)`]);
  });

  /**
   * The trampolines that `node:ffi` needs, run here by koffi: they read a block of doubles. Microsoft's convention is met by a
   * few instructions on either side.
   */
  test('trampolines hand six numbers on and bring the result back', async () => {
    const { host } = await hostWith(() => ({}));
    const map = (code: readonly number[]): number => host.mapCode(Uint8Array.from(code)).address;
    // lea eax, [rdi+rsi*2]; lea eax, [rax+rdx*4]; lea eax, [rax+rcx*8]; shl r8d, 4; add eax, r8d; shl r9d, 5; sub eax, r9d; ret
    const weigh = [0x8d, 0x04, 0x77, 0x8d, 0x04, 0x90, 0x8d, 0x04, 0xc8];
    const rest = [0x41, 0xc1, 0xe0, 4, 0x44, 0x01, 0xc0, 0x41, 0xc1, 0xe1, 5, 0x44, 0x29, 0xc8, 0xc3];
    // push rdi; push rsi; mov edi, ecx; mov esi, edx; mov edx, r8d; mov ecx, r9d; mov r8d, [rsp+56]; mov r9d, [rsp+64]; call +3; pop rsi; pop rdi; ret
    const fromMicrosoft = [
      0x57, 0x56, 0x89, 0xcf, 0x89, 0xd6, 0x44, 0x89, 0xc2, 0x44, 0x89, 0xc9, 0x44, 0x8b, 0x44, 0x24, 56, 0x44, 0x8b,
      0x4c, 0x24, 64, 0xe8, 3, 0, 0, 0, 0x5e, 0x5f, 0xc3,
    ];
    // mov rcx, rdi; then the trampoline
    const toMicrosoft = [0x48, 0x89, 0xf9];
    for (const [convention, code, before] of [
      ['system-v', [...weigh, ...rest], []],
      ['microsoft', [...fromMicrosoft, ...weigh, ...rest], toMicrosoft],
    ] as const) {
      const block = host.allocate(64);
      new Float64Array(block.bytes.buffer).set([map(code), 1, 2, 3, 4, 5, 6, 0]);
      expect(host.function(map([...before, ...TRAMPOLINES[convention]]), 1)(block.address)).toBe(0);
      expect(new Float64Array(block.bytes.buffer)[7]).toBe(1 + 4 + 12 + 32 + 80 - 192);
    }
  });
});
