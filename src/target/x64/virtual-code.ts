/**
 * Code over virtual registers: what lowering writes and register allocation reads. Instructions are the assembler's,
 * with a virtual register where that has a physical one. A register may have a home in memory from the start (a constant
 * in the pool, an argument on the stack): where it gets no physical register, it is read from there and never stored.
 */
import type { Immediate, Label, Mnemonic, Register, RegisterKind } from './assembler/index.ts';

export type RegisterClass = 'general' | 'vector' | 'mask';

export interface VirtualRegister {
  readonly id: number;
  readonly class: RegisterClass;
  /** Where the value lies from the start; undefined: where it is written. */
  readonly home: Home | undefined;
  /** A register that this one is copied from: sharing saves the move. */
  hint: VirtualRegister | undefined;
  /** Number of the physical register, -1 without one. Set by allocation. */
  physical: number;
  /** Number of its stack slot, -1 without one. Set by allocation. */
  slot: number;
  /** Whether `physical` is a given: allocation leaves it alone. */
  readonly isFixed: boolean;
}

/** Memory that holds a register's value: a label in the constant pool and how to load it, or an argument's number. */
export type Home =
  | { readonly kind: 'constant'; readonly label: Label; readonly as: 'xmm' | 'ymm' | 'zmm' }
  | { readonly kind: 'argument'; readonly index: number };

/** A register as one instruction sees it. */
export interface Use {
  readonly register: VirtualRegister;
  readonly kind: RegisterKind;
}

export interface VirtualMemory {
  readonly kind: 'mem';
  readonly base?: VirtualRegister;
  readonly index?: VirtualRegister;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly displacement?: number;
  readonly label?: Label;
  readonly broadcast?: boolean;
  /** Whether the index has to stay a register of its own: it is the stride of a tile's rows. */
  readonly isStrided?: boolean;
}

/** Tiles are physical from the start: there is nothing to allocate. */
export type VirtualOperand = Use | VirtualMemory | Immediate | Label | Register;

export interface VirtualInstruction {
  readonly name: Mnemonic;
  readonly operands: readonly VirtualOperand[];
  /** What happens to operand 0, where it is a register. */
  readonly first: 'read' | 'written' | 'both';
  readonly mask: VirtualRegister | undefined;
  readonly zeroing: boolean;
}

/** What stands between instructions. */
export type Item =
  | VirtualInstruction
  | { readonly kind: 'bind'; readonly label: Label }
  | { readonly kind: 'align' }
  /** Marks for allocation: what lives into a loop lives to its end; what a branch may skip is of no use after it. */
  | { readonly kind: 'region'; readonly isLoop: boolean; readonly isStart: boolean };

export const isUse = (operand: VirtualOperand): operand is Use => 'register' in operand;
export const isInstruction = (item: Item): item is VirtualInstruction => 'name' in item;

const CLASS: Readonly<Record<RegisterKind, RegisterClass>> = {
  r8: 'general',
  r16: 'general',
  r32: 'general',
  r64: 'general',
  xmm: 'vector',
  ymm: 'vector',
  zmm: 'vector',
  k: 'mask',
  tmm: 'mask',
};

/** Collects the items of one function. */
export class VirtualCode {
  readonly items: Item[] = [];
  readonly registers: VirtualRegister[] = [];

  register(of: RegisterKind, home?: Home): VirtualRegister {
    const register = {
      id: this.registers.length,
      class: CLASS[of],
      home,
      hint: undefined,
      physical: -1,
      slot: -1,
      isFixed: false,
    };
    this.registers.push(register);
    return register;
  }

  /** A physical register that allocation gives to nobody. */
  fixed(physical: number): VirtualRegister {
    const register: VirtualRegister = { ...this.register('r64'), physical, isFixed: true };
    this.registers[register.id] = register;
    return register;
  }

  /** Adds an instruction whose first operand is only read, or memory. */
  read(name: Mnemonic, ...operands: VirtualOperand[]): void {
    this.items.push({ name, operands, first: 'read', mask: undefined, zeroing: false });
  }

  /** Adds an instruction that writes its first operand. */
  write(name: Mnemonic, ...operands: VirtualOperand[]): void {
    this.items.push({ name, operands, first: 'written', mask: undefined, zeroing: false });
  }

  /** Adds an instruction that reads and writes its first operand. */
  update(name: Mnemonic, ...operands: VirtualOperand[]): void {
    this.items.push({ name, operands, first: 'both', mask: undefined, zeroing: false });
  }

  /** Adds an instruction under a mask: other lanes of the first operand become zero, or stay. */
  masked(name: Mnemonic, mask: VirtualRegister, zeroing: boolean, ...operands: VirtualOperand[]): void {
    this.items.push({ name, operands, first: zeroing ? 'written' : 'both', mask, zeroing });
  }

  /** Adds an instruction that picks lanes by a mask: it writes all lanes of its first operand. */
  blend(name: Mnemonic, mask: VirtualRegister, ...operands: VirtualOperand[]): void {
    this.items.push({ name, operands, first: 'written', mask, zeroing: false });
  }

  bind(label: Label): void {
    this.items.push({ kind: 'bind', label });
  }

  align(): void {
    this.items.push({ kind: 'align' });
  }

  /** Marks what `body` adds as a loop, or as a branch that may be skipped. */
  region(isLoop: boolean, body: () => void): void {
    this.items.push({ kind: 'region', isLoop, isStart: true });
    body();
    this.items.push({ kind: 'region', isLoop, isStart: false });
  }
}
