/**
 * Machine code that measures what threads of this processor can reach: nothing but the instruction in question, in independent
 * chains that stay in registers, or plain reads of a working set. Source: the roofline model (Williams, Waterman, Patterson,
 * "Roofline", CACM 2009, section 3); threads by the `futex` call of Linux (man 2 futex).
 */
import type { NativeHost, NativeMemory, NativeThread } from '../src/platform/native-host.ts';
import {
  Assembler,
  imm,
  type Label,
  type Mnemonic,
  mem,
  r32,
  r64,
  tmm,
  ymm,
  zmm,
} from '../src/target/x64/assembler/index.ts';
import type { Cpu } from '../src/target/x64/cpu.ts';
import { writeFunction } from '../src/target/x64/entry-code.ts';

type Vector = typeof zmm | typeof ymm;

/** An instruction `op sum, x, y` in as many chains as hide its latency. */
interface VectorProbe {
  readonly kind: 'vector';
  readonly needs: keyof Cpu;
  readonly op: Mnemonic;
  readonly register: Vector;
  readonly registers: number;
  /** FLOP or integer operations of one instruction. */
  readonly operations: number;
  /** 4 bytes that fill both factors: small, so that sums stay finite. */
  readonly factor: number;
}

/** Products of tiles: four sums of two factors on either side. */
interface TileProbe {
  readonly kind: 'tile';
  readonly needs: 'amx';
  readonly op: Mnemonic;
  readonly operations: number;
  readonly factor: number;
}

const HALF = 0x3f00_0000;
const BF16_HALVES = 0x3f00_3f00;
const BYTES_OF_3 = 0x0303_0303;

const vector = (
  needs: keyof Cpu,
  op: Mnemonic,
  operations: number,
  factor: number,
  register: Vector = zmm,
): VectorProbe => ({ kind: 'vector', needs, op, register, registers: register === zmm ? 32 : 16, operations, factor });

const TILE_ROWS = 16;
const TILE_ROW_BYTES = 64;
/** Multiplications and additions of a tile product whose elements take `bytes`. */
const tileOperations = (bytes: number): number => (2 * TILE_ROWS * TILE_ROWS * TILE_ROW_BYTES) / bytes;

/** Arithmetic by name. */
export const NATIVE_ARITHMETIC = {
  'fma-512': vector('avx512', 'vfmadd231ps', 2 * 16, HALF),
  'fma-256': vector('avx2', 'vfmadd231ps', 2 * 8, HALF, ymm),
  'dot8-512': vector('avx512Vnni', 'vpdpbusd', 2 * 64, BYTES_OF_3),
  'bf16-512': vector('avx512Bf16', 'vdpbf16ps', 2 * 32, BF16_HALVES),
  'amx-bf16': { kind: 'tile', needs: 'amx', op: 'tdpbf16ps', operations: tileOperations(2), factor: BF16_HALVES },
  'amx-int8': { kind: 'tile', needs: 'amx', op: 'tdpbssd', operations: tileOperations(1), factor: BYTES_OF_3 },
} as const satisfies Record<string, VectorProbe | TileProbe>;

export type NativeArithmetic = keyof typeof NATIVE_ARITHMETIC;

/** Two ports of four to six cycles want 12 chains at most; what is left of 32 registers does no harm. */
const CHAINS = { 32: 24, 16: 12 } as const;
/** Rounds over all chains in one turn of the loop. */
const UNROLL = 4;
const TURNS = 1024;

/** How a working set is read: as that many runs side by side, with or without prefetches so many bytes ahead. */
export interface ReadPattern {
  readonly streams: number;
  readonly aheadBytes: number;
}

/** What is tried out; which one is best differs between caches and memory. */
export const READ_PATTERNS: readonly ReadPattern[] = [
  { streams: 1, aheadBytes: 0 },
  { streams: 1, aheadBytes: 4096 },
  { streams: 4, aheadBytes: 0 },
  { streams: 4, aheadBytes: 1024 },
  { streams: 8, aheadBytes: 0 },
  { streams: 8, aheadBytes: 512 },
];

const LINE = 64;
/** Lines read of each stream in one turn of the loop. */
const LINES = 4;
/** A thread's part is a multiple of this, so that each pattern reads the same bytes. */
const PART_UNIT = 8 * LINES * LINE;

/** What every thread repeats. */
export type NativeWork =
  | { readonly kind: 'arithmetic'; readonly name: NativeArithmetic }
  | { readonly kind: 'read'; readonly memory: NativeMemory; readonly pattern: ReadPattern; readonly isAvx512: boolean };

/** Work in machine code on several threads. */
export interface NativeProbe {
  /** FLOP, integer operations or bytes of one pass of all threads. */
  readonly workPerPass: number;
  /** The code as text. */
  readonly listing: string;
  /** Does passes on all threads and returns when the last one is done. */
  run(passes: number): void;
  /** Ends the threads. */
  dispose(): void;
}

/** Rounds a working set up to what threads can share. */
export const wholeParts = (bytes: number, threads: number): number =>
  Math.ceil(bytes / (threads * PART_UNIT)) * threads * PART_UNIT;

// Registers: the two that a body finds its work in, and those it may use. None of them is changed by a system call.
const PASSES = 13;
const BASE = 12;
const CONTROL = 3; // rbx
const [COUNT, LEFT, POINTER, END] = [9, 8, 10, 14];

/** Emits `do body() while (--register > 0)`. */
function countDown(out: Assembler, register: number, body: () => void): void {
  const again = out.label();
  out.align(64);
  out.bind(again);
  body();
  out.emit('dec', r64(register));
  out.emit('jne', again);
}

const filled = (word: number, bytes: number): Uint8Array =>
  new Uint8Array(new Uint32Array(bytes / 4).fill(word).buffer);

function writeVectors(out: Assembler, { op, register, registers, factor }: VectorProbe): number {
  const chains = CHAINS[registers as keyof typeof CHAINS];
  const [x, y] = [register(registers === 32 ? 24 : 12), register(registers === 32 ? 25 : 13)];
  for (const it of [x, y]) out.emit('vmovups', it, mem({ label: out.constant(filled(factor, 64)) }));
  const clear: Mnemonic = register === zmm ? 'vpxord' : 'vpxor';
  for (let i = 0; i < chains; i++) out.emit(clear, register(i), register(i), register(i));
  countDown(out, PASSES, () => {
    out.emit('mov', r32(COUNT), imm(TURNS));
    countDown(out, COUNT, () => {
      for (let i = 0; i < UNROLL * chains; i++) out.emit(op, register(i % chains), x, y);
    });
  });
  return UNROLL * chains;
}

function writeTiles(out: Assembler, { op, factor }: TileProbe): number {
  // Palette 1: for each of eight tiles its bytes a row, from byte 16 on, and its rows, from byte 48 on.
  const shapes = new Uint8Array(64);
  shapes[0] = 1;
  for (let tile = 0; tile < 8; tile++) {
    shapes[16 + 2 * tile] = TILE_ROW_BYTES;
    shapes[48 + tile] = TILE_ROWS;
  }
  out.emit('ldtilecfg', mem({ label: out.constant(shapes, 64) }));
  out.emit('lea', r64(POINTER), out.constant(filled(factor, TILE_ROWS * TILE_ROW_BYTES), 64));
  out.emit('mov', r32(END), imm(TILE_ROW_BYTES));
  for (let tile = 0; tile < 4; tile++) out.emit('tilezero', tmm(tile));
  for (let tile = 4; tile < 8; tile++) out.emit('tileloadd', tmm(tile), mem({ base: POINTER, index: END, scale: 1 }));
  const sums = 4;
  countDown(out, PASSES, () => {
    out.emit('mov', r32(COUNT), imm(TURNS));
    countDown(out, COUNT, () => {
      for (let i = 0; i < UNROLL * sums; i++) {
        out.emit(op, tmm(i % sums), tmm(4 + ((i >> 1) & 1)), tmm(6 + (i & 1)));
      }
    });
  });
  out.emit('tilerelease');
  return UNROLL * sums;
}

function writeReads(out: Assembler, partBytes: number, { streams, aheadBytes }: ReadPattern, isAvx512: boolean): void {
  const streamBytes = partBytes / streams;
  const [register, registers, width] = isAvx512 ? ([zmm, 32, 64] as const) : ([ymm, 16, 32] as const);
  countDown(out, PASSES, () => {
    out.emit('mov', r64(POINTER), r64(BASE));
    out.emit('mov', r64(LEFT), imm(streamBytes / (LINES * LINE)));
    countDown(out, LEFT, () => {
      let next = 0;
      for (let line = 0; line < LINES; line++) {
        for (let stream = 0; stream < streams; stream++) {
          const displacement = stream * streamBytes + line * LINE;
          if (aheadBytes > 0) out.emit('prefetcht0', mem({ base: POINTER, displacement: displacement + aheadBytes }));
          for (let at = 0; at < LINE; at += width)
            out.emit('vmovaps', register(next++ % registers), mem({ base: POINTER, displacement: displacement + at }));
        }
      }
      out.emit('add', r64(POINTER), imm(LINES * LINE));
    });
  });
}

/** Byte offsets in the control block, each on a cache line of its own. */
const TURN = 0;
const DONE = 64;
const SHARED_PASSES = 128;
const CONTROL_BYTES = 192;
/** System call, and its operations for threads of one process. */
const FUTEX = { call: 202, wait: 128, wake: 129 } as const;

/** `futex(control + TURN, operation, value, no timeout)`. */
function writeFutex(out: Assembler, operation: number, value: () => void): void {
  out.emit('lea', r64(7), mem({ base: CONTROL, displacement: TURN }));
  out.emit('mov', r32(6), imm(operation));
  value();
  out.emit('xor', r32(10), r32(10));
  out.emit('mov', r32(0), imm(FUTEX.call));
  out.emit('syscall');
}

/** The first thread: wakes the others, does its part, and waits, spinning, until they have done theirs. */
function writeLead(out: Assembler, body: Label, others: number): void {
  out.emit('mov', mem({ base: CONTROL, displacement: SHARED_PASSES }), r64(PASSES));
  out.emit('lock inc.d', mem({ base: CONTROL, displacement: TURN }));
  if (others > 0) writeFutex(out, FUTEX.wake, () => out.emit('mov', r32(2), imm(others)));
  const end = out.label();
  out.emit('test', r64(PASSES), r64(PASSES));
  out.emit('je', end);
  out.emit('call', body);
  if (others > 0) {
    out.emit('imul', r32(2), mem({ base: CONTROL, displacement: TURN }), imm(others));
    const again = out.label();
    out.bind(again);
    out.emit('pause');
    out.emit('mov', r32(0), mem({ base: CONTROL, displacement: DONE }));
    out.emit('cmp', r32(0), r32(2));
    out.emit('jne', again);
  }
  out.bind(end);
  out.emit('xor', r32(0), r32(0));
}

/** Another thread: sleeps until the turn changes, does its part, counts it, until a turn has no passes. */
function writeWorker(out: Assembler, body: Label): void {
  const seen = r32(15);
  const [wait, go, end] = [out.label(), out.label(), out.label()];
  out.emit('xor', seen, seen);
  out.bind(wait);
  out.emit('mov', r32(0), mem({ base: CONTROL, displacement: TURN }));
  out.emit('cmp', r32(0), seen);
  out.emit('jne', go);
  writeFutex(out, FUTEX.wait, () => out.emit('mov', r32(2), seen));
  out.emit('jmp', wait);
  out.bind(go);
  out.emit('mov', seen, r32(0));
  out.emit('mov', r64(PASSES), mem({ base: CONTROL, displacement: SHARED_PASSES }));
  out.emit('test', r64(PASSES), r64(PASSES));
  out.emit('je', end);
  out.emit('call', body);
  out.emit('lock inc.d', mem({ base: CONTROL, displacement: DONE }));
  out.emit('jmp', wait);
  out.bind(end);
  out.emit('xor', r32(0), r32(0));
}

interface Body {
  readonly workPerPass: number;
  /** Bytes from one thread's memory to the next one's. */
  readonly partBytes: number;
}

/** The part of one thread: passes in `PASSES`, memory at `BASE`. */
function writeBody(out: Assembler, work: NativeWork, threads: number): Body {
  if (work.kind === 'read') {
    const partBytes = work.memory.byteLength / threads;
    writeReads(out, partBytes, work.pattern, work.isAvx512);
    return { workPerPass: partBytes, partBytes };
  }
  const probe: VectorProbe | TileProbe = NATIVE_ARITHMETIC[work.name];
  const perTurn = probe.kind === 'tile' ? writeTiles(out, probe) : writeVectors(out, probe);
  return { workPerPass: perTurn * TURNS * probe.operations, partBytes: 0 };
}

/** Generates the code of a probe and starts `threads - 1` threads, which sleep. The memory of a `read` stays the caller's. */
export function openNativeProbe(host: NativeHost, work: NativeWork, threads: number): NativeProbe {
  const control = host.allocate(CONTROL_BYTES);
  const out = new Assembler({ listing: true });
  const [lead, worker, body] = [out.label('lead'), out.label('worker'), out.label('body')];
  out.bind(body);
  const { workPerPass, partBytes } = writeBody(out, work, threads);
  out.emit('ret');
  const start = (label: Label, write: () => void): void => {
    out.align(16);
    out.bind(label);
    writeFunction(out, host.convention, 64, ([argument]) => {
      out.emit('mov', r64(PASSES), argument!);
      out.emit('mov', r64(CONTROL), imm(control.address));
      out.emit('mov', r64(BASE), imm(work.kind === 'read' ? work.memory.address : 0));
      write();
    });
  };
  start(lead, () => writeLead(out, body, threads - 1));
  start(worker, () => {
    // The argument is the thread's number: which part is its own.
    out.emit('mov', r64(0), imm(partBytes));
    out.emit('imul', r64(0), r64(PASSES));
    out.emit('add', r64(BASE), r64(0));
    writeWorker(out, body);
  });
  const code = host.mapCode(out.finish());
  const call = host.function(code.address + out.offsetOf(lead), 1);
  const others: NativeThread[] = [];
  for (let thread = 1; thread < threads; thread++)
    others.push(host.startThread(code.address + out.offsetOf(worker), thread));
  return {
    workPerPass: workPerPass * threads,
    listing: out.listing(),
    run: (passes) => void call(passes),
    dispose() {
      call(0);
      for (const thread of others) thread.join();
      code.dispose();
      control.dispose();
    },
  };
}
