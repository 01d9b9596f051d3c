/**
 * Emits addresses: partial sums that loops leave unchanged are computed before them and kept in
 * locals, equal sums are shared, and constants go into the load or store itself.
 */

import {
  AddressAnalysis,
  type Effects,
  NO_TERMS,
  sumKey,
  type Term,
  type TermSum,
  termSum,
} from '../../kernel/address.ts';
import type { Expr } from '../../kernel/expression.ts';
import type { Statement } from '../../kernel/language.ts';
import type { FunctionBuilder } from './encoder.ts';

/** A partial address that is in a local already. */
interface Sum {
  readonly local: number;
  readonly terms: readonly Term[];
}

export class AddressCode {
  readonly #code: FunctionBuilder;
  readonly #nBuffers: number;
  readonly #emit: (e: Expr) => void;
  readonly #analysis = new AddressAnalysis();
  /** Partial addresses by key, valid at the current point of the code. */
  #sums = new Map<string, Sum>();
  /** Registers that some partial address was ever made from. */
  readonly #used = new Set<number>();
  /** What the enclosing loops change, innermost last. */
  readonly #loops: Effects[] = [];

  constructor(code: FunctionBuilder, nBuffers: number, emit: (e: Expr) => void) {
    this.#code = code;
    this.#nBuffers = nBuffers;
    this.#emit = emit;
  }

  /**
   * Pushes an address without the constant that goes into the instruction, and returns that. Only
   * forms that add non-negative terms may leave their constant out: the engine adds it without
   * wrapping around, so what is pushed must not be below zero. (A loop index that starts below zero may
   * take it there; targets keep the first megabyte of memory free, which covers such starts.)
   */
  push(buffer: number, byteOffset: Expr): number {
    const { sum, constant } = this.#analysis.formOf(byteOffset);
    const mayFold = constant >= 0 && sum.isRising;
    this.#pushSum(buffer, sum, mayFold ? 0 : constant);
    return mayFold ? constant : 0;
  }

  /** Runs `body` with its own partial addresses; those that it makes do not outlive it. */
  scope(body: () => void): void {
    const outer = this.#sums;
    this.#sums = new Map(outer);
    body();
    this.#sums = outer;
  }

  /** Drops partial addresses that a statement makes wrong. */
  forget(s: Statement): void {
    if (s.kind === 'assign') this.#drop(s.target.id);
    else for (const register of this.#analysis.effectsOf(s).assigned) this.#drop(register);
  }

  #drop(register: number): void {
    if (!this.#used.has(register)) return;
    for (const [key, { terms }] of this.#sums) {
      if (terms.some((t) => t.registers.includes(register))) this.#sums.delete(key);
    }
  }

  /** Sums what a loop does not change of its addresses, then emits the loop. */
  hoisted(statement: Statement, loop: () => void): void {
    const effects = this.#analysis.effectsOf(statement);
    this.forget(statement);
    this.scope(() => {
      for (const { buffer, sum } of effects.sums.values()) {
        const fixed = fixedPart(sum, effects);
        if (fixed.terms.length === 0 || this.#sums.has(sumKey(buffer, fixed, 0))) continue;
        this.#pushSum(buffer, fixed, 0);
        this.#code.drop();
      }
      this.#loops.push(effects);
      loop();
      this.#loops.pop();
    });
  }

  /** Pushes buffer + sum + constant, from the longest part that the loop around this point leaves unchanged. */
  #pushSum(buffer: number, sum: TermSum, constant: number): void {
    const code = this.#code;
    const key = sumKey(buffer, sum, constant);
    const known = this.#sums.get(key);
    if (known) {
      code.get(known.local);
      return;
    }
    const loop = this.#loops.at(-1);
    const fixed = loop ? fixedPart(sum, loop) : NO_TERMS;
    const isAllFixed = fixed.terms.length === sum.terms.length;
    const base = isAllFixed && constant === 0 ? NO_TERMS : fixed;
    if (base.terms.length > 0) this.#pushSum(buffer, base, 0);
    else code.get(this.bufferLocal(buffer));
    for (const term of sum.terms) if (!base.terms.includes(term)) this.#addTerm(term);
    if (constant !== 0) code.i32(constant).op('i32.add');
    if (sum.terms.length === 0 || !sum.isMovable) return;
    const local = code.local('i32');
    code.tee(local);
    this.#sums.set(key, { local, terms: sum.terms });
    for (const { registers } of sum.terms) for (const register of registers) this.#used.add(register);
  }

  #addTerm({ atom, coefficient }: Term): void {
    this.#emit(atom);
    const log2 = Math.log2(coefficient);
    if (!Number.isInteger(log2)) this.#code.i32(coefficient).op('i32.mul');
    else if (log2 > 0) this.#code.i32(log2).op('i32.shl');
    this.#code.op('i32.add');
  }

  /** Scratch indices -1 and -2 lie behind the buffers, the thread's index and the number of threads. */
  bufferLocal(index: number): number {
    return index >= 0 ? index : this.#nBuffers + 1 - index;
  }
}

/** The terms that a loop leaves unchanged. */
function fixedPart(sum: TermSum, { assigned }: Effects): TermSum {
  const fixed = sum.terms.filter((t) => t.isMovable && !t.registers.some((r) => assigned.has(r)));
  return fixed.length === sum.terms.length ? sum : termSum(fixed);
}
