/**
 * Writes virtual code as machine code once its registers are allocated: registers that lie in memory become memory
 * operands where an instruction takes one, else they pass through scratch registers, and moves to the same place are left out.
 */

import type { Allocation, Passing } from './allocate-registers.ts';
import type { Assembler, Memory, Mnemonic, Operand, Register, RegisterKind } from './assembler/index.ts';
import { k, r8, r16, r32, r64, xmm, ymm, zmm } from './assembler/index.ts';
import type { CodeFeatures } from './features.ts';
import { isMemory, isMoveInPlace, MEMORY_POSITIONS, MOVES, memoryPosition } from './memory-operands.ts';
import type { TileEmulation } from './tile-emulation.ts';
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

/** rax and rdx: no virtual register gets them, they divide and carry what lies in memory. */
const GENERAL_SCRATCH: readonly number[] = [0, 2];
const NO_PASSING: Passing = { vector: [], mask: [] };

export class CodeWriter {
  readonly #out: Assembler;
  readonly #allocation: Allocation;
  /** Registers that the current instruction's values pass through. */
  #scratch = NO_PASSING;
  /** What writes instructions on tiles where the processor has none. */
  readonly #emulation: TileEmulation | undefined;
  readonly #offsets: Readonly<Record<RegisterClass, number>>;
  /** Bytes between the stack pointer and the return address. */
  readonly frameBytes: number;
  #used: Record<RegisterClass, number> = { general: 0, vector: 0, mask: 0 };

  /** Whole registers are kept, whatever part of them is in use. */
  readonly #widest: 'ymm' | 'zmm';

  /** On entry the stack pointer is 8 below a multiple of 64, the arguments lie above the return address. */
  constructor(out: Assembler, allocation: Allocation, { avx512 }: CodeFeatures, emulation?: TileEmulation) {
    this.#out = out;
    this.#widest = avx512 ? 'zmm' : 'ymm';
    this.#allocation = allocation;
    this.#emulation = emulation;
    const ownBytes = emulation?.frameBytes ?? 0;
    const { vector, general, mask } = allocation.slots;
    const vectorEnd = ownBytes + vector * VECTOR_SLOT;
    this.#offsets = { vector: ownBytes, general: vectorEnd, mask: vectorEnd + general * WORD };
    const bytes = vectorEnd + (general + mask) * WORD;
    this.frameBytes = bytes === 0 ? 0 : Math.ceil((bytes + WORD) / 64) * 64 - WORD;
  }

  /** Writes the function's items between its entry and its return. */
  write(items: readonly Item[]): void {
    const out = this.#out;
    const { loads } = this.#allocation;
    if (this.frameBytes > 0) out.emit('sub', r64(RSP), { kind: 'imm', value: this.frameBytes });
    for (const [number, item] of items.entries()) {
      for (const register of loads.get(number) ?? []) this.#load(register, register.physical);
      if (isInstruction(item)) this.#instruction(item, number);
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
    const place = this.#used[of]++;
    return of === 'general' ? GENERAL_SCRATCH[place]! : this.#scratch[of][place]!;
  }

  #instruction(item: VirtualInstruction, number: number): void {
    const { operands, first, mask, zeroing } = item;
    const name = this.#sized(item);
    const out = this.#out;
    if (isMoveInPlace(item)) return;
    this.#used = { general: 0, vector: 0, mask: 0 };
    this.#scratch = this.#allocation.passing.get(number) ?? NO_PASSING;
    const memoryAt = memoryPosition(item);
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
        const isGeneral = register.class === 'general';
        const scratch = isGeneral ? GENERAL_SCRATCH[memory.some((m) => m) ? 1 : 0]! : this.#scratch[register.class][0]!;
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
    } else if (!this.#emulation?.emit(name, physical)) out.emit(name, ...physical);
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
    else this.#out.emit('vmovups', place, REGISTERS[this.#widest](scratch));
  }

  #memory({ base, index, isStrided, ...rest }: VirtualMemory): Memory {
    const general = (register: VirtualRegister): number => {
      if (register.physical >= 0) return register.physical;
      const scratch = this.#takeScratch('general');
      this.#load(register, scratch);
      return scratch;
    };
    if (base && index && base.physical < 0 && index.physical < 0 && !isStrided) {
      // One scratch register for the whole address: another is left for the value.
      const [sum, scratch] = [this.#takeScratch('general'), GENERAL_SCRATCH[1]!];
      this.#load(base, sum);
      this.#load(index, scratch);
      this.#out.emit('lea', r64(sum), { kind: 'mem', base: sum, index: scratch, scale: rest.scale ?? 1 });
      const { scale, ...others } = rest;
      return { ...others, base: sum };
    }
    return { ...rest, ...(base && { base: general(base) }), ...(index && { index: general(index) }) };
  }
}
