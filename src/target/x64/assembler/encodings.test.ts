/**
 * Every instruction of the tables, in every form, as GNU as assembles it (`encodings.json`, made by
 * `scripts/reference/make_x64_encodings.py`).
 */
import { describe, expect, it } from 'vitest';
import { encode } from './encode.fixture.ts';
import reference from './encodings.json' with { type: 'json' };
import { EVEX, kindDigit, LEGACY, VEX } from './form.ts';
import { parseOperands } from './intel-text.fixture.ts';
import type { Label } from './operand.ts';
import { lookUp, mnemonics } from './table.ts';

const encodings = new Map(
  Object.entries(reference.encodings).map(([name, rows]) => [
    name,
    rows.split(';').map((row): [string, string] => [row.split('|')[0]!, row.split('|')[1]!]),
  ]),
);

describe('bytes of instructions', () => {
  it('equal those of GNU as', () => {
    const differing: string[] = [];
    for (const [name, rows] of encodings) {
      for (const [operands, expected] of rows) {
        const got = encode(name, operands);
        if (got !== expected) differing.push(`${name} ${operands}: ${got}, not ${expected}`);
      }
    }
    expect(differing).toEqual([]);
  });

  it('are compared for every instruction of the tables', () => {
    expect([...encodings.keys()].sort()).toEqual([...mnemonics()].sort());
  });

  it('are compared for every kind of operands, under VEX and under EVEX where there are both', () => {
    const labels = new Map(
      ['next', 'back', 'far'].map((name): [string, Label] => [name, { kind: 'label', name, offset: 0 }]),
    );
    const missing: string[] = [];
    for (const name of mnemonics()) {
      const known = new Set(
        encodings.get(name)!.map(([operands, bytes]) => {
          const key = parseOperands(operands, labels).operands.reduce(
            (sum, operand) => sum * 16 + kindDigit(operand),
            0,
          );
          return `${key} ${bytes.startsWith('62') ? EVEX : 'c4 c5'.includes(bytes.slice(0, 2)) ? VEX : LEGACY}`;
        }),
      );
      for (const [key, forms] of lookUp(name)!) {
        for (const { encoding } of forms) {
          if (!known.has(`${key} ${encoding}`)) missing.push(`${name} ${key.toString(16)} ${encoding}`);
        }
      }
    }
    // A label as operand of lea is written as memory in text; `assembler.test.ts` has it.
    expect(missing).toEqual(['lea 3b 0', 'lea 4b 0']);
  });
});
