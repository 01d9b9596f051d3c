/**
 * Instructions as text, in Intel's syntax as GNU as reads it.
 * Flow: `Assembler` keeps a line for each instruction where a listing was asked for; errors name operands in the same way.
 */
import type { Form } from './form.ts';
import type { Memory, Operand, Options, Register } from './operand.ts';

const LEGACY_NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const SIZE_NAMES: Readonly<Record<string, string>> = {
  b: 'byte ptr ',
  w: 'word ptr ',
  d: 'dword ptr ',
  q: 'qword ptr ',
  x: 'xmmword ptr ',
  y: 'ymmword ptr ',
};
/** Instructions whose operand in memory has one size that their other operands do not tell. */
const OPERAND_SIZES: Readonly<Record<string, string>> = {
  movzx8: 'b',
  movsx8: 'b',
  movzx16: 'w',
  movsx16: 'w',
  jmp: 'q',
  call: 'q',
  push: 'q',
  pop: 'q',
};

function generalName(kind: string, id: number): string {
  if (id >= 8) return `r${id}${{ r8: 'b', r16: 'w', r32: 'd' }[kind] ?? ''}`;
  const word = LEGACY_NAMES[id]!;
  if (kind === 'r8') return id < 4 ? `${word[0]}l` : `${word}l`;
  return ({ r32: 'e', r64: 'r' }[kind] ?? '') + word;
}

/** `eax`, `r9`, `zmm31`, `k1`. */
export function registerName({ kind, id }: Register): string {
  return kind === 'r8' || kind === 'r16' || kind === 'r32' || kind === 'r64' ? generalName(kind, id) : `${kind}${id}`;
}

/** `[rax+rcx*4+64]`; `[rip+L0]`. */
export function memoryText({ base, index, scale = 1, displacement = 0, label, vector }: Memory): string {
  const terms: string[] = [];
  if (label !== undefined) terms.push('rip', label.name);
  if (base !== undefined) terms.push(generalName('r64', base));
  if (index !== undefined) terms.push(`${vector ? vector + index : generalName('r64', index)}*${scale}`);
  const sum = terms.join('+');
  if (sum === '') return `ds:[${displacement}]`;
  return displacement === 0 ? `[${sum}]` : `[${sum}${displacement > 0 ? '+' : ''}${displacement}]`;
}

/** One operand. `sizeName` stands before memory; `lanes` is the number of copies of a broadcast. */
function operandText(operand: Operand, sizeName: string, lanes: number): string {
  if (operand.kind === 'imm') return String(operand.value);
  if (operand.kind === 'label') return operand.name;
  if (operand.kind !== 'mem') return registerName(operand);
  if (operand.broadcast) return `${memoryText(operand)}{1to${lanes > 0 ? lanes : 'n'}}`;
  return sizeName + memoryText(operand);
}

/** The operands as text, with mask. Without a form, as errors name them. */
export function operandsText(name: string, operands: readonly Operand[], options?: Options, form?: Form): string {
  const size = OPERAND_SIZES[name] ?? (/\.([bwdqxy])$/.exec(name)?.[1] || '');
  const lanes = form && form.element > 0 ? form.unit / form.element : 0;
  return operands
    .map((operand, i) => {
      const isAddress = name === 'lea' && operand.kind === 'label';
      const text = isAddress ? `[rip+${operand.name}]` : operandText(operand, SIZE_NAMES[size] ?? '', lanes);
      if (i > 0 || options?.mask === undefined) return text;
      return `${text}{k${options.mask}}${options.zeroing ? '{z}' : ''}`;
    })
    .join(', ');
}

/** The mnemonic as other assemblers spell it: sizes belong to operands there. */
export function mnemonicText(name: string): string {
  if (name.startsWith('vex ')) return `{vex} ${name.slice(4)}`;
  return name.replace(/\.[bwdqxy]$/, '').replace(/^(mov[sz]x)(8|16)$/, '$1');
}
