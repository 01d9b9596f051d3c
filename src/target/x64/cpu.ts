/**
 * What the processor and its system can do, asked by CPUID and XGETBV, which run as generated code. Source: Intel 64 and
 * IA-32 Architectures Software Developer's Manual, volume 2A, CPUID; volume 1, chapter 13 (XSAVE state).
 */
import type { NativeHost } from '../../platform/index.ts';
import { Assembler, r32, r64 } from './assembler/index.ts';
import { CONVENTIONS } from './entry-code.ts';

export interface Cpu {
  readonly name: string;
  readonly avx2: boolean;
  /** F, BW, DQ and VL: what current server and desktop cores with AVX-512 share. */
  readonly avx512: boolean;
  readonly avx512Vnni: boolean;
  readonly avxVnni: boolean;
  readonly avx512Bf16: boolean;
  readonly avx512Fp16: boolean;
  /** VBMI and VBMI2: byte permutations, compression and expansion of bytes and words. */
  readonly avx512Vbmi2: boolean;
  readonly avx512Popcount: boolean;
  /** GFNI: products of bytes with a matrix of bits, at every vector length. */
  readonly gfni: boolean;
  /** Tiles with bf16 and int8 products. */
  readonly amx: boolean;
  readonly l1Bytes: number;
  readonly l2Bytes: number;
  /** The last level, which cores share. */
  readonly l3Bytes: number;
}

interface Registers {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

const bit = (word: number, index: number): boolean => ((word >>> index) & 1) === 1;

/** A function of CPUID: leaf and sub-leaf to four words, or of XGETBV where `leaf` is -1. */
function reader(host: NativeHost): { read(leaf: number, sub?: number): Registers; dispose(): void } {
  const out = new Assembler();
  const [table, leaf, sub] = CONVENTIONS[host.convention].parameters as [number, number, number];
  const [rax, rbx, rcx, rdx, r10, r11] = [0, 3, 1, 2, 10, 11];
  const control = out.label();
  const done = out.label();
  out.emit('mov', r64(r11), r64(rbx));
  out.emit('mov', r64(r10), r64(table));
  out.emit('mov', r32(rax), r32(leaf));
  out.emit('mov', r32(rcx), r32(sub));
  out.emit('cmp', r32(rax), { kind: 'imm', value: -1 });
  out.emit('je', control);
  out.emit('cpuid');
  out.emit('jmp', done);
  out.bind(control);
  out.emit('xor', r32(rcx), r32(rcx));
  out.emit('xgetbv');
  out.bind(done);
  for (const [i, register] of [rax, rbx, rcx, rdx].entries())
    out.emit('mov', { kind: 'mem', base: r10, displacement: 4 * i }, r32(register));
  out.emit('mov', r64(rbx), r64(r11));
  out.emit('ret');
  const code = host.mapCode(out.finish());
  const memory = host.allocate(64);
  const call = host.function(code.address, 3);
  const words = new Uint32Array(memory.bytes.buffer, memory.bytes.byteOffset, 4);
  return {
    read(wanted, subLeaf = 0) {
      call(memory.address, wanted, subLeaf);
      const [a, b, c, d] = words as unknown as [number, number, number, number];
      return { a, b, c, d };
    },
    dispose() {
      memory.dispose();
      code.dispose();
    },
  };
}

/** State that the system saves for threads, as bits of XCR0. */
const STATE = { avx: 0b110, avx512: 0b1110_0110, tiles: 0b11 << 17 };

export function detectCpu(host: NativeHost): Cpu {
  const { read, dispose } = reader(host);
  try {
    const most = read(0).a;
    const basic = read(1);
    const none: Registers = { a: 0, b: 0, c: 0, d: 0 };
    const extended = most >= 7 ? read(7) : none;
    const more = most >= 7 && extended.a >= 1 ? read(7, 1) : none;
    const state = bit(basic.c, 27) ? read(-1).a : 0;
    const saves = (wanted: number): boolean => (state & wanted) === wanted;
    const avx2 =
      saves(STATE.avx) &&
      [12, 28, 29].every((i) => bit(basic.c, i)) && // FMA, AVX, F16C
      [3, 5, 8].every((i) => bit(extended.b, i)); // BMI1, AVX2, BMI2
    const avx512 = avx2 && saves(STATE.avx512) && [16, 17, 30, 31].every((i) => bit(extended.b, i));
    return {
      name: brand(read),
      avx2,
      avx512,
      avx512Vnni: avx512 && bit(extended.c, 11),
      avxVnni: avx2 && bit(more.a, 4),
      avx512Bf16: avx512 && bit(more.a, 5),
      avx512Fp16: avx512 && bit(extended.d, 23),
      avx512Vbmi2: avx512 && bit(extended.c, 1) && bit(extended.c, 6),
      avx512Popcount: avx512 && bit(extended.c, 14),
      gfni: avx2 && bit(extended.c, 8),
      amx: avx512 && saves(STATE.tiles) && [22, 24, 25].every((i) => bit(extended.d, i)),
      ...caches(read),
    };
  } finally {
    dispose();
  }
}

function brand(read: (leaf: number) => Registers): string {
  if (read(0x8000_0000).a < 0x8000_0004) return 'x86-64';
  const words = [2, 3, 4].flatMap((i) => {
    const { a, b, c, d } = read(0x8000_0000 + i);
    return [a, b, c, d];
  });
  return new TextDecoder().decode(new Uint32Array(words)).replace(/\0.*$/, '').trim() || 'x86-64';
}

/** Data caches by level: leaf 4 of Intel, 0x8000001d of AMD, which is laid out the same. */
function caches(read: (leaf: number, sub?: number) => Registers) {
  const sizes = [0, 32 << 10, 1 << 20, 0];
  const leaf = (read(4).a & 31) !== 0 ? 4 : read(0x8000_0000).a >= 0x8000_001d ? 0x8000_001d : undefined;
  for (let sub = 0; leaf !== undefined && sub < 8; sub++) {
    const { a, b, c } = read(leaf, sub);
    const kind = a & 31;
    if (kind === 0) break;
    if (kind === 2) continue; // instructions
    const level = (a >>> 5) & 7;
    if (level <= 3) sizes[level] = ((b >>> 22) + 1) * (((b >>> 12) & 0x3ff) + 1) * ((b & 0xfff) + 1) * (c + 1);
  }
  return { l1Bytes: sizes[1]!, l2Bytes: sizes[2]!, l3Bytes: sizes[3]! };
}
