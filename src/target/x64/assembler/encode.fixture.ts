/** Assembles one instruction from text, for tests. */
import { Assembler } from './assembler.ts';
import { parseOperands } from './intel-text.fixture.ts';
import type { Mnemonic } from './table.ts';

const FAR_BYTES = 200;

/** The bytes in hex. Labels: `next` behind the instruction, `back` at it, `far` 200 bytes before. */
export function encode(name: string, text: string): string {
  const assembler = new Assembler();
  const labels = new Map(['far', 'back', 'next'].map((label) => [label, assembler.label(label)]));
  assembler.bind(labels.get('far')!);
  if (/\bfar\b/.test(text)) for (let i = 0; i < FAR_BYTES; i++) assembler.emit('nop');
  assembler.bind(labels.get('back')!);
  const { operands, options } = parseOperands(text, labels);
  try {
    if (options) assembler.emitMasked(name as Mnemonic, options, ...operands);
    else assembler.emit(name as Mnemonic, ...operands);
  } catch (error) {
    return (error as Error).message;
  }
  assembler.bind(labels.get('next')!);
  const code = assembler.finish().subarray(assembler.offsetOf(labels.get('back')!));
  return Array.from(code, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
