/** Reads the operands of one instruction in Intel's syntax, for tests: what `listing.ts` writes. */
import { registerName } from './listing.ts';
import {
  imm,
  k,
  type Label,
  type Memory,
  type Operand,
  type Options,
  type Register,
  r8,
  r16,
  r32,
  r64,
  tmm,
  xmm,
  ymm,
  zmm,
} from './operand.ts';

const ids = (count: number) => Array.from({ length: count }, (_, id) => id);
const REGISTERS = new Map<string, Register>(
  [
    ...[r8, r16, r32, r64].flatMap((make) => ids(16).map(make)),
    ...[xmm, ymm, zmm].flatMap((make) => ids(32).map(make)),
    ...[k, tmm].flatMap((make) => ids(8).map(make)),
  ].map((register) => [registerName(register), register]),
);

function parseMemory(text: string, labels: ReadonlyMap<string, Label>, broadcast: boolean): Memory {
  const memory: { -readonly [K in keyof Memory]: Memory[K] } = { kind: 'mem' };
  if (broadcast) memory.broadcast = true;
  for (const term of text.match(/-?[^+-]+/g) ?? []) {
    const [name = '', scale] = term.split('*');
    const register = REGISTERS.get(name);
    const label = labels.get(name);
    if (label) memory.label = label;
    else if (register && scale !== undefined) {
      memory.index = register.id;
      memory.scale = Number(scale) as 1 | 2 | 4 | 8;
      if (register.kind !== 'r64') memory.vector = register.kind as 'xmm' | 'ymm' | 'zmm';
    } else if (register) memory.base = register.id;
    else if (name !== 'rip') memory.displacement = Number(name);
  }
  return memory;
}

/** Operands and mask of a text such as `zmm1{k2}{z}, zmm3, [rax+64]{1to16}`. */
export function parseOperands(
  text: string,
  labels: ReadonlyMap<string, Label> = new Map(),
): { operands: Operand[]; options: Options | undefined } {
  let options: Options | undefined;
  const operands = (text === '' ? [] : text.split(', ')).map((item): Operand => {
    const mask = /\{k([1-7])\}(\{z\})?/.exec(item);
    if (mask) options = { mask: Number(mask[1]), ...(mask[2] ? { zeroing: true } : {}) };
    const address = /\[(.*)\]/.exec(item);
    if (address) return parseMemory(address[1]!, labels, item.includes('{1to'));
    const name = item.replace(/\{.*/, '');
    return REGISTERS.get(name) ?? labels.get(name) ?? imm(Number(name));
  });
  return { operands, options };
}
