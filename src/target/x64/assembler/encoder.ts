/**
 * Writes one instruction in a given form.
 * Flow: form and operands (`assembler.ts` has matched them) to bytes, and fix-ups where labels are still to come.
 * Spec: Intel SDM volume 2A, sections 2.1 to 2.3 (legacy and VEX prefixes) and 2.7 (EVEX).
 */
import { BitloomError } from '../../../ir/error.ts';
import { CodeBuffer } from './code-buffer.ts';
import { EVEX, type Form, LEGACY } from './form.ts';
import { memoryText } from './listing.ts';
import type { Immediate, Label, Memory, Operand, Options, Register } from './operand.ts';

/** A distance to fill in: four bytes at `at`, counted from `end`, to the label plus `addend`. */
export interface FixUp {
  readonly at: number;
  end: number;
  readonly label: Label;
  readonly addend: number;
}

const RSP = 4;
const RBP = 5;
/** More than the 15 bytes that an instruction may have. */
const MAX_BYTES = 24;
/** The two bits that stand for a mandatory prefix in VEX and EVEX. */
const prefixBits = (prefix: number) => (prefix === 0x66 ? 1 : prefix === 0xf3 ? 2 : prefix === 0xf2 ? 3 : 0);
const isInt8 = (value: number) => value >= -128 && value <= 127;

function checkAddress(memory: Memory, needsSib: boolean): void {
  const { base = 0, index = 0, scale = 1, displacement = 0, label, vector } = memory;
  const isEncodable =
    base === (base & 15) &&
    index === (index & (vector === undefined ? 15 : 31)) &&
    (vector === undefined ? index !== RSP : memory.index !== undefined) &&
    (scale === 1 || scale === 2 || scale === 4 || scale === 8) &&
    displacement === (displacement | 0) &&
    (label === undefined || (memory.base === undefined && memory.index === undefined && !needsSib));
  if (isEncodable) return;
  throw new BitloomError('INVALID_GRAPH', `no address has this encoding: ${memoryText(memory)}`, { address: memory });
}

/** Writes instructions into its buffer. */
export class Encoder {
  readonly buffer = new CodeBuffer();
  readonly fixUps: FixUp[] = [];

  /** Writes one instruction whose operands fit the form. */
  write(form: Form, operands: readonly Operand[], options: Options | undefined): void {
    const { buffer } = this;
    const rm = operands[form.rm];
    if (rm?.kind === 'mem') checkAddress(rm, form.needsSib);
    buffer.reserve(MAX_BYTES);
    const nFixUps = this.fixUps.length;
    if (form.distanceBytes > 0) this.#jump(form, operands[0] as Label);
    else {
      let chosen = form;
      if (
        form.twin !== undefined &&
        (operands[form.rm] as Register).id >= 8 &&
        (operands[form.reg] as Register).id < 8
      ) {
        chosen = form.twin;
      }
      if (chosen.encoding === LEGACY) this.#legacy(chosen, operands);
      else this.#vector(chosen, operands, options);
      if (chosen.immediate >= 0) this.#immediate(chosen, (operands[chosen.immediate] as Immediate).value);
    }
    if (this.fixUps.length > nFixUps) this.fixUps[nFixUps]!.end = buffer.length;
  }

  #jump(form: Form, label: Label): void {
    const { buffer } = this;
    if (form.map === 1) buffer.put8(0x0f);
    buffer.put8(form.opcode);
    if (form.distanceBytes === 1) buffer.put8(label.offset - buffer.length - 1);
    else this.#distance(label, 0);
  }

  /** Four bytes to be filled in when all labels are bound. */
  #distance(label: Label, addend: number): void {
    this.fixUps.push({ at: this.buffer.length, end: 0, label, addend });
    this.buffer.put32(0);
  }

  #immediate(form: Form, value: number): void {
    const { buffer } = this;
    if (form.immediateBytes === 1) buffer.put8(value);
    else if (form.immediateBytes === 2) buffer.put16(value);
    else {
      buffer.put32(value);
      if (form.immediateBytes === 8) buffer.put32(Math.floor(value / 2 ** 32));
    }
  }

  #legacy(form: Form, operands: readonly Operand[]): void {
    const { buffer } = this;
    if (form.size === 'w') buffer.put8(0x66);
    if (form.prefix > 0) buffer.put8(form.prefix);
    const reg = form.reg >= 0 ? (operands[form.reg] as Register).id : Math.max(0, form.digit);
    const low = form.low >= 0 ? (operands[form.low] as Register).id : 0;
    const rm = form.rm >= 0 ? operands[form.rm]! : undefined;
    let rex = (form.w << 3) | ((reg >> 3) << 2) | (low >> 3);
    if (rm !== undefined && rm.kind !== 'label' && rm.kind !== 'imm') {
      if (rm.kind === 'mem') rex |= (((rm.index ?? 0) >> 3) << 1) | ((rm.base ?? 0) >> 3);
      else rex |= rm.id >> 3;
    }
    if (form.hasByteRegisters) {
      // spl, bpl, sil and dil are what ah, ch, dh and bh are without a prefix.
      for (const operand of operands) if (operand.kind === 'r8' && operand.id >= 4) rex |= 0x40;
    }
    if (rex > 0) buffer.put8(0x40 | rex);
    if (form.map > 0) buffer.put8(0x0f);
    if (form.map === 2) buffer.put8(0x38);
    else if (form.map === 3) buffer.put8(0x3a);
    buffer.put8(form.opcode + (low & 7));
    if (form.hasModrm) this.#modrm(form, reg, rm, 1);
  }

  #vector(form: Form, operands: readonly Operand[], options: Options | undefined): void {
    const { buffer } = this;
    const reg = form.reg >= 0 ? (operands[form.reg] as Register).id : Math.max(0, form.digit);
    const vvvv = form.vvvv >= 0 ? (operands[form.vvvv] as Register).id : 0;
    const rm = form.rm >= 0 ? (operands[form.rm] as Register | Memory) : undefined;
    let x = 0;
    let b = 0;
    let v = vvvv >> 4;
    let broadcast = false;
    if (rm?.kind === 'mem') {
      const index = rm.index ?? 0;
      b = ((rm.base ?? 0) >> 3) & 1;
      x = (index >> 3) & 1;
      if (rm.vector !== undefined) v = index >> 4;
      broadcast = rm.broadcast === true;
    } else if (rm !== undefined) {
      b = (rm.id >> 3) & 1;
      x = rm.id >> 4;
    }
    const r = (reg >> 3) & 1;
    const pp = prefixBits(form.prefix);
    if (form.encoding === EVEX) {
      buffer.put8(0x62);
      buffer.put8((((r << 7) | (x << 6) | (b << 5) | ((reg >> 4) << 4)) ^ 0xf0) | form.map);
      buffer.put8((form.w << 7) | ((~vvvv & 15) << 3) | 4 | pp);
      const zeroing = options?.zeroing === true ? 0x80 : 0;
      buffer.put8(zeroing | (form.l << 5) | (broadcast ? 0x10 : 0) | ((v ^ 1) << 3) | (options?.mask ?? 0));
    } else {
      const last = ((~vvvv & 15) << 3) | (form.l << 2) | pp;
      if (form.map === 1 && form.w === 0 && x === 0 && b === 0) {
        buffer.put8(0xc5);
        buffer.put8(((r ^ 1) << 7) | last);
      } else {
        buffer.put8(0xc4);
        buffer.put8((((r << 7) | (x << 6) | (b << 5)) ^ 0xe0) | form.map);
        buffer.put8((form.w << 7) | last);
      }
    }
    buffer.put8(form.opcode);
    if (form.hasModrm) this.#modrm(form, reg, rm, broadcast ? form.element : form.unit);
    if (form.is4 >= 0) buffer.put8((operands[form.is4] as Register).id << 4);
  }

  /** ModR/M with what follows it. A displacement of 8 bits counts in `unit` bytes. */
  #modrm(form: Form, register: number, rm: Operand | undefined, unit: number): void {
    const { buffer } = this;
    const reg = (register & 7) << 3;
    if (rm === undefined) buffer.put8(0xc0 | reg);
    else if (rm.kind === 'mem') this.#memory(form, reg, rm, unit);
    else if (rm.kind === 'label') {
      buffer.put8(reg | RBP);
      this.#distance(rm, 0);
    } else buffer.put8(0xc0 | reg | ((rm as Register).id & 7));
  }

  #memory(form: Form, reg: number, memory: Memory, unit: number): void {
    const { buffer } = this;
    const { base, index, scale = 1, displacement = 0, label } = memory;
    if (label !== undefined) {
      buffer.put8(reg | RBP);
      this.#distance(label, displacement);
      return;
    }
    if (base === undefined) {
      // Without a base there are four bytes of displacement; without an index too, SIB keeps it from being rip's.
      buffer.put8(reg | RSP);
      this.#sib(index, scale, RBP);
      buffer.put32(displacement);
      return;
    }
    const low = base & 7;
    const short = displacement / unit;
    const isShort = isInt8(short) && short === (short | 0);
    const mode = displacement === 0 && low !== RBP ? 0 : isShort ? 0x40 : 0x80;
    if (index !== undefined || low === RSP || form.needsSib) {
      buffer.put8(mode | reg | RSP);
      this.#sib(index, scale, low);
    } else buffer.put8(mode | reg | low);
    if (mode === 0x40) buffer.put8(short);
    else if (mode === 0x80) buffer.put32(displacement);
  }

  #sib(index: number | undefined, scale: number, base: number): void {
    const log2 = scale === 8 ? 3 : scale >> 1;
    this.buffer.put8((log2 << 6) | (((index ?? RSP) & 7) << 3) | base);
  }
}
