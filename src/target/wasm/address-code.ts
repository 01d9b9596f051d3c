/**
 * Emits addresses: partial sums that loops leave unchanged are computed before them and kept in
 * locals, equal sums are shared, and constants go into the load or store itself.
 */
import type { Expr } from '../../kernel/expression.ts';
import { type Access, type Effects, isDisjoint, linearForm, sumKey, type Term } from './address.ts';
import type { FunctionBuilder } from './encoder.ts';

/** A partial address that is in a local already. */
interface Sum {
  readonly local: number;
  readonly registers: ReadonlySet<number>;
}

export class AddressCode {
  readonly #code: FunctionBuilder;
  readonly #nBuffers: number;
  readonly #emit: (e: Expr) => void;
  /** Partial addresses by key, valid at the current point of the code. */
  #sums = new Map<string, Sum>();
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
    const { terms, constant } = linearForm(byteOffset);
    const mayFold = constant >= 0 && terms.every((t) => t.coefficient > 0);
    this.#pushSum(buffer, terms, mayFold ? 0 : constant);
    return mayFold ? constant : 0;
  }

  /** Runs `body` with its own partial addresses; those that it makes do not outlive it. */
  scope(body: () => void): void {
    const outer = this.#sums;
    this.#sums = new Map(outer);
    body();
    this.#sums = outer;
  }

  /** Drops partial addresses that depend on registers which changed. */
  forget(registers: ReadonlySet<number>): void {
    for (const [key, sum] of this.#sums) {
      if (!isDisjoint(sum.registers, registers)) this.#sums.delete(key);
    }
  }

  /** Sums what a loop with these effects does not change of its addresses, then emits the loop. */
  hoisted(effects: Effects, loop: () => void): void {
    this.scope(() => {
      for (const access of effects.accesses) this.#hoist(access, effects);
      this.#loops.push(effects);
      loop();
      this.#loops.pop();
    });
  }

  #hoist({ buffer, form }: Access, effects: Effects): void {
    const fixed = form.terms.filter((t) => isFixedIn(t, effects));
    if (fixed.length === 0 || this.#sums.has(sumKey(buffer, fixed, 0))) return;
    this.#pushSum(buffer, fixed, 0);
    this.#code.drop();
  }

  /** Pushes buffer + terms + constant, from the longest part that the loop around this point leaves unchanged. */
  #pushSum(buffer: number, terms: readonly Term[], constant: number): void {
    const code = this.#code;
    const key = sumKey(buffer, terms, constant);
    const known = this.#sums.get(key);
    if (known) {
      code.get(known.local);
      return;
    }
    const loop = this.#loops.at(-1);
    const fixed = loop && constant === 0 && terms.every((t) => isFixedIn(t, loop)) ? [] : fixedTerms(terms, loop);
    const rest = terms.filter((t) => !fixed.includes(t));
    if (fixed.length > 0) this.#pushSum(buffer, fixed, 0);
    else code.get(this.bufferLocal(buffer));
    for (const { atom, coefficient } of rest) {
      this.#emit(atom);
      this.#scale(coefficient);
      code.op('i32.add');
    }
    if (constant !== 0) code.i32(constant).op('i32.add');
    if (terms.length === 0 || !terms.every((t) => t.isMovable)) return;
    const local = code.local('i32');
    code.tee(local);
    this.#sums.set(key, { local, registers: new Set(terms.flatMap((t) => [...t.registers])) });
  }

  #scale(coefficient: number): void {
    const log2 = Math.log2(coefficient);
    if (!Number.isInteger(log2)) this.#code.i32(coefficient).op('i32.mul');
    else if (log2 > 0) this.#code.i32(log2).op('i32.shl');
  }

  /** Scratch indices -1 and -2 lie behind the buffers, the thread's index and the number of threads. */
  bufferLocal(index: number): number {
    return index >= 0 ? index : this.#nBuffers + 1 - index;
  }
}

const isFixedIn = (t: Term, loop: Effects): boolean => t.isMovable && isDisjoint(t.registers, loop.assigned);

const fixedTerms = (terms: readonly Term[], loop: Effects | undefined): readonly Term[] =>
  loop ? terms.filter((t) => isFixedIn(t, loop)) : [];
