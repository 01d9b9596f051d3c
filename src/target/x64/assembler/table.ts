/**
 * The instruction tables by mnemonic.
 * Flow: rows to `Entry` lists at first use; the forms of an instruction when it is first emitted.
 */
import { type Columns, type Entry, EVEX, type Forms, formsOf, LEGACY, VEX } from './form.ts';
import { BITS, GENERAL } from './general.ts';
import { MASKS, TILES } from './mask-tile.ts';
import { CONDITIONS, type NamesOf } from './row.ts';
import { CONVERSIONS, FLOATS } from './vector-float.ts';
import { INTEGERS, SHIFTS, WIDTHS } from './vector-integer.ts';
import { BROADCASTS, LANES, MOVES } from './vector-move.ts';

const VECTOR_TABLES = [
  BITS,
  MASKS,
  TILES,
  MOVES,
  BROADCASTS,
  LANES,
  FLOATS,
  CONVERSIONS,
  INTEGERS,
  SHIFTS,
  WIDTHS,
] as const;

/** Names of the instructions in the tables. */
export type Mnemonic = NamesOf<(typeof GENERAL)[number][4]> | NamesOf<(typeof VECTOR_TABLES)[number][number][6]>;

let cachedEntries: Map<string, Entry[]> | undefined;
const cachedForms = new Map<string, Forms>();

const CONDITION_NUMBERS = CONDITIONS.map((condition) => condition.split(' ') as [string, string]);

function addEntry(table: Map<string, Entry[]>, name: string, entry: Entry): void {
  const known = table.get(name);
  if (known === undefined) table.set(name, [entry]);
  else known.push(entry);
}

/** Adds the instructions that a row's last column names. */
function addRow(table: Map<string, Entry[]>, columns: Columns, variants: string, names: string): void {
  if (variants === '') return;
  for (const item of names.split(' ')) {
    const [short = '', code = ''] = item.split('=');
    const name = short.replace('_', ' ');
    const [base = '', field] = code.split('/');
    const opcode = Number.parseInt(base, 16);
    const digit = field === undefined ? -1 : Number(field);
    const stem = name.slice(0, -1);
    if (name.endsWith('?')) {
      for (const [text, number] of CONDITION_NUMBERS) {
        addEntry(table, stem + text, { columns, variants, opcode: opcode + Number(number), digit });
      }
    } else if (name.endsWith('*')) {
      for (const size of variants) addEntry(table, stem + size, { columns, variants: size, opcode, digit });
    } else addEntry(table, name, { columns, variants, opcode, digit });
  }
}

function entries(): Map<string, Entry[]> {
  if (cachedEntries) return cachedEntries;
  const table = new Map<string, Entry[]>();
  for (const [form, operands, prefix, variants, names] of GENERAL) {
    addRow(table, { encoding: LEGACY, form, operands, prefix, memory: '' }, variants, names);
  }
  for (const rows of VECTOR_TABLES) {
    for (const [form, operands, prefix, vex, evex, memory, names] of rows) {
      addRow(table, { encoding: VEX, form, operands, prefix, memory: '' }, vex, names);
      addRow(table, { encoding: EVEX, form, operands, prefix, memory }, evex, names);
    }
  }
  cachedEntries = table;
  return table;
}

/** All mnemonics. */
export function mnemonics(): Mnemonic[] {
  return [...entries().keys()] as Mnemonic[];
}

/** The forms of an instruction, or nothing where the tables lack it. */
export function lookUp(name: string): Forms | undefined {
  const known = cachedForms.get(name);
  if (known) return known;
  const found = entries().get(name);
  if (!found) return undefined;
  const forms = formsOf(found);
  cachedForms.set(name, forms);
  return forms;
}
