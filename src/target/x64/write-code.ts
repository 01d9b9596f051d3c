/**
 * Writes virtual code as machine code once its registers are allocated: registers that lie in memory become memory
 * operands where an instruction takes one, else they pass through scratch registers, and moves to the same place are left out.
 */

import type { Allocation } from './allocate-registers.ts';
import type { Assembler, Memory, Mnemonic, Operand, Register, RegisterKind } from './assembler/index.ts';
import { k, r8, r16, r32, r64, xmm, ymm, zmm } from './assembler/index.ts';
import type { CodeFeatures } from './features.ts';
import {
  type Item,
  isInstruction,
  isUse,
  type RegisterClass,
  type Use,
  type VirtualInstruction,
  type VirtualMemory,
  type VirtualOperand,
  type VirtualRegister,
} from './virtual-code.ts';

export const RSP = 4;
const VECTOR_SLOT = 64;
const WORD = 8;

const REGISTERS: Readonly<Record<Exclude<RegisterKind, 'tmm'>, (id: number) => Register>> = {
  r8,
  r16,
  r32,
  r64,
  xmm,
  ymm,
  zmm,
  k,
};

/** Physical registers that no virtual one gets: values from memory pass through them. */
export type Scratch = Readonly<Record<RegisterClass, readonly number[]>>;

/** Instructions that take no memory where a register could stand last. */
const REGISTERS_ONLY: ReadonlySet<string> = new Set([
  'vmovmskps',
  'vpmovmskb',
  'vpmovm2d',
  'vpmovd2m',
  'knotw',
  'kandw',
  'korw',
  'kxorw',
  'kandnw',
  'kxnorw',
  'kortestw',
  'ktestw',
  'kshiftrw',
  'kshiftlw',
  'vmovhlps',
  'vmovlhps',
  'vextracti128',
  'vextractf128',
  'vextracti32x4',
  'vextractf32x4',
  'vextracti32x8',
  'vextractf32x8',
  'vextracti64x4',
  'vextractf64x4',
  'vpmovdb',
  'vpmovdw',
  'vpmovsdb',
  'vpmovsdw',
  'vcvtps2ph',
  'vpextrd',
  'lea',
]);
/** Instructions whose memory operand is not the last register. */
const MEMORY_POSITIONS: Readonly<Record<string, number>> = {
  shlx: 1,
  shrx: 1,
  sarx: 1,
  div: 0,
  idiv: 0,
  vblendvps: 2,
};
/** Moves of a whole register; between equal ones they do nothing. */
const MOVES: ReadonlySet<string> = new Set(['mov', 'vmovaps', 'kmovw']);
/** Two-operand instructions whose first may be memory while the second is a register. */
const STORES: Readonly<Record<RegisterClass, Mnemonic>> = { general: 'mov', vector: 'vmovups', mask: 'kmovw' };

const isMemory = (operand: VirtualOperand): operand is VirtualMemory => 'kind' in operand && operand.kind === 'mem';

/** Whether a move from a physical register to a slot of its class can store at once. */
const isStoreBetween = (to: VirtualOperand, from: VirtualOperand): boolean =>
  isUse(to) && isUse(from) && from.register.physical >= 0 && from.register.class === to.register.class;

export class CodeWriter {
  readonly #out: Assembler;
  readonly #allocation: Allocation;
  readonly #scratch: Scratch;
  readonly #offsets: Readonly<Record<RegisterClass, number>>;
  /** Bytes between the stack pointer and the return address. */
  readonly frameBytes: number;
  #used: Record<RegisterClass, number> = { general: 0, vector: 0, mask: 0 };

  /** Whole registers are kept, whatever part of them is in use. */
  readonly #widest: 'ymm' | 'zmm';

  /** On entry the stack pointer is 8 below a multiple of 64, the arguments lie above the return address. */
  constructor(out: Assembler, allocation: Allocation, scratch: Scratch, { avx512 }: CodeFeatures) {
    this.#out = out;
    this.#widest = avx512 ? 'zmm' : 'ymm';
    this.#allocation = allocation;
    this.#scratch = scratch;
    const { vector, general, mask } = allocation.slots;
    this.#offsets = { vector: 0, general: vector * VECTOR_SLOT, mask: vector * VECTOR_SLOT + general * WORD };
    const bytes = vector * VECTOR_SLOT + (general + mask) * WORD;
    this.frameBytes = bytes === 0 ? 0 : Math.ceil((bytes + WORD) / 64) * 64 - WORD;
  }

  /** Writes the function's items between its entry and its return. */
  write(items: readonly Item[]): void {
    const out = this.#out;
    const { loads } = this.#allocation;
    if (this.frameBytes > 0) out.emit('sub', r64(RSP), { kind: 'imm', value: this.frameBytes });
    for (const [number, item] of items.entries()) {
      for (const register of loads.get(number) ?? []) this.#load(register, register.physical);
      if (isInstruction(item)) this.#instruction(item);
      else if (item.kind === 'bind') out.bind(item.label);
      else if (item.kind === 'align') out.align(32);
    }
    if (this.frameBytes > 0) out.emit('add', r64(RSP), { kind: 'imm', value: this.frameBytes });
    out.emit('ret');
  }

  /** Where a register's value lies that has no physical one. */
  #place({ class: of, home, slot }: VirtualRegister): Memory {
    if (home?.kind === 'constant') return { kind: 'mem', label: home.label };
    const displacement =
      home?.kind === 'argument'
        ? this.frameBytes + WORD + WORD * home.index
        : this.#offsets[of] + slot * (of === 'vector' ? VECTOR_SLOT : WORD);
    return { kind: 'mem', base: RSP, displacement };
  }

  #load(register: VirtualRegister, physical: number): void {
    const { class: of, home } = register;
    const place = this.#place(register);
    if (of === 'general') this.#out.emit('mov', r64(physical), place);
    else if (of === 'mask') this.#out.emit('kmovq', k(physical), place);
    else {
      const width = home?.kind === 'constant' ? home.as : this.#widest;
      this.#out.emit('vmovups', REGISTERS[width](physical), place);
    }
  }

  #takeScratch(of: RegisterClass): number {
    return this.#scratch[of][this.#used[of]++]!;
  }

  #instruction(item: VirtualInstruction): void {
    const { operands, first, mask, zeroing } = item;
    const name = this.#sized(item);
    const out = this.#out;
    if (!mask && MOVES.has(name) && operands.length === 2 && this.#isSamePlace(operands[0]!, operands[1]!)) return;
    this.#used = { general: 0, vector: 0, mask: 0 };
    const memoryAt = this.#memoryPosition(item);
    let after: (() => void) | undefined;
    // Addresses first: one of two spilled parts may pass through the second scratch register, which is free again then.
    const memory = operands.map((operand) => (isMemory(operand) ? this.#memory(operand) : undefined));
    const physical: Operand[] = operands.map((operand, i): Operand => {
      if (!isUse(operand)) return memory[i] ?? (operand as Exclude<VirtualOperand, Use | VirtualMemory>);
      const { register, kind } = operand;
      // Slots hold whole words: what is moved to one is moved with its upper half, which is zero.
      const width = memoryAt === 0 && kind === 'r32' && MOVES.has(name) ? 'r64' : kind;
      if (register.physical >= 0) return REGISTERS[width as 'r64'](register.physical);
      if (i === memoryAt) return this.#place(register);
      if (i === 0 && first === 'written') {
        // Sources are read before the result is written, so they may share a register.
        const scratch = this.#scratch[register.class][memory.some((m) => m) && register.class === 'general' ? 1 : 0]!;
        after = () => this.#store(register, scratch);
        return REGISTERS[kind as 'r64'](scratch);
      }
      const scratch = this.#takeScratch(register.class);
      this.#load(register, scratch);
      if (i === 0 && first === 'both') after = () => this.#store(register, scratch);
      return REGISTERS[kind as 'r64'](scratch);
    });
    if (mask) {
      let id = mask.physical;
      if (id < 0) {
        id = this.#takeScratch('mask');
        this.#load(mask, id);
      }
      out.emitMasked(name, { mask: id, zeroing }, ...physical);
    } else out.emit(name, ...physical);
    after?.();
  }

  /** Instructions whose only register lies in memory say how wide it is. */
  #sized(item: VirtualInstruction): Mnemonic {
    const [only, from] = item.operands;
    // The lowest lane of a vector in memory is a word like any other.
    const isLane = item.name === 'vmovd' && isUse(only!) && only.register.class === 'general';
    if (isLane && isUse(from!) && from.register.physical < 0) return 'mov';
    if (MEMORY_POSITIONS[item.name] !== 0 || !isUse(only!) || only.register.physical >= 0) return item.name;
    return `${item.name}.${only.kind === 'r64' ? 'q' : 'd'}` as Mnemonic;
  }

  #store(register: VirtualRegister, scratch: number): void {
    const place = this.#place(register);
    if (register.class === 'general') this.#out.emit('mov', place, r64(scratch));
    else if (register.class === 'mask') this.#out.emit('kmovq', place, k(scratch));
    else this.#out.emit(STORES.vector, place, REGISTERS[this.#widest](scratch));
  }

  #isSamePlace(a: VirtualOperand, b: VirtualOperand): boolean {
    if (!isUse(a) || !isUse(b)) return false;
    if (a.register === b.register) return true;
    return (
      a.register.class === b.register.class && a.register.physical >= 0 && a.register.physical === b.register.physical
    );
  }

  /** The one operand that may be memory: the last register behind the first, where no other operand is memory. */
  #memoryPosition({ name, operands, mask }: VirtualInstruction): number {
    if (REGISTERS_ONLY.has(name) || operands.some(isMemory)) return -1;
    const special = MEMORY_POSITIONS[name];
    if (special !== undefined) return special;
    if (MOVES.has(name) && !mask && isStoreBetween(operands[0]!, operands[1]!)) return 0;
    for (let i = operands.length - 1; i > 0; i--) {
      const operand = operands[i]!;
      if (!isUse(operand)) continue;
      return this.#isWide(operand) ? i : -1;
    }
    return -1;
  }

  /** Whether memory in place of a register would be read as the same value: 8 and 16 bits have instructions of their own. */
  #isWide({ kind }: Use): boolean {
    return kind !== 'r8' && kind !== 'r16' && kind !== 'k';
  }

  #memory({ base, index, ...rest }: VirtualMemory): Memory {
    const general = (register: VirtualRegister): number => {
      if (register.physical >= 0) return register.physical;
      const scratch = this.#takeScratch('general');
      this.#load(register, scratch);
      return scratch;
    };
    if (base && index && base.physical < 0 && index.physical < 0) {
      // One scratch register for the whole address: another is left for the value.
      const [sum, scratch] = [this.#takeScratch('general'), this.#scratch.general[1]!];
      this.#load(base, sum);
      this.#load(index, scratch);
      this.#out.emit('lea', r64(sum), { kind: 'mem', base: sum, index: scratch, scale: rest.scale ?? 1 });
      const { scale, ...others } = rest;
      return { ...others, base: sum };
    }
    return { ...rest, ...(base && { base: general(base) }), ...(index && { index: general(index) }) };
  }
}
