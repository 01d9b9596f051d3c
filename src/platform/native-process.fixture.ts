/**
 * A process that does one thing with the native host and says what came of it. It is bundled for the tests, which run it:
 * what ends a process cannot be tested in one's own.
 */
import { argv } from 'node:process';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadKoffi } from './koffi-library.ts';
import type { NativeHost } from './native-host.ts';
import { findNative } from './native-host-node.ts';
import { posixSystem } from './native-posix.ts';
import { loadNodeFfi } from './node-ffi-library.ts';

const LOADERS = { koffi: loadKoffi, 'node:ffi': loadNodeFfi };

async function hostBy(library: string): Promise<NativeHost> {
  const support = await findNative({
    architecture: process.arch,
    platform: process.platform,
    loaders: [LOADERS[library as keyof typeof LOADERS]],
    bindSystem: (_name, loaded) => posixSystem('linux', loaded),
    availableBytes: () => undefined,
  });
  if ('why' in support) throw new Error(support.why);
  return support.host;
}

/** mov byte [rdi], sil; ret */
const STORE = [0x40, 0x88, 0x37, 0xc3];
/** lea rax, [rdi+rsi]; add rax, rdx; add rax, rcx; add rax, r8; add rax, r9; shr rax, 32; ret */
const HIGH_SUM = [
  0x48, 0x8d, 0x04, 0x37, 0x48, 0x01, 0xd0, 0x48, 0x01, 0xc8, 0x4c, 0x01, 0xc0, 0x4c, 0x01, 0xc8, 0x48, 0xc1, 0xe8,
  0x20, 0xc3,
];
/** lock inc dword [rdi]; ret */
const COUNT = [0xf0, 0xff, 0x07, 0xc3];

const map = (host: NativeHost, code: readonly number[]): number => host.mapCode(Uint8Array.from(code)).address;

const TASKS: Readonly<Record<string, (host: NativeHost, argument: number) => unknown>> = {
  /** Writes a byte at an offset of guarded memory of 4160 bytes. */
  store(host, offset) {
    const memory = host.allocateGuarded(4160);
    host.function(map(host, STORE), 2)(memory.address + offset, 7);
    return memory.bytes[offset];
  },
  /** The library calls code with six numbers, and sees memory as it is. */
  call(host) {
    const [memory, sum, count] = [host.allocate(6 << 20), host.function(map(host, HIGH_SUM), 6), map(host, COUNT)];
    const threads = Array.from({ length: 3 }, () => host.startThread(count, memory.address));
    for (const thread of threads) thread.join();
    host.function(count, 1)(memory.address);
    const stale = memory.bytes;
    const answer = [sum(2 ** 33, 2 ** 34, 2 ** 35, 2 ** 36, 2 ** 37, 2 ** 38), stale[0], stale.length];
    memory.dispose();
    return [...answer, 'transfer' in ArrayBuffer.prototype ? stale.length : 0];
  },
  /** How much is refused, and how it is said. */
  refuse(host) {
    try {
      return host.allocate(2 ** 46).address;
    } catch (error) {
      return (error as Error).message;
    }
  },
};

/** Four threads of Node with a host each count in one word, a hundred times with fresh code. */
async function inWorkers(library: string): Promise<number> {
  const host = await hostBy(library);
  const memory = host.allocate(64);
  const workers = Array.from(
    { length: 4 },
    () => new Worker(new URL(import.meta.url), { workerData: { library, address: memory.address } }),
  );
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  await Promise.all(workers.map((worker) => worker.terminate()));
  return new Uint32Array(memory.bytes.buffer)[0]!;
}

if (isMainThread) {
  const [task, library, argument] = argv.slice(2) as [string, string, string];
  const result = task === 'workers' ? inWorkers(library) : TASKS[task]!(await hostBy(library), Number(argument));
  console.log(JSON.stringify(await result));
} else {
  const { library, address } = workerData as { library: string; address: number };
  const host = await hostBy(library);
  for (let i = 0; i < 100; i++) {
    const code = host.mapCode(Uint8Array.from(COUNT));
    host.function(code.address, 1)(address);
    code.dispose();
  }
  host.startThread(map(host, COUNT), address).join();
  parentPort!.postMessage('done');
}
