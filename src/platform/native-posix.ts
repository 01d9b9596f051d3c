/** Linux and macOS on x86-64: pages by mmap, threads by pthreads. What differs between the two is data. */
import { getSystemErrorName } from 'node:util';
import type { ForeignLibrary } from './foreign-library.ts';
import type { NativeSleep } from './native-host.ts';
import type { NativeSystem, PageAccess } from './native-system.ts';

const PROTECTION: Readonly<Record<PageAccess, number>> = { none: 0, 'read-write': 3, 'read-execute': 5 };
const PROT_READ = 1;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = { linux: 0x20, macos: 0x1000 } as const;
const MADV_HUGEPAGE = 14;
/** The system call `arch_prctl`, its request for permission, and the part of a processor's state that holds tiles. */
const ARCH_PRCTL = 158;
const ARCH_REQ_XCOMP_PERM = 0x1023;
const XTILEDATA = 18;
const ESRCH = 3;

/** POSIX gives no way to ask whether a thread has ended: glibc and musl can try to join it, macOS no longer knows it. */
function liveness(name: 'linux' | 'macos', library: ForeignLibrary): (thread: number) => boolean {
  if (name === 'linux') {
    const tryJoin = library.bind(null, 'pthread_tryjoin_np', 'int32', ['int64', 'int64']);
    return (thread) => tryJoin(thread, 0) === 0;
  }
  const kill = library.bind(null, 'pthread_kill', 'int32', ['int64', 'int32']);
  const join = library.bind(null, 'pthread_join', 'int32', ['int64', 'int64']);
  return (thread) => kill(thread, 0) === ESRCH && join(thread, 0) === 0;
}

function sleepOf(name: 'linux' | 'macos', library: ForeignLibrary): NativeSleep {
  if (name === 'linux') return { kind: 'futex' };
  return {
    kind: 'ulock',
    wait: library.addressOf(null, '__ulock_wait'),
    wake: library.addressOf(null, '__ulock_wake'),
  };
}

/** Throws where the C library lacks a function. */
export function posixSystem(name: 'linux' | 'macos', library: ForeignLibrary): NativeSystem {
  const mmap = library.bind(null, 'mmap', 'int64', ['int64', 'int64', 'int32', 'int32', 'int32', 'int64']);
  const munmap = library.bind(null, 'munmap', 'int32', ['int64', 'int64']);
  const mprotect = library.bind(null, 'mprotect', 'int32', ['int64', 'int64', 'int32']);
  const create = library.bind(null, 'pthread_create', 'int32', ['int64', 'int64', 'int64', 'int64']);
  const joinThread = library.bind(null, 'pthread_join', 'int32', ['int64', 'int64']);
  const isLinux = name === 'linux';
  const madvise = isLinux ? library.bind(null, 'madvise', 'int32', ['int64', 'int64', 'int32']) : undefined;
  const systemCall = isLinux ? library.bind(null, 'syscall', 'int64', ['int64', 'int64', 'int64']) : undefined;
  const pageBytes = 4096;

  let refusal = '';
  const refuse = (symbol: string, error: number): 0 => {
    refusal = `${symbol}: ${getSystemErrorName(-error)}`;
    return 0;
  };
  const map = (byteLength: number, protection: number, flags: number, descriptor: number): number => {
    const address = mmap(0, byteLength, protection, flags, descriptor, 0);
    return address === -1 ? refuse('mmap', library.lastError()) : address;
  };
  const reserve = (byteLength: number): number =>
    map(byteLength, PROTECTION['read-write'], MAP_PRIVATE | MAP_ANONYMOUS[name], -1);
  const release = (address: number, byteLength: number): void => void munmap(address, byteLength);

  return {
    name,
    convention: 'system-v',
    pageBytes,
    hugePageBytes: isLinux ? 1 << 21 : undefined,
    sleep: sleepOf(name, library),
    reserve,
    release,
    protect(address, byteLength, access) {
      if (mprotect(address, byteLength, PROTECTION[access]) === 0) return true;
      refuse('mprotect', library.lastError());
      return false;
    },
    adviseHuge: (address, byteLength) => void madvise?.(address, byteLength, MADV_HUGEPAGE),
    mapFile: (_path, descriptor, byteLength) => map(byteLength, PROT_READ, MAP_SHARED, descriptor),
    unmapFile: release,
    startThread(entry, argument) {
      const scratch = reserve(pageBytes);
      if (scratch === 0) return 0;
      const error = create(scratch, 0, entry, argument);
      const thread = Number(new DataView(library.view(scratch, 8)).getBigUint64(0, true));
      release(scratch, pageBytes);
      return error === 0 ? thread : refuse('pthread_create', error);
    },
    hasEnded: liveness(name, library),
    join: (thread) => void joinThread(thread, 0),
    permitTiles: () => systemCall?.(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA) === 0,
    refusal: () => refusal,
  };
}
