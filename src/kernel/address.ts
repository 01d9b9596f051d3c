/**
 * Byte addresses as linear forms: a constant plus terms `coefficient * atom`. In this form the constant
 * goes into the instruction, terms that a loop does not change are summed before it, and equal sums are shared.
 */
import type { Expr } from './expression.ts';
import type { Statement } from './language.ts';

/** An expression that is not a sum, with its factor modulo 2^32. */
export interface Term {
  readonly atom: Expr;
  readonly coefficient: number;
  /** Structure of `atom`; equal keys mean equal values while no register changes. */
  readonly key: string;
  readonly registers: readonly number[];
  /** Whether it may be computed earlier than written: it reads no memory and cannot trap. */
  readonly isMovable: boolean;
}

/** Sum of terms modulo 2^32, without the constant. Sums that differ in their constant only share one of these. */
export interface TermSum {
  /** Sorted by key. */
  readonly terms: readonly Term[];
  readonly key: string;
  readonly isMovable: boolean;
  /** Whether all coefficients are above zero. */
  readonly isRising: boolean;
}

export interface LinearForm {
  readonly sum: TermSum;
  readonly constant: number;
}

/** What statements do, nested ones included. */
export interface Effects {
  /** Registers that get a value, loop indices included. */
  readonly assigned: ReadonlySet<number>;
  /** Sums that addresses in them need, by buffer position and sum. */
  readonly sums: ReadonlyMap<string, { readonly buffer: number; readonly sum: TermSum }>;
}

/** Names a sum of one buffer's address. */
export const sumKey = (buffer: number, { key }: TermSum, constant: number): string => `${buffer}:${key}:${constant}`;

/** A sum of given terms, which must be sorted by key. */
export const termSum = (terms: readonly Term[]): TermSum => ({
  terms,
  key: terms.map((t) => `${t.coefficient}*${t.key}`).join('+'),
  isMovable: terms.every((t) => t.isMovable),
  isRising: terms.every((t) => t.coefficient > 0),
});

interface Collected extends Effects {
  readonly assigned: Set<number>;
  readonly sums: Map<string, { readonly buffer: number; readonly sum: TermSum }>;
}

export const NO_TERMS: TermSum = { terms: [], key: '', isMovable: true, isRising: true };

type Traits = Pick<Term, 'key' | 'registers' | 'isMovable'>;

const DIVISIONS: ReadonlySet<string> = new Set(['div_s', 'div_u', 'rem_s', 'rem_u']);

/** Analyses one kernel; remembers each expression and statement, which kernels share freely. */
export class AddressAnalysis {
  readonly #forms = new Map<Expr, LinearForm>();
  readonly #sums = new Map<string, TermSum>();
  readonly #traits = new Map<Expr, Traits>();
  readonly #effects = new Map<Statement, Effects>();

  /** An address as a linear form, terms with equal atoms merged. */
  formOf(e: Expr): LinearForm {
    if (e.kind === 'binary' && e.op === 'add' && e.b.kind === 'const') {
      const { sum, constant } = this.formOf(e.a);
      return { sum, constant: (constant + e.b.value) | 0 };
    }
    let form = this.#forms.get(e);
    if (!form) {
      form = this.#linearize(e);
      this.#forms.set(e, form);
    }
    return form;
  }

  #linearize(e: Expr): LinearForm {
    const terms = new Map<string, Term>();
    let constant = 0;
    const visit = (x: Expr, factor: number): void => {
      if (x.kind === 'const') constant = (constant + Math.imul(x.value, factor)) | 0;
      else if (x.kind === 'binary' && x.op === 'add') {
        visit(x.a, factor);
        visit(x.b, factor);
      } else if (x.kind === 'binary' && x.op === 'sub') {
        visit(x.a, factor);
        visit(x.b, -factor | 0);
      } else if (x.kind === 'binary' && x.op === 'mul' && x.b.kind === 'const') {
        visit(x.a, Math.imul(factor, x.b.value));
      } else if (x.kind === 'binary' && x.op === 'shl' && x.b.kind === 'const') {
        visit(x.a, factor << x.b.value);
      } else {
        const traits = this.#traitsOf(x);
        const coefficient = ((terms.get(traits.key)?.coefficient ?? 0) + factor) | 0;
        terms.set(traits.key, { atom: x, coefficient, ...traits });
      }
    };
    visit(e, 1);
    const left = [...terms.values()].filter((t) => t.coefficient !== 0).sort((a, b) => (a.key < b.key ? -1 : 1));
    const sum = termSum(left);
    const known = this.#sums.get(sum.key);
    if (!known) this.#sums.set(sum.key, sum);
    return { sum: known ?? sum, constant };
  }

  #traitsOf(e: Expr): Traits {
    const known = this.#traits.get(e);
    if (known) return known;
    const operands = operandsOf(e).map((x) => this.#traitsOf(x));
    const registers = new Set(operands.flatMap((t) => t.registers));
    if (e.kind === 'var') registers.add(e.id);
    const canTrap = e.kind === 'binary' && DIVISIONS.has(e.op) && !(e.b.kind === 'const' && e.b.value !== 0);
    const traits: Traits = {
      key: `${nameOf(e)}${operands.length > 0 ? `(${operands.map((t) => t.key).join()})` : ''}`,
      registers: [...registers],
      isMovable: e.kind !== 'load' && e.kind !== 'expand' && !canTrap && operands.every((t) => t.isMovable),
    };
    this.#traits.set(e, traits);
    return traits;
  }

  /** What a statement that holds others does. */
  effectsOf(s: Statement): Effects {
    let effects = this.#effects.get(s);
    if (!effects) {
      const collected: Collected = { assigned: new Set(), sums: new Map() };
      this.#collect(s, collected);
      effects = collected;
      this.#effects.set(s, effects);
    }
    return effects;
  }

  #collect(s: Statement, to: Collected): void {
    for (const e of expressionsOf(s)) this.#collectLoads(e, to);
    if (s.kind === 'assign') to.assigned.add(s.target.id);
    else if ('byteOffset' in s) this.#note(s.buffer.index, s.byteOffset, to);
    else if (s.kind === 'loop') to.assigned.add(s.index.id);
    if (s.kind === 'loop' || s.kind === 'while') this.#include(s.body, to);
    else if (s.kind === 'if') {
      this.#include(s.then, to);
      this.#include(s.otherwise, to);
    }
  }

  #include(statements: readonly Statement[], to: Collected): void {
    for (const s of statements) {
      if (s.kind !== 'loop' && s.kind !== 'while' && s.kind !== 'if') this.#collect(s, to);
      else {
        const { assigned, sums } = this.effectsOf(s);
        for (const register of assigned) to.assigned.add(register);
        for (const [key, access] of sums) to.sums.set(key, access);
      }
    }
  }

  #collectLoads(e: Expr, to: Collected): void {
    switch (e.kind) {
      case 'const':
      case 'var':
        return;
      case 'load':
      case 'expand':
        this.#note(e.buffer.index, e.byteOffset, to);
        for (const x of operandsOf(e)) this.#collectLoads(x, to);
        return;
      default:
        for (const x of operandsOf(e)) this.#collectLoads(x, to);
    }
  }

  #note(buffer: number, byteOffset: Expr, to: Collected): void {
    const { sum } = this.formOf(byteOffset);
    if (sum.terms.length > 0) to.sums.set(sumKey(buffer, sum, 0), { buffer, sum });
  }
}

const NONE: readonly Expr[] = [];

/** The expressions that an expression is made of. */
export function operandsOf(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case 'unary':
    case 'extract':
    case 'halves':
      return [e.a];
    case 'binary':
    case 'shuffle':
      return [e.a, e.b];
    case 'ternary':
      return [e.a, e.b, e.c];
    case 'load':
      return [e.byteOffset];
    case 'expand':
      return [e.byteOffset, e.mask];
    case 'lookup':
      return [e.indices];
    case 'pack8':
      return e.parts;
    default:
      return NONE;
  }
}

/** What distinguishes an expression from others with the same operands. */
function nameOf(e: Expr): string {
  switch (e.kind) {
    case 'const':
      return String(e.value);
    case 'var':
      return `r${e.id}`;
    case 'unary':
    case 'binary':
    case 'ternary':
      return e.op;
    case 'load':
      return `load ${e.memory} ${e.buffer.index}`;
    case 'expand':
      return `expand ${e.memory} ${e.buffer.index}`;
    case 'extract':
      return `extract ${e.lane}`;
    case 'shuffle':
      return `shuffle ${e.pattern.join(' ')}`;
    case 'halves':
      return `${e.part} halves`;
    case 'lookup':
      return `lookup ${e.table.join(' ')}`;
    default:
      return e.kind;
  }
}

function expressionsOf(s: Statement): readonly Expr[] {
  switch (s.kind) {
    case 'assign':
      return [s.value];
    case 'store':
      return [s.byteOffset, s.value];
    case 'loop':
      return [s.start, s.end];
    case 'while':
    case 'if':
      return [s.condition];
    case 'prefetch':
    case 'tileLoad':
    case 'tileStore':
      return [s.byteOffset];
    case 'barrier':
    case 'tileZero':
    case 'tileDot':
      return NONE;
  }
}
