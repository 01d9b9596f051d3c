/** Native code under Node: looks for a library that calls C, for the system's functions, and tries both out. */
import { BitloomError } from '../ir/error.ts';
import type { ForeignLibrary, ForeignLoader } from './foreign-library.ts';
import { loadKoffi } from './koffi-library.ts';
import type { NativeHost, NativeSupport, NativeSystemName } from './native-host.ts';
import { NativeMachine } from './native-machine.ts';
import { posixSystem } from './native-posix.ts';
import type { NativeSystem } from './native-system.ts';
import { windowsSystem } from './native-windows.ts';
import { loadNodeFfi } from './node-ffi-library.ts';

/** What `findNative` looks at. */
export interface NativeSurroundings {
  /** Names as Node gives them. */
  readonly architecture: string;
  readonly platform: string;
  /** In the order of preference. */
  readonly loaders: readonly ForeignLoader[];
  /** Binds the functions of a system. Throws where one is missing. */
  bindSystem(name: NativeSystemName, library: ForeignLibrary): NativeSystem;
  availableBytes(): number | undefined;
}

const SYSTEMS: Readonly<Record<string, NativeSystemName>> = { linux: 'linux', darwin: 'macos', win32: 'windows' };

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message.split('\n')[0]! : String(cause));

/** Code that gives the 32 bits that its argument points to. */
const PROBE = { 'system-v': [0x8b, 0x07, 0xc3], microsoft: [0x8b, 0x01, 0xc3] } as const;

/** Whether code runs, and sees what JavaScript wrote. Some hosts of Node give copies for views. */
function probe(host: NativeHost): string | undefined {
  const code = host.mapCode(Uint8Array.from(PROBE[host.convention]));
  const memory = host.allocate(4);
  try {
    memory.bytes.set([1, 2, 3, 4]);
    if (host.function(code.address, 1)(memory.address) === 0x04030201) return undefined;
    return `${host.library} gives copies of memory here`;
  } finally {
    memory.dispose();
    code.dispose();
  }
}

/** Finds the native host of this process, or why there is none. */
export async function findNative(around: NativeSurroundings): Promise<NativeSupport> {
  const { architecture, platform, loaders } = around;
  if (architecture !== 'x64')
    return { why: `machine code is made for x64, and this Node is ${architecture}`, isFixable: false };
  const name = SYSTEMS[platform];
  if (name === undefined) return { why: `machine code is not made for ${platform}`, isFixable: false };
  const [missing, failures] = [[] as string[], [] as string[]];
  for (const load of loaders) {
    let library: ForeignLibrary;
    try {
      library = await load(name);
    } catch (cause) {
      missing.push(messageOf(cause));
      continue;
    }
    try {
      const host = new NativeMachine(around.bindSystem(name, library), library, around.availableBytes);
      const why = probe(host);
      if (why === undefined) return { host };
      failures.push(why);
    } catch (cause) {
      // What the system refuses to one library, it refuses to the next.
      if (cause instanceof BitloomError) {
        return {
          why: `the system refuses this process machine code of its own (${cause.details.why})`,
          isFixable: true,
        };
      }
      failures.push(`${library.name}: ${messageOf(cause)}`);
    }
  }
  if (failures.length > 0) return { why: failures.join('; '), isFixable: true };
  return { why: `no library calls machine code: npm install koffi (${missing.join('; ')})`, isFixable: true };
}

let found: Promise<NativeSupport> | undefined;

/** The native host of this thread of Node, looked for at the first call. */
export function native(): Promise<NativeSupport> {
  found ??= findNative({
    architecture: process.arch,
    platform: process.platform,
    loaders: [loadKoffi, loadNodeFfi],
    bindSystem: (name, library) => (name === 'windows' ? windowsSystem(library) : posixSystem(name, library)),
    availableBytes: () => process.availableMemory?.(),
  });
  return found;
}
