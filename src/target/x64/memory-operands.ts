/** Where instructions take memory in place of a register: what lies on the stack or in its home needs no register there. */
import {
  isUse,
  type RegisterClass,
  type Use,
  type VirtualInstruction,
  type VirtualMemory,
  type VirtualOperand,
  type VirtualRegister,
} from './virtual-code.ts';

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
export const MEMORY_POSITIONS: Readonly<Record<string, number>> = {
  shlx: 1,
  shrx: 1,
  sarx: 1,
  div: 0,
  idiv: 0,
  vblendvps: 2,
};
/** Moves of a whole register; between equal ones they do nothing. */
export const MOVES: ReadonlySet<string> = new Set(['mov', 'vmovaps', 'kmovw']);

export const isMemory = (operand: VirtualOperand): operand is VirtualMemory =>
  'kind' in operand && operand.kind === 'mem';

/** Whether a move from a physical register to a slot of its class can store at once. */
const isStoreBetween = (to: VirtualOperand, from: VirtualOperand): boolean =>
  isUse(to) && isUse(from) && from.register.physical >= 0 && from.register.class === to.register.class;

/** Whether memory in place of a register would be read as the same value: 8 and 16 bits have instructions of their own. */
const isWide = ({ kind }: Use): boolean => kind !== 'r8' && kind !== 'r16' && kind !== 'k';

/** The one operand that may be memory: the last register behind the first, where no other operand is memory; -1 for none. */
export function memoryPosition({ name, operands, mask }: VirtualInstruction): number {
  if (REGISTERS_ONLY.has(name) || operands.some(isMemory)) return -1;
  const special = MEMORY_POSITIONS[name];
  if (special !== undefined) return special;
  if (MOVES.has(name) && !mask && isStoreBetween(operands[0]!, operands[1]!)) return 0;
  for (let i = operands.length - 1; i > 0; i--) {
    const operand = operands[i]!;
    if (isUse(operand)) return isWide(operand) ? i : -1;
  }
  return -1;
}

/** Whether a move does nothing: both registers are the same. */
export function isMoveInPlace({ name, operands, mask }: VirtualInstruction): boolean {
  const [a, b] = operands;
  if (mask || operands.length !== 2 || !MOVES.has(name) || !isUse(a!) || !isUse(b!)) return false;
  const [to, from] = [a.register, b.register];
  return to === from || (to.class === from.class && to.physical >= 0 && to.physical === from.physical);
}

/**
 * How many values of a class pass through registers at an instruction although they lie in memory. A result may take the
 * register of a source: sources are read before it is written.
 */
export function passing(item: VirtualInstruction, of: RegisterClass): number {
  const memoryAt = memoryPosition(item);
  const isPassing = (register: VirtualRegister): boolean => register.class === of && register.physical < 0;
  let count = item.mask && isPassing(item.mask) ? 1 : 0;
  let isWritten = false;
  for (const [i, operand] of item.operands.entries()) {
    if (i === memoryAt || !isUse(operand) || !isPassing(operand.register)) continue;
    if (i === 0 && item.first === 'written') isWritten = true;
    else count++;
  }
  return isWritten ? Math.max(count, 1) : count;
}
