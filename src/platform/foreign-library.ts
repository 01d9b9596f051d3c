/**
 * Calling C from JavaScript: what koffi and `node:ffi` both do, in the few words that the native host needs. Integers and
 * addresses are plain numbers on this side, whatever the library takes.
 */
import type { NativeFunction, NativeSystemName } from './native-host.ts';

/** Types of arguments and results in C. Addresses, sizes and handles are `int64`. */
export type ForeignType = 'int32' | 'uint32' | 'int64';

/** A file of the system's that functions come from; null is the process itself, with all that it has loaded. */
export type ForeignFile = string | null;

export interface ForeignLibrary {
  readonly name: 'koffi' | 'node:ffi';
  /** A function of the system. Throws where there is none of that name. */
  bind(file: ForeignFile, symbol: string, result: ForeignType, args: readonly ForeignType[]): NativeFunction;
  /** Where such a function lies. Throws where there is none. */
  addressOf(file: ForeignFile, symbol: string): number;
  /** A function that calls code at an address: up to 6 arguments of 64 bits, a result of 32 (signed). */
  functionAt(address: number, argumentCount: number): NativeFunction;
  /** The memory at an address, not a copy of it. Nothing keeps the memory alive, and nothing is freed with the buffer. */
  view(address: number, byteLength: number): ArrayBuffer;
  /** What the system said about the last call that failed: `errno`, on Windows `GetLastError()`. */
  lastError(): number;
  /** Whether `functionAt` needs code of its own, and how it is given where that was mapped. Before the first call. */
  start?(mapCode: (bytes: Uint8Array) => number): void;
}

/** Loads a library for one system. Rejects where there is none, or not for this machine. */
export type ForeignLoader = (system: NativeSystemName) => Promise<ForeignLibrary>;
