/**
 * Byte addresses as linear forms: a constant plus terms `coefficient * atom`. In this form the constant
 * goes into the instruction, terms that a loop does not change are summed before it, and equal sums are shared.
 */
import type { Expr } from '../../kernel/expression.ts';
import type { Statement } from '../../kernel/language.ts';

/** An expression that is not a sum, with its factor modulo 2^32. */
export interface Term {
  readonly atom: Expr;
  readonly coefficient: number;
  /** Structure of `atom`; equal keys mean equal values while no register changes. */
  readonly key: string;
  readonly registers: ReadonlySet<number>;
  /** Whether it may be computed earlier than written: it reads no memory and cannot trap. */
  readonly isMovable: boolean;
}

/** Sum of the terms and the constant, modulo 2^32. Terms are sorted by key. */
export interface LinearForm {
  readonly terms: readonly Term[];
  readonly constant: number;
}

/** Where a statement or expression touches memory: the buffer's position and the linear byte offset. */
export interface Access {
  readonly buffer: number;
  readonly form: LinearForm;
}

/** What a list of statements does, nested ones included. */
export interface Effects {
  /** Registers that get a value, loop indices included. */
  readonly assigned: ReadonlySet<number>;
  readonly accesses: readonly Access[];
}

export function isDisjoint(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  for (const x of small) if (large.has(x)) return false;
  return true;
}

/** The address used for `e`, terms with equal atoms merged. */
export function linearForm(e: Expr): LinearForm {
  const terms = new Map<string, { atom: Expr; coefficient: number }>();
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
      const key = keyOf(x);
      const coefficient = ((terms.get(key)?.coefficient ?? 0) + factor) | 0;
      terms.set(key, { atom: x, coefficient });
    }
  };
  visit(e, 1);
  const sorted = [...terms].filter(([, t]) => t.coefficient !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return { constant, terms: sorted.map(([key, t]) => ({ ...t, key, ...traitsOf(t.atom) })) };
}

/** Names a partial sum of one buffer's address. */
export const sumKey = (buffer: number, terms: readonly Term[], constant: number): string =>
  `${buffer}+${constant}${terms.map((t) => `+${t.coefficient}*${t.key}`).join('')}`;

function operandsOf(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case 'unary':
    case 'extract':
      return [e.a];
    case 'binary':
    case 'shuffle':
      return [e.a, e.b];
    case 'ternary':
      return [e.a, e.b, e.c];
    case 'load':
      return [e.byteOffset];
    case 'lookup':
      return [e.indices];
    case 'pack8':
      return e.parts;
    default:
      return [];
  }
}

function keyOf(e: Expr): string {
  const inner = operandsOf(e).map(keyOf).join(',');
  switch (e.kind) {
    case 'const':
      return `${e.value}`;
    case 'var':
      return `r${e.id}`;
    case 'unary':
    case 'binary':
    case 'ternary':
      return `${e.op}(${inner})`;
    case 'load':
      return `load ${e.memory} ${e.buffer.index}(${inner})`;
    case 'extract':
      return `extract ${e.lane}(${inner})`;
    case 'shuffle':
      return `shuffle ${e.pattern.join(' ')}(${inner})`;
    case 'lookup':
      return `lookup ${e.table.join(' ')}(${inner})`;
    default:
      return `${e.kind}(${inner})`;
  }
}

const DIVISIONS: ReadonlySet<string> = new Set(['div_s', 'div_u', 'rem_s', 'rem_u']);

function traitsOf(atom: Expr): { registers: ReadonlySet<number>; isMovable: boolean } {
  const registers = new Set<number>();
  let isMovable = true;
  const visit = (e: Expr): void => {
    if (e.kind === 'var') registers.add(e.id);
    const isSafe = e.kind !== 'load' && !(e.kind === 'binary' && DIVISIONS.has(e.op) && !isNonZeroConstant(e.b));
    isMovable &&= isSafe;
    operandsOf(e).forEach(visit);
  };
  visit(atom);
  return { registers, isMovable };
}

const isNonZeroConstant = (e: Expr): boolean => e.kind === 'const' && e.value !== 0;

/** Collects what statements assign and access. */
export function effectsOf(statements: readonly Statement[]): Effects {
  const assigned = new Set<number>();
  const accesses = new Map<string, Access>();
  const note = (buffer: number, byteOffset: Expr): void => {
    const form = linearForm(byteOffset);
    accesses.set(sumKey(buffer, form.terms, form.constant), { buffer, form });
  };
  const visit = (e: Expr): void => {
    if (e.kind === 'load') note(e.buffer.index, e.byteOffset);
    operandsOf(e).forEach(visit);
  };
  const walk = (list: readonly Statement[]): void => {
    for (const s of list) {
      for (const e of expressionsOf(s)) visit(e);
      if (s.kind === 'assign') assigned.add(s.target.id);
      if (s.kind === 'store') note(s.buffer.index, s.byteOffset);
      if (s.kind === 'loop') assigned.add(s.index.id);
      if (s.kind === 'loop' || s.kind === 'while') walk(s.body);
      if (s.kind === 'if') {
        walk(s.then);
        walk(s.otherwise);
      }
    }
  };
  walk(statements);
  return { assigned, accesses: [...accesses.values()] };
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
    case 'barrier':
      return [];
  }
}
