/**
 * Sample instructions for every form of the tables. `scripts/reference/make_x64_encodings.py` has GNU as assemble
 * them; the test compares its bytes with ours. Choices rotate, so that few samples a form meet all of them.
 */
import { EVEX, type Form, NEEDS_MASK, NO_MASK, VEX } from './form.ts';
import { mnemonicText, operandsText } from './listing.ts';
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
import { lookUp, mnemonics } from './table.ts';

export interface Sample {
  readonly name: string;
  /** Operands as `parseOperands` reads them. */
  readonly operands: string;
  /** The whole instruction for GNU as. */
  readonly text: string;
}

const KINDS = ['r8', 'r16', 'r32', 'r64', 'xmm', 'ymm', 'zmm', 'k', 'tmm', 'imm', 'label', 'mem'] as const;
const MAKE = { r8, r16, r32, r64, xmm, ymm, zmm, k, tmm };
/** Low and high ids: 4, 5, 12 and 13 are special as bases, 8 and 16 begin what needs further bits. */
const IDS = {
  general: [3, 8, 7, 15, 4, 5, 13],
  vex: [0, 8, 3, 15, 7],
  evex: [16, 0, 31, 8, 3, 15, 7],
  few: [1, 3, 7, 5, 2],
};
const IMMEDIATES: Readonly<Record<string, readonly number[]>> = {
  i8: [5, 255, 0, 128],
  s8: [-128, 127, 1, 0],
  i16: [8, 0xffff],
  iz: [300, -129, 0x1234],
  i32: [0x12345678, -0x80000000],
  i64: [2 ** 40 + 3, 2 ** 53 - 1, 0x8000_0000, -(2 ** 40)],
  '': [1],
};
const place = (name: string): Label => ({ kind: 'label', name, offset: name === 'next' ? -1 : 0 });

/** Addresses of all shapes. `unit` is what a short displacement counts in. */
function addresses(unit: number, form: Form): Omit<Memory, 'kind'>[] {
  const all: Omit<Memory, 'kind'>[] = [
    { base: 0 },
    { base: 4 },
    { base: 12, displacement: unit },
    { base: 5 },
    { base: 13 },
    { base: 3, index: 1, scale: 4 },
    { base: 0, displacement: 127 * unit },
    { base: 7, displacement: unit + 1 },
    { base: 2, displacement: 0x12345 },
    { base: 15, index: 14, scale: 2, displacement: -unit },
    { base: 5, index: 13, scale: 1 },
    { base: 13, index: 12, scale: 8, displacement: -128 * unit },
    { base: 8, displacement: 128 * unit },
    { base: 12, index: 5, scale: 1, displacement: -0x1000000 },
    { index: 9, scale: 8, displacement: 64 },
  ];
  if (form.needsSib) return all;
  return [...all, { label: place('next'), displacement: 16 }, { displacement: 0x1234 }, { label: place('next') }];
}

function makeMemory(kind: string, form: Form, turn: number, broadcast: boolean): Memory {
  const choices = addresses(broadcast ? form.element : form.unit, form);
  const address = choices[turn % choices.length]!;
  if (kind === 'mem') return { kind: 'mem', ...address, ...(broadcast ? { broadcast } : {}) };
  const vector = kind.slice(4) as 'xmm';
  const { base = 0, displacement = 0 } = address;
  const index = (form.encoding === EVEX ? [2, 17, 30, 12] : [2, 9, 14, 4])[turn % 4]!;
  return { kind: 'mem', base, index, scale: ([1, 2, 4, 8] as const)[turn % 4]!, displacement, vector };
}

function registerId(kind: string, form: Form, turn: number, position: number): number {
  let ids = IDS.general;
  if (kind === 'k' || kind === 'tmm') ids = IDS.few;
  else if (kind.endsWith('mm')) ids = form.encoding === EVEX ? IDS.evex : IDS.vex;
  return ids[(turn + 2 * position) % ids.length]!;
}

function makeOperand(kind: string, form: Form, turn: number, position: number, broadcast: boolean): Operand {
  if (position === form.fixed) return kind === 'imm' ? imm(1) : MAKE[kind as 'r8'](form.fixedValue);
  if (kind === 'imm') {
    const values = IMMEDIATES[form.immediateKind]!;
    return imm(values[turn % values.length]!);
  }
  if (kind === 'label') return place(form.distanceBytes === 0 ? 'next' : form.distanceBytes === 1 ? 'back' : 'far');
  if (kind.startsWith('mem')) return makeMemory(kind, form, turn, broadcast);
  return MAKE[kind as 'r8'](registerId(kind, form, turn, position));
}

/** Mask and zeroing by turns, where the form takes them. */
function makeOptions(form: Form, first: string | undefined, turn: number): Options | undefined {
  if (form.masking === NO_MASK || (form.masking !== NEEDS_MASK && turn % 3 === 0)) return undefined;
  const zeroing = turn % 3 === 1 && form.masking !== NEEDS_MASK && first !== 'k' && !first?.startsWith('mem');
  return { mask: 1 + (turn % 7), ...(zeroing ? { zeroing } : {}) };
}

/** One sample; with a register that only EVEX has where `high`. */
function makeSample(
  name: string,
  kinds: readonly string[],
  form: Form,
  turn: number,
  broadcast: boolean,
  high: boolean,
): Sample {
  const operands = kinds.map((kind, i) => makeOperand(kind, form, turn, i, broadcast));
  const vector = kinds.findIndex((kind) => /^[xyz]mm$/.test(kind));
  if (high && vector >= 0) {
    const { kind, id } = operands[vector] as Register;
    operands[vector] = MAKE[kind](id | 16);
  }
  const options = makeOptions(form, kinds[0], turn);
  const text = operandsText(name, operands, options, form);
  return { name, operands: text, text: `${mnemonicText(name)} ${text}`.trimEnd() };
}

function kindsOf(key: number): string[] {
  const kinds: string[] = [];
  for (let rest = key; rest > 0; rest = Math.floor(rest / 16)) {
    const digit = rest % 16;
    kinds.unshift(KINDS[digit - 1] ?? `mem-${['xmm', 'ymm', 'zmm'][digit - 13]}`);
  }
  return kinds;
}

/** Samples: `perForm` of each form and kinds of operands, and many of the mnemonics that `thorough` names. */
export function samples(perForm: number, thorough: ReadonlySet<string> = new Set()): Sample[] {
  const found = new Map<string, Sample>();
  let turn = 0;
  for (const name of mnemonics()) {
    for (const [key, forms] of lookUp(name)!) {
      const kinds = kindsOf(key);
      for (const form of forms.flatMap((one) => (one.twin ? [one, one.twin] : [one]))) {
        const hasMemory = kinds.some((kind) => kind.startsWith('mem'));
        const count = thorough.has(name) ? (hasMemory ? 36 : 14) : hasMemory ? perForm : Math.ceil(perForm / 2);
        for (let i = 0; i < count; i++, turn++) {
          const broadcast = hasMemory && form.element > 0 && i % 2 === 1;
          const high = form.encoding === EVEX && forms[0]!.encoding === VEX;
          const sample = makeSample(name, kinds, form, turn, broadcast, high);
          found.set(sample.text, sample);
        }
      }
      if (forms[0]!.encoding === VEX) turn++;
    }
  }
  return [...found.values()];
}
