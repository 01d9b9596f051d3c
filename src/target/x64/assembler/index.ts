/** Public names of the x86-64 assembler. */
export { Assembler } from './assembler.ts';
export {
  type Immediate,
  imm,
  k,
  type Label,
  type Memory,
  mem,
  type Operand,
  type Options,
  type Register,
  type RegisterKind,
  r8,
  r16,
  r32,
  r64,
  tmm,
  xmm,
  ymm,
  zmm,
} from './operand.ts';
export type { Condition } from './row.ts';
export { type Mnemonic, mnemonics } from './table.ts';
