/**
 * C by way of `node:ffi`, which Node 26 brings: an experiment, since 26.10 without a flag. It calls functions of libraries
 * by their names only. Code at an address is therefore called by `bsearch` of the C library, which hands a first argument
 * of our choice to a comparison of our choice. The comparison is a trampoline of a few instructions; the argument is a
 * block of doubles, which spares big integers too.
 */
import type { ForeignFile, ForeignLoader, ForeignType } from './foreign-library.ts';
import type { NativeConvention, NativeFunction, NativeSystemName } from './native-host.ts';

type ForeignFunction = (...args: (number | bigint)[]) => number | bigint;

/** As much of `node:ffi` as is used here; the types of Node 20 do not know it. */
interface NodeFfi {
  readonly DynamicLibrary: new (path: ForeignFile) => NodeFfiFile;
  toArrayBuffer(address: bigint, byteLength: number, isCopied: boolean): ArrayBuffer;
  getInt32(address: bigint): number;
  getRawPointer(buffer: ArrayBuffer): bigint;
}

interface NodeFfiFile {
  getFunction(
    name: string,
    signature: { readonly return: string; readonly arguments: readonly string[] },
  ): ForeignFunction;
  getSymbol(name: string): bigint;
}

/** Where each system keeps `bsearch`, and the number of the last error or a function that gives its address. */
const SYSTEMS: Readonly<Record<NativeSystemName, { c: ForeignFile; errorFile: ForeignFile; error: string }>> = {
  linux: { c: null, errorFile: null, error: '__errno_location' },
  macos: { c: null, errorFile: null, error: '__error' },
  windows: { c: 'ucrtbase.dll', errorFile: 'kernel32.dll', error: 'GetLastError' },
};

const code = (...instructions: readonly string[]): Uint8Array =>
  Uint8Array.from(instructions.join(' ').split(' '), (byte) => Number.parseInt(byte, 16));

/**
 * The trampolines. Their first argument is the address of eight doubles: that of the code, six arguments, and room for the
 * result. They give 0, which tells `bsearch` that it found what it looks for.
 */
export const TRAMPOLINES: Readonly<Record<NativeConvention, Uint8Array>> = {
  'system-v': code(
    '53', // push rbx
    '48 89 fb', // mov rbx, rdi
    'f2 48 0f 2c 7b 08', // cvttsd2si rdi, [rbx+8]
    'f2 48 0f 2c 73 10', // cvttsd2si rsi, [rbx+16]
    'f2 48 0f 2c 53 18', // cvttsd2si rdx, [rbx+24]
    'f2 48 0f 2c 4b 20', // cvttsd2si rcx, [rbx+32]
    'f2 4c 0f 2c 43 28', // cvttsd2si r8, [rbx+40]
    'f2 4c 0f 2c 4b 30', // cvttsd2si r9, [rbx+48]
    'f2 48 0f 2c 03', // cvttsd2si rax, [rbx]
    'ff d0', // call rax
    'f2 0f 2a c0', // cvtsi2sd xmm0, eax
    'f2 0f 11 43 38', // movsd [rbx+56], xmm0
    '31 c0', // xor eax, eax
    '5b', // pop rbx
    'c3', // ret
  ),
  microsoft: code(
    '53', // push rbx
    '48 83 ec 30', // sub rsp, 48: room for four arguments, and the fifth and sixth
    '48 89 cb', // mov rbx, rcx
    'f2 48 0f 2c 43 28', // cvttsd2si rax, [rbx+40]
    '48 89 44 24 20', // mov [rsp+32], rax
    'f2 48 0f 2c 43 30', // cvttsd2si rax, [rbx+48]
    '48 89 44 24 28', // mov [rsp+40], rax
    'f2 48 0f 2c 4b 08', // cvttsd2si rcx, [rbx+8]
    'f2 48 0f 2c 53 10', // cvttsd2si rdx, [rbx+16]
    'f2 4c 0f 2c 43 18', // cvttsd2si r8, [rbx+24]
    'f2 4c 0f 2c 4b 20', // cvttsd2si r9, [rbx+32]
    'f2 48 0f 2c 03', // cvttsd2si rax, [rbx]
    'ff d0', // call rax
    'f2 0f 2a c0', // cvtsi2sd xmm0, eax
    'f2 0f 11 43 38', // movsd [rbx+56], xmm0
    '31 c0', // xor eax, eax
    '48 83 c4 30', // add rsp, 48
    '5b', // pop rbx
    'c3', // ret
  ),
};

/** Loads `node:ffi`. Rejects where this Node has none, or where its permissions forbid it. */
export const loadNodeFfi: ForeignLoader = async (system) => {
  // Not by import: other Nodes, and bundlers, do not know the name.
  const ffi = process.getBuiltinModule?.('node:ffi') as NodeFfi | undefined;
  if (ffi === undefined) throw new Error('this Node has no node:ffi');
  const files = new Map<ForeignFile, NodeFfiFile>();
  const open = (path: ForeignFile): NodeFfiFile => {
    const file = files.get(path) ?? new ffi.DynamicLibrary(path);
    files.set(path, file);
    return file;
  };
  const bindRaw = (file: ForeignFile, symbol: string, result: string, args: readonly string[]): ForeignFunction =>
    open(file).getFunction(symbol, { return: result, arguments: args });
  const bind = (
    file: ForeignFile,
    symbol: string,
    result: ForeignType,
    args: readonly ForeignType[],
  ): NativeFunction => {
    const raw = bindRaw(file, symbol, result, args);
    return (...values) => Number(raw(...values.map((value, i) => (args[i] === 'int64' ? BigInt(value) : value))));
  };

  const { c, errorFile, error } = SYSTEMS[system];
  // Of the types that hold an address, only `function` takes Node's quick way: 150 ns, not 430.
  const search = bindRaw(c, 'bsearch', 'void', ['function', 'function', 'uint64', 'uint64', 'function']);
  const readError = bindRaw(errorFile, error, system === 'windows' ? 'uint32' : 'uint64', []);
  // With a buffer of its own: small arrays without one may lie where the garbage collector moves them.
  const block = new Float64Array(new ArrayBuffer(64));
  const blockAddress = ffi.getRawPointer(block.buffer);
  let trampoline = 0n;

  return {
    name: 'node:ffi',
    bind,
    addressOf: (file, symbol) => Number(open(file).getSymbol(symbol)),
    functionAt(address, argumentCount) {
      return (...args) => {
        block[0] = address;
        for (let i = 0; i < argumentCount; i++) block[i + 1] = args[i]!;
        search(blockAddress, blockAddress, 1n, 1n, trampoline);
        return block[7]!;
      };
    },
    view: (address, byteLength) => ffi.toArrayBuffer(BigInt(address), byteLength, false),
    lastError() {
      const answer = readError();
      return typeof answer === 'bigint' ? ffi.getInt32(answer) : answer;
    },
    start(mapCode) {
      trampoline = BigInt(mapCode(TRAMPOLINES[system === 'windows' ? 'microsoft' : 'system-v']));
    },
  };
};
