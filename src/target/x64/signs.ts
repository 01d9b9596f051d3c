/**
 * Which integers of a kernel are never below zero. Addresses are 64 bits wide, offsets 32: an offset's parts are extended
 * before they are summed, with zeros where they are known not to be negative (they may then pass 2^31), else by their sign.
 */
import type { Expr } from '../../kernel/expression.ts';
import type { Kernel, Statement } from '../../kernel/language.ts';

/** What each register is given: values, and the starts of loops that count in it. */
function assignments(kernel: Kernel): Map<number, Expr[]> {
  const given = new Map<number, Expr[]>();
  const give = (id: number, value: Expr): void => {
    const known = given.get(id);
    if (known) known.push(value);
    else given.set(id, [value]);
  };
  const visit = (statements: readonly Statement[]): void => {
    for (const s of statements) {
      if (s.kind === 'assign') give(s.target.id, s.value);
      else if (s.kind === 'loop') give(s.index.id, s.start);
      if (s.kind === 'loop' || s.kind === 'while') visit(s.body);
      else if (s.kind === 'if') {
        visit(s.then);
        visit(s.otherwise);
      }
    }
  };
  visit(kernel.body);
  return given;
}

export class Signs {
  /** Registers that are natural, and those of them that stay below 2^31 whatever the others are. */
  readonly #natural: Set<number>;
  readonly #small: Set<number>;

  constructor(kernel: Kernel) {
    const given = assignments(kernel);
    // Registers depend on each other: take all for it, then strike out until nothing changes.
    const narrowed = (holds: (value: Expr) => boolean, left: Set<number>): void => {
      for (let isDone = false; !isDone; ) {
        isDone = true;
        for (const [id, values] of given) {
          if (!left.has(id) || values.every(holds)) continue;
          left.delete(id);
          isDone = false;
        }
      }
    };
    this.#small = new Set(kernel.registers.keys());
    narrowed((value) => this.#isSmall(value), this.#small);
    this.#natural = new Set(kernel.registers.keys());
    narrowed((value) => this.isNatural(value), this.#natural);
  }

  /** Whether a scalar i32, read as unsigned, is what was meant: sums and products are taken not to overflow. */
  isNatural(e: Expr): boolean {
    if (e.kind === 'var') return this.#natural.has(e.id);
    if (e.kind === 'ternary') return e.op === 'select' && this.isNatural(e.b) && this.isNatural(e.c);
    if (e.kind === 'unary' && e.op === 'to_u32') return true;
    if (e.kind !== 'binary') return this.#isSmall(e);
    const { op, a, b } = e;
    switch (op) {
      case 'div_u':
      case 'rem_u':
      case 'min_u':
      case 'max_u':
        return true;
      case 'shr_u':
        return this.isNatural(a) || this.#isSmall(e);
      case 'and':
        return this.isNatural(a) || this.isNatural(b);
      case 'shl':
        return this.isNatural(a);
      case 'add':
      case 'mul':
      case 'or':
      case 'xor':
        return this.isNatural(a) && this.isNatural(b);
      default:
        return this.#isSmall(e); // operations on signed numbers
    }
  }

  /** Whether a scalar i32 lies in 0 .. 2^31 - 1 for certain. */
  #isSmall(e: Expr): boolean {
    switch (e.kind) {
      case 'const':
        return e.value >= 0;
      case 'var':
        return this.#small.has(e.id);
      case 'thread':
      case 'threads':
        return true;
      case 'load':
        return e.memory === 'u8' || e.memory === 'u16';
      case 'unary':
        return ['mask_to_i32', 'f32_to_f16', 'popcount'].includes(e.op);
      case 'ternary':
        return e.op === 'select' && this.#isSmall(e.b) && this.#isSmall(e.c);
      case 'binary':
        return this.#isSmallBinary(e);
      default:
        return false;
    }
  }

  #isSmallBinary({ op, a, b }: Expr & { kind: 'binary' }): boolean {
    switch (op) {
      case 'and':
      case 'max':
      case 'min_u':
        return this.#isSmall(a) || this.#isSmall(b);
      case 'rem_u':
        return this.#isSmall(b) || this.#isSmall(a);
      case 'div_u':
      case 'shr_s':
        return this.#isSmall(a);
      case 'shr_u':
        return this.#isSmall(a) || (b.kind === 'const' && (b.value & 31) !== 0);
      case 'rem_s':
        return this.#isSmall(a);
      case 'or':
      case 'xor':
      case 'min':
      case 'max_u':
      case 'div_s':
        return this.#isSmall(a) && this.#isSmall(b);
      default:
        return false;
    }
  }
}
