/**
 * An assembler for x86-64: instructions by name, labels, a pool of constants.
 * Flow: lowered kernels (`target/x64`) call `emit`; `finish` gives the bytes that a runner puts in executable memory.
 */
import { BitloomError } from '../../../ir/error.ts';
import { ConstantPool } from './constant-pool.ts';
import { Encoder } from './encoder.ts';
import { EVEX, type Form, kindDigit, MAY_MASK, NEEDS_MASK, NO_MASK } from './form.ts';
import { mnemonicText, operandsText } from './listing.ts';
import type { Label, Operand, Options, Register } from './operand.ts';
import { lookUp, type Mnemonic } from './table.ts';

/** The nops that Intel recommends, of one to nine bytes (SDM volume 2B, NOP). */
const NOPS = [
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

interface Line {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const isBetween = (value: number, low: number, high: number) =>
  value >= low && value <= high && Number.isInteger(value);

/** Whether an immediate fits the form. */
function fitsImmediate({ immediateKind, size }: Form, value: number): boolean {
  switch (immediateKind) {
    case 'i8':
      return isBetween(value, -0x80, 0xff);
    case 's8': {
      // In 32 bits, 0xffffffff is -1.
      const max = size === 'w' ? 0xffff : size === 'd' ? 0xffff_ffff : 0x7f;
      const signed = size === 'w' ? (value << 16) >> 16 : size === 'd' ? value | 0 : value;
      return isBetween(value, -0x80, max) && isBetween(signed, -0x80, 0x7f);
    }
    case 'i16':
      return isBetween(value, 0, 0xffff);
    case 'iz':
      if (size === 'w') return isBetween(value, -0x8000, 0xffff);
      return isBetween(value, -0x8000_0000, size === 'd' ? 0xffff_ffff : 0x7fff_ffff);
    case 'i32':
      return isBetween(value, -0x8000_0000, 0x7fff_ffff);
    default:
      return Number.isSafeInteger(value);
  }
}

/** Writes machine code, instruction by instruction. */
export class Assembler {
  readonly #encoder = new Encoder();
  readonly #pool = new ConstantPool();
  readonly #lines: Line[] | undefined;
  #nLabels = 0;
  #code: Uint8Array<ArrayBuffer> | undefined;

  constructor(options: { listing?: boolean } = {}) {
    if (options.listing) this.#lines = [];
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#encoder.buffer.length;
  }

  /** Writes an instruction. Operands are in Intel's order, destination first. Throws: INVALID_GRAPH where no form fits. */
  emit(name: Mnemonic, ...operands: Operand[]): void {
    this.#write(name, operands, undefined);
  }

  /** Writes an instruction whose result only lanes of a mask take. Throws: INVALID_GRAPH where no form fits. */
  emitMasked(name: Mnemonic, options: Options, ...operands: Operand[]): void {
    this.#write(name, operands, options);
  }

  #write(name: Mnemonic, operands: readonly Operand[], options: Options | undefined): void {
    if (this.#code !== undefined) throw new BitloomError('INVALID_GRAPH', `${name} comes after finish()`, { name });
    const form = this.#choose(name, operands, options);
    if (form === undefined) {
      const text = operandsText(name, operands, options);
      throw new BitloomError('INVALID_GRAPH', `no form of ${name} takes (${text})`, { name, operands: text });
    }
    const start = this.size;
    this.#encoder.write(form, operands, options);
    if (this.#lines) {
      const text = `${mnemonicText(name)} ${operandsText(name, operands, options, form)}`.trimEnd();
      this.#lines.push({ start, end: this.size, text });
    }
  }

  /** The first form that fits, as GNU as chooses: VEX where it can express the operands, else EVEX. */
  #choose(name: string, operands: readonly Operand[], options: Options | undefined): Form | undefined {
    let key = 0;
    let ids = 0;
    let isBroadcast = false;
    for (const operand of operands) {
      key = key * 16 + kindDigit(operand);
      if (operand.kind === 'mem') {
        if (operand.vector !== undefined) ids |= operand.index ?? 0;
        if (operand.broadcast === true) isBroadcast = true;
      } else if (operand.kind !== 'imm' && operand.kind !== 'label') ids |= operand.id;
    }
    const forms = lookUp(name)?.get(key);
    if (forms === undefined) return undefined;
    for (const form of forms) {
      if (form.encoding === EVEX) {
        if (isBroadcast && form.element === 0) continue;
        if (!this.#fitsMask(form, operands, options)) continue;
      } else if (ids > 15 || isBroadcast || options?.mask !== undefined || options?.zeroing === true) continue;
      if (form.fixed >= 0 && !this.#isFixed(form, operands[form.fixed]!)) continue;
      if (form.immediate >= 0) {
        const immediate = operands[form.immediate]!;
        if (immediate.kind !== 'imm' || !fitsImmediate(form, immediate.value)) continue;
      }
      if (form.distanceBytes === 1) {
        const { offset } = operands[0] as Label;
        if (offset < 0 || offset - this.size - 2 < -128) continue;
      }
      return form;
    }
    return undefined;
  }

  #isFixed(form: Form, operand: Operand): boolean {
    return (operand.kind === 'imm' ? operand.value : (operand as Register).id) === form.fixedValue;
  }

  #fitsMask(form: Form, operands: readonly Operand[], options: Options | undefined): boolean {
    const mask = options?.mask;
    if (mask === undefined) return form.masking !== NEEDS_MASK && options?.zeroing !== true;
    if (form.masking === NO_MASK || !isBetween(mask, 1, 7)) return false;
    const kind = operands[0]!.kind;
    return options?.zeroing !== true || (form.masking === MAY_MASK && kind !== 'mem' && kind !== 'k');
  }

  /** A label, to be bound later. The name is for listings and errors. */
  label(name?: string): Label {
    return { kind: 'label', name: name ?? `L${this.#nLabels++}`, offset: -1 };
  }

  /** Lets a label stand for this place. */
  bind(label: Label): void {
    if (label.offset >= 0) throw new BitloomError('INVALID_GRAPH', `the label ${label.name} is bound twice`, { label });
    label.offset = this.size;
    this.#lines?.push({ start: this.size, end: this.size, text: `${label.name}:` });
  }

  /** Fills up with nops to a multiple of bytes. */
  align(bytes: number): void {
    const { buffer } = this.#encoder;
    let missing = (bytes - (buffer.length % bytes)) % bytes;
    while (missing > 0) {
      const start = buffer.length;
      const nop = NOPS[Math.min(missing, NOPS.length) - 1]!;
      buffer.append(nop);
      missing -= nop.length;
      this.#lines?.push({ start, end: buffer.length, text: 'nop' });
    }
  }

  /** The label of a constant behind the code. Equal constants of up to 4 KiB are stored once, under the strictest alignment asked for. */
  constant(bytes: Uint8Array, alignment?: number): Label {
    return this.#pool.add(bytes, alignment);
  }

  /** Places the constants, resolves the labels and gives the code. Throws: INVALID_GRAPH for a label that is not bound. */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#code !== undefined) return this.#code;
    const { buffer, fixUps } = this.#encoder;
    const constants = this.#pool.place(buffer);
    for (const [i, { name, offset }] of constants.entries()) {
      const end = constants[i + 1]?.offset ?? buffer.length;
      this.#lines?.push({ start: offset, end, text: `${name}: constant` });
    }
    for (const { at, end, label, addend } of fixUps) {
      if (label.offset < 0) throw new BitloomError('INVALID_GRAPH', `the label ${label.name} is not bound`, { label });
      const distance = label.offset + addend - end;
      if (distance !== (distance | 0)) {
        throw new BitloomError('INVALID_GRAPH', `the label ${label.name} is out of reach`, { label, distance });
      }
      buffer.set32(at, distance);
    }
    this.#code = buffer.slice(0, buffer.length);
    return this.#code;
  }

  /** Bytes from the start of the code to a label. */
  offsetOf(label: Label): number {
    if (label.offset < 0) throw new BitloomError('INVALID_GRAPH', `the label ${label.name} is not bound`, { label });
    return label.offset;
  }

  /** One line an instruction: offset, bytes, text. Empty unless the constructor asked for it. */
  listing(): string {
    const { buffer } = this.#encoder;
    const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return (this.#lines ?? [])
      .map(({ start, end, text }) => {
        if (start === end) return text;
        return `${start.toString(16).padStart(6, '0')}  ${hex(buffer.slice(start, end)).padEnd(30)}  ${text}`;
      })
      .join('\n');
  }
}
