/**
 * What x86-64 instructions work on: registers, memory, immediates and labels.
 * Plain data; the ids are those of the machine (rax rcx rdx rbx rsp rbp rsi rdi r8..r15).
 * Spec: Intel SDM volume 2A, sections 2.1 (ModR/M and SIB) and 2.7 (embedded broadcast, masks).
 */
import { BitloomError } from '../../../ir/error.ts';

export type RegisterKind = 'r8' | 'r16' | 'r32' | 'r64' | 'xmm' | 'ymm' | 'zmm' | 'k' | 'tmm';

/** A register. There is one object per kind and id. */
export interface Register {
  readonly kind: RegisterKind;
  readonly id: number;
}

/** A place in the code or in its constant pool. */
export interface Label {
  readonly kind: 'label';
  readonly name: string;
  /** Bytes from the start of the code; -1 until the assembler binds it. */
  offset: number;
}

/** An address: base + index * scale + displacement, or a label (relative to rip) + displacement. */
export interface Memory {
  readonly kind: 'mem';
  /** Id of a 64-bit register. */
  readonly base?: number;
  /** Id of a 64-bit register, or of a vector register where `vector` says so. */
  readonly index?: number;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly displacement?: number;
  readonly label?: Label;
  /** EVEX: reads one element and repeats it in every lane. */
  readonly broadcast?: boolean;
  /** Gathers and scatters: the kind of the register whose lanes are the index. */
  readonly vector?: 'xmm' | 'ymm' | 'zmm';
}

/** An integer of the code, up to 2^53. */
export interface Immediate {
  readonly kind: 'imm';
  readonly value: number;
}

export type Operand = Register | Memory | Immediate | Label;

/** EVEX: lanes outside the mask register k1..k7 keep their value, or become zero. */
export interface Options {
  readonly mask?: number;
  readonly zeroing?: boolean;
}

function family(kind: RegisterKind, count: number): (id: number) => Register {
  const registers = Array.from({ length: count }, (_, id): Register => Object.freeze({ kind, id }));
  return (id) => {
    const register = registers[id];
    if (register === undefined) {
      throw new BitloomError('INVALID_GRAPH', `there is no ${kind} register ${id}: ids run from 0 to ${count - 1}`, {
        kind,
        id,
      });
    }
    return register;
  };
}

/** Bytes: al cl dl bl spl bpl sil dil r8b..r15b. The high bytes of words (ah..) have no id. */
export const r8 = /* @__PURE__ */ family('r8', 16);
/** Words: ax cx dx bx sp bp si di r8w..r15w. */
export const r16 = /* @__PURE__ */ family('r16', 16);
/** Double words: eax ecx edx ebx esp ebp esi edi r8d..r15d. */
export const r32 = /* @__PURE__ */ family('r32', 16);
/** Quad words: rax rcx rdx rbx rsp rbp rsi rdi r8..r15. */
export const r64 = /* @__PURE__ */ family('r64', 16);
/** Vectors of 16 bytes; ids from 16 need AVX-512. */
export const xmm = /* @__PURE__ */ family('xmm', 32);
/** Vectors of 32 bytes; ids from 16 need AVX-512. */
export const ymm = /* @__PURE__ */ family('ymm', 32);
/** Vectors of 64 bytes. */
export const zmm = /* @__PURE__ */ family('zmm', 32);
/** Mask registers. */
export const k = /* @__PURE__ */ family('k', 8);
/** Tiles of AMX. */
export const tmm = /* @__PURE__ */ family('tmm', 8);

/** An immediate operand. */
export const imm = (value: number): Immediate => ({ kind: 'imm', value });
/** A memory operand. */
export const mem = (address: Omit<Memory, 'kind'>): Memory => ({ kind: 'mem', ...address });
