/**
 * An operating system in a handful of functions, the same for each: what `native-machine.ts` builds the host from. Nothing
 * here throws; what the system refuses gives 0 or false, and `refusal` says in its words why.
 */
import type { NativeConvention, NativeSleep, NativeSystemName } from './native-host.ts';

/** What may be done with pages. There is no access to write and to execute. */
export type PageAccess = 'none' | 'read-write' | 'read-execute';

export interface NativeSystem {
  readonly name: NativeSystemName;
  readonly convention: NativeConvention;
  readonly pageBytes: number;
  /** Bytes of a huge page, where `adviseHuge` means something. */
  readonly hugePageBytes: number | undefined;
  readonly sleep: NativeSleep;
  /** Zeroed pages to read and write: their address. */
  reserve(byteLength: number): number;
  /** Gives back what `reserve` gave, all of it. */
  release(address: number, byteLength: number): void;
  protect(address: number, byteLength: number, access: PageAccess): boolean;
  adviseHuge(address: number, byteLength: number): void;
  /** Maps a file to read only: the address. The file is open, by that descriptor of Node, and not empty. */
  mapFile(path: string, descriptor: number, byteLength: number): number;
  unmapFile(address: number, byteLength: number): void;
  /** Starts a thread: what the system calls it. */
  startThread(entry: number, argument: number): number;
  /** Whether a thread has ended. Where it has, its name is no longer good. */
  hasEnded(thread: number): boolean;
  /** Waits until a thread has ended. Its name is then no longer good. */
  join(thread: number): void;
  permitTiles(): boolean;
  /** Why the last function that was refused was, e.g. `mmap: ENOMEM`. */
  refusal(): string;
}
