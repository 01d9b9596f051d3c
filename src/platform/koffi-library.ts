/** C by way of koffi, an optional package. Only types that koffi knows by itself are used: names of types are global to it. */
import { createRequire } from 'node:module';
import type { ForeignFile, ForeignLoader } from './foreign-library.ts';
import type { NativeFunction } from './native-host.ts';

/** As much of koffi as is used here; the package may be absent, and its declarations with it. */
interface Koffi {
  load(path: string | null): KoffiFile;
  proto(result: string, args: readonly string[]): object;
  decode(address: number, type: object): NativeFunction;
  view(address: number, byteLength: number): ArrayBuffer;
  errno(): number;
}

interface KoffiFile {
  func(name: string, result: string, args: readonly string[]): NativeFunction;
  symbol(name: string): bigint;
}

/** Loads koffi. Rejects where it is not installed, or not for this machine. */
export const loadKoffi: ForeignLoader = async (system) => {
  // Not by import: bundlers would have to find the package, which brings machine code of its own.
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  const files = new Map<ForeignFile, KoffiFile>();
  const open = (path: ForeignFile): KoffiFile => {
    const file = files.get(path) ?? koffi.load(path);
    files.set(path, file);
    return file;
  };
  const prototypes = Array.from({ length: 7 }, (_, count) => koffi.proto('int32', Array(count).fill('int64')));
  return {
    name: 'koffi',
    bind: (file, symbol, result, args) => open(file).func(symbol, result, args),
    addressOf: (file, symbol) => Number(open(file).symbol(symbol)),
    functionAt: (address, argumentCount) => koffi.decode(address, prototypes[argumentCount]!),
    view: (address, byteLength) => koffi.view(address, byteLength),
    // koffi keeps both numbers safe from what Node does between two calls.
    lastError: system === 'windows' ? open('kernel32.dll').func('GetLastError', 'uint32', []) : () => koffi.errno(),
  };
};
