/**
 * Turns rows of the instruction tables into forms: one encoding of one instruction for given kinds of operands.
 * Flow: tables (`table.ts`) to forms, looked up by mnemonic and by the kinds of the operands, to bytes (`encoder.ts`).
 */
import type { Memory, Operand, RegisterKind } from './operand.ts';

export const LEGACY = 0;
export const VEX = 1;
export const EVEX = 2;

/** Whether a form takes a mask. */
export const NO_MASK = 0;
export const MAY_MASK = 1;
export const NEEDS_MASK = 2;

/** One encoding. Positions of operands are -1 where there is none. */
export interface Form {
  readonly encoding: typeof LEGACY | typeof VEX | typeof EVEX;
  readonly opcode: number;
  /** The reg field where no operand takes it, or -1. */
  readonly digit: number;
  /** The byte of the mandatory prefix, or 0. */
  readonly prefix: number;
  /** 0: none; 1: 0F; 2: 0F38; 3: 0F3A; 5, 6: the maps of FP16. */
  readonly map: number;
  readonly w: number;
  /** Vector length: 0, 1, 2 for 16, 32, 64 bytes. */
  readonly l: number;
  /** Size of the general registers: b w d q, or empty. */
  readonly size: string;
  readonly reg: number;
  readonly rm: number;
  readonly vvvv: number;
  readonly is4: number;
  readonly low: number;
  readonly hasModrm: boolean;
  readonly immediate: number;
  /** What the immediate may be: its token. */
  readonly immediateKind: string;
  readonly immediateBytes: number;
  /** Operand that must be `fixedValue`: the id of a register, or an immediate. */
  readonly fixed: number;
  readonly fixedValue: number;
  /** Bytes of a jump's distance, or 0. */
  readonly distanceBytes: number;
  readonly hasByteRegisters: boolean;
  readonly needsSib: boolean;
  /** EVEX: bytes that a displacement of 8 bits counts in. */
  readonly unit: number;
  /** EVEX: bytes of a broadcast element, or 0. */
  readonly element: number;
  readonly masking: typeof NO_MASK | typeof MAY_MASK | typeof NEEDS_MASK;
  /** The same instruction with the fields reg and rm swapped: shorter under VEX where rm needs the third byte. */
  twin: Form | undefined;
}

const KINDS = [
  'r8',
  'r16',
  'r32',
  'r64',
  'xmm',
  'ymm',
  'zmm',
  'k',
  'tmm',
  'imm',
  'label',
  'mem',
  'mem-xmm',
  'mem-ymm',
  'mem-zmm',
];
/** The digit of an operand's kind in a key: 1 to 15. */
const DIGIT: Readonly<Record<string, number>> = Object.fromEntries(KINDS.map((kind, i) => [kind, i + 1]));
const MEMORY_DIGIT = DIGIT.mem!;

/** Digit of an operand's kind; the key of a list of operands has one digit each, in base 16. */
export function kindDigit(operand: Operand): number {
  const digit = DIGIT[operand.kind]!;
  if (digit !== MEMORY_DIGIT) return digit;
  const { vector } = operand as Memory;
  return vector === undefined ? digit : DIGIT[`mem-${vector}`]!;
}

interface Variant {
  readonly w: number;
  readonly l: number;
  readonly size: string;
}

const SIZES: Readonly<Record<string, RegisterKind>> = { b: 'r8', w: 'r16', d: 'r32', q: 'r64' };
const VECTORS: readonly RegisterKind[] = ['xmm', 'ymm', 'zmm'];
const MAPS = ['', '0f', '0f38', '0f3a', '', 'm5', 'm6'];

/** `xyz0`: widths, then W. `wdq`: sizes of general registers. `-`: one without size. */
function variantsOf(text: string): Variant[] {
  if (text === '-') return [{ w: 0, l: 0, size: '' }];
  const w = Number(text.at(-1));
  if (Number.isNaN(w)) return [...text].map((size) => ({ w: size === 'q' ? 1 : 0, l: 0, size }));
  return [...text.slice(0, -1)].map((width) => ({ w, l: 'xyz'.indexOf(width), size: '' }));
}

/** The kind of operand that a token of a row means. */
function kindOf(token: string, { l, size }: Variant): string {
  const half = VECTORS[Math.max(0, l - 1)]!;
  switch (token) {
    case 'r':
    case 'a':
      return SIZES[size]!;
    case 'v':
      return VECTORS[l]!;
    case 'h':
      return half;
    case 'm':
    case 'sib':
      return 'mem';
    case 'mv':
      return `mem-${VECTORS[l]}`;
    case 'mh':
      return `mem-${half}`;
    case 'cl':
      return 'r8';
    case 'rel8':
    case 'rel32':
      return 'label';
    default:
      return /^([is]\d+|iz|1)$/.test(token) ? 'imm' : token;
  }
}

const IMMEDIATE_BYTES: Readonly<Record<string, number>> = { i8: 1, s8: 1, i16: 2, i32: 4, i64: 8 };

/** Bytes that a displacement counts in, bytes of a broadcast element, and masking, from the memory column. */
function memoryOf(column: string, l: number): Pick<Form, 'unit' | 'element' | 'masking'> {
  const [text = '', mask] = column.split(' ');
  const masking = mask === 'nomask' ? NO_MASK : mask === 'needmask' ? NEEDS_MASK : MAY_MASK;
  const width = 16 << l;
  const element = /^(?:full|half)(\d)$/.exec(text);
  if (element) return { unit: text.startsWith('half') ? width / 2 : width, element: Number(element[1]), masking };
  const part = /^mem(?:\/(\d))?$/.exec(text);
  if (part) return { unit: width / Number(part[1] ?? 1), element: 0, masking };
  return { unit: text === 'dup' ? [8, 32, 64][l]! : Number(text), element: 0, masking };
}

/** The columns of a row that its instructions share, for one of its encodings. */
export interface Columns {
  readonly encoding: Form['encoding'];
  readonly form: string;
  readonly operands: string;
  readonly prefix: string;
  readonly memory: string;
}

/** One instruction of a row. */
export interface Entry {
  readonly columns: Columns;
  readonly variants: string;
  readonly opcode: number;
  readonly digit: number;
}

function makeForm(entry: Entry, tokens: readonly string[], variant: Variant): Form {
  const { columns, digit } = entry;
  const { encoding, form } = columns;
  const [prefix = '', map = ''] = columns.prefix.split('.');
  const immediate = form.indexOf('I');
  const immediateKind = immediate < 0 ? '' : tokens[immediate]!;
  const fixed = tokens.findIndex((token) => token === 'a' || token === 'cl' || token === '1');
  const distance = form === 'J' ? tokens[0] : '';
  return {
    encoding,
    opcode: entry.opcode,
    digit,
    prefix: prefix === '' ? 0 : Number.parseInt(prefix, 16),
    map: MAPS.indexOf(map),
    ...variant,
    reg: form.indexOf('R'),
    rm: form.indexOf('M'),
    vvvv: form.indexOf('V'),
    is4: form.indexOf('4'),
    low: form.indexOf('O'),
    hasModrm: digit >= 0 || form.includes('R') || form.includes('M'),
    immediate,
    immediateKind,
    immediateBytes: immediateKind === 'iz' ? (variant.size === 'w' ? 2 : 4) : (IMMEDIATE_BYTES[immediateKind] ?? 0),
    fixed,
    fixedValue: fixed >= 0 && tokens[fixed] !== 'a' ? 1 : 0,
    distanceBytes: distance === 'rel8' ? 1 : distance === 'rel32' ? 4 : 0,
    hasByteRegisters: variant.size === 'b' || tokens.some((token) => token.startsWith('r8')),
    needsSib: tokens.includes('sib'),
    ...(encoding === EVEX ? memoryOf(columns.memory, variant.l) : { unit: 1, element: 0, masking: NO_MASK }),
    twin: undefined,
  };
}

/** The forms of one instruction by the key of their operands, each list in the order of choice. */
export type Forms = ReadonlyMap<number, Form[]>;

/** Keys of the operands that tokens allow: `v v/m` has two. */
function keysOf(tokens: readonly string[], variant: Variant): number[] {
  let keys = [0];
  for (const token of tokens) {
    keys = token.split('/').flatMap((choice) => keys.map((key) => key * 16 + DIGIT[kindOf(choice, variant)]!));
  }
  return keys;
}

/** Makes the forms of one instruction. */
export function formsOf(entries: readonly Entry[]): Forms {
  const forms = new Map<number, Form[]>();
  for (const entry of entries) {
    const tokens = entry.columns.operands.split(' ').filter((token) => token !== '');
    for (const variant of variantsOf(entry.variants)) {
      const form = makeForm(entry, tokens, variant);
      for (const key of keysOf(tokens, variant)) {
        const known = forms.get(key) ?? [];
        const first = known.find(({ encoding }) => encoding === form.encoding);
        if (form.encoding === VEX && form.map === 1 && first && first.reg === form.rm && first.rm === form.reg) {
          first.twin = form;
        } else known.push(form);
        forms.set(key, known);
      }
    }
  }
  return forms;
}
