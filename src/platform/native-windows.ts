/** Windows on x86-64: pages by VirtualAlloc, files by sections, threads and sleep by handles and addresses. */
import { resolve, win32 } from 'node:path';
import type { ForeignLibrary } from './foreign-library.ts';
import type { NativeSystem, PageAccess } from './native-system.ts';

const KERNEL = 'kernel32.dll';
/** Windows keeps waiting on addresses in a file of its own. */
const SYNCH = 'api-ms-win-core-synch-l1-2-0.dll';

const PROTECTION: Readonly<Record<PageAccess, number>> = { none: 0x01, 'read-write': 0x04, 'read-execute': 0x20 };
const MEM_COMMIT_RESERVE = 0x3000;
const MEM_RELEASE = 0x8000;
const GENERIC_READ = 0x8000_0000;
const FILE_SHARE_ALL = 7;
const OPEN_EXISTING = 3;
const FILE_ATTRIBUTE_NORMAL = 0x80;
const INVALID_HANDLE = -1;
const PAGE_READONLY = 2;
const FILE_MAP_READ = 4;
const STACK_BYTES = 8 << 20;
const STACK_SIZE_IS_A_RESERVATION = 0x10000;
const INFINITE = 0xffff_ffff;
const CURRENT_PROCESS = -1;
const TILE_FEATURE = 1 << 18;

/** Throws where the system lacks a function: before Windows 8. */
export function windowsSystem(library: ForeignLibrary): NativeSystem {
  const virtualAlloc = library.bind(KERNEL, 'VirtualAlloc', 'int64', ['int64', 'int64', 'uint32', 'uint32']);
  const virtualFree = library.bind(KERNEL, 'VirtualFree', 'int32', ['int64', 'int64', 'uint32']);
  const virtualProtect = library.bind(KERNEL, 'VirtualProtect', 'int32', ['int64', 'int64', 'uint32', 'int64']);
  const flush = library.bind(KERNEL, 'FlushInstructionCache', 'int32', ['int64', 'int64', 'int64']);
  const createFile = library.bind(KERNEL, 'CreateFileW', 'int64', [
    'int64',
    'uint32',
    'uint32',
    'int64',
    'uint32',
    'uint32',
    'int64',
  ]);
  const createMapping = library.bind(KERNEL, 'CreateFileMappingW', 'int64', [
    'int64',
    'int64',
    'uint32',
    'uint32',
    'uint32',
    'int64',
  ]);
  const mapView = library.bind(KERNEL, 'MapViewOfFile', 'int64', ['int64', 'uint32', 'uint32', 'uint32', 'int64']);
  const unmapView = library.bind(KERNEL, 'UnmapViewOfFile', 'int32', ['int64']);
  const createThread = library.bind(KERNEL, 'CreateThread', 'int64', [
    'int64',
    'int64',
    'int64',
    'int64',
    'uint32',
    'int64',
  ]);
  const wait = library.bind(KERNEL, 'WaitForSingleObject', 'uint32', ['int64', 'uint32']);
  const close = library.bind(KERNEL, 'CloseHandle', 'int32', ['int64']);
  const pageBytes = 4096;

  let refusal = '';
  const refuse = (symbol: string): 0 => {
    refusal = `${symbol}: error ${library.lastError()} of Windows`;
    return 0;
  };
  const reserve = (byteLength: number): number =>
    virtualAlloc(0, byteLength, MEM_COMMIT_RESERVE, PROTECTION['read-write']) || refuse('VirtualAlloc');
  const release = (address: number): void => void virtualFree(address, 0, MEM_RELEASE);
  /** Some memory that the system may read or write during a call. */
  const withScratch = <T>(byteLength: number, refused: T, use: (address: number) => T): T => {
    const scratch = reserve(byteLength);
    if (scratch === 0) return refused;
    try {
      return use(scratch);
    } finally {
      release(scratch);
    }
  };
  const openFile = (path: string): number => {
    const name = `${win32.toNamespacedPath(resolve(path))}\0`;
    return withScratch(name.length * 2, 0, (address) => {
      const text = new DataView(library.view(address, name.length * 2));
      for (let i = 0; i < name.length; i++) text.setUint16(i * 2, name.charCodeAt(i), true);
      const file = createFile(address, GENERIC_READ, FILE_SHARE_ALL, 0, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, 0);
      return file === INVALID_HANDLE ? refuse('CreateFile') : file;
    });
  };

  return {
    name: 'windows',
    convention: 'microsoft',
    pageBytes,
    // Windows asks for a privilege that users do not have.
    hugePageBytes: undefined,
    sleep: {
      kind: 'wait-on-address',
      wait: library.addressOf(SYNCH, 'WaitOnAddress'),
      wakeAll: library.addressOf(SYNCH, 'WakeByAddressAll'),
    },
    reserve,
    release,
    protect(address, byteLength, access) {
      const isDone = withScratch(pageBytes, false, (before) => {
        if (virtualProtect(address, byteLength, PROTECTION[access], before) !== 0) return true;
        refuse('VirtualProtect');
        return false;
      });
      if (isDone && access === 'read-execute') flush(CURRENT_PROCESS, address, byteLength);
      return isDone;
    },
    adviseHuge() {},
    mapFile(path) {
      const file = openFile(path);
      if (file === 0) return 0;
      // The view keeps what it needs of both handles.
      const mapping = createMapping(file, 0, PAGE_READONLY, 0, 0, 0) || refuse('CreateFileMapping');
      const address = mapping && (mapView(mapping, FILE_MAP_READ, 0, 0, 0) || refuse('MapViewOfFile'));
      if (mapping !== 0) close(mapping);
      close(file);
      return address;
    },
    unmapFile: (address) => void unmapView(address),
    startThread: (entry, argument) =>
      createThread(0, STACK_BYTES, entry, argument, STACK_SIZE_IS_A_RESERVATION, 0) || refuse('CreateThread'),
    hasEnded(thread) {
      if (wait(thread, 0) !== 0) return false;
      close(thread);
      return true;
    },
    join(thread) {
      wait(thread, INFINITE);
      close(thread);
    },
    permitTiles() {
      try {
        return library.bind(KERNEL, 'EnableProcessOptionalXStateFeatures', 'int32', ['int64'])(TILE_FEATURE) !== 0;
      } catch {
        return false; // older than Windows 11
      }
    },
    refusal: () => refusal,
  };
}
