/**
 * Partial sums of addresses while code is emitted, whatever the target: equal ones are made once, and what a loop leaves
 * unchanged is made before it.
 */
import { AddressAnalysis, type Effects, NO_TERMS, type Term, type TermSum, termSum } from './address.ts';
import type { Statement } from './language.ts';

/** Keeps the sums that are in a `Place`, a local or a register, at the current point of the code. */
export abstract class AddressSums<Place> {
  protected readonly analysis = new AddressAnalysis();
  /** By key. */
  #sums = new Map<string, { readonly place: Place; readonly terms: readonly Term[] }>();
  /** Registers that some sum was ever made from. */
  readonly #used = new Set<number>();
  /** What the enclosing loops change, innermost last. */
  readonly #loops: Effects[] = [];

  /** Emits a buffer's address plus terms, to be found from here on. */
  protected abstract prepare(buffer: number, sum: TermSum): void;

  /** Where the sum of a key lies already. */
  protected placeOf(key: string): Place | undefined {
    return this.#sums.get(key)?.place;
  }

  protected remember(key: string, place: Place, terms: readonly Term[]): void {
    this.#sums.set(key, { place, terms });
    for (const { registers } of terms) for (const register of registers) this.#used.add(register);
  }

  /** The terms that the loop around this point leaves unchanged. */
  protected fixedHere(sum: TermSum): TermSum {
    const loop = this.#loops.at(-1);
    return loop ? fixedPart(sum, loop) : NO_TERMS;
  }

  /** Runs `body` with its own sums; those that it makes do not outlive it. */
  scope(body: () => void): void {
    const outer = this.#sums;
    this.#sums = new Map(outer);
    body();
    this.#sums = outer;
  }

  /** Drops sums that a statement makes wrong. */
  forget(s: Statement): void {
    if (s.kind === 'assign') this.#drop(s.target.id);
    else for (const register of this.assignedBy(s)) this.#drop(register);
  }

  /** Registers that a statement gives values. */
  assignedBy(s: Statement): ReadonlySet<number> {
    return this.analysis.effectsOf(s).assigned;
  }

  #drop(register: number): void {
    if (!this.#used.has(register)) return;
    for (const [key, { terms }] of this.#sums) {
      if (terms.some((t) => t.registers.includes(register))) this.#sums.delete(key);
    }
  }

  /** Sums what a loop does not change of its addresses, then emits the loop. */
  hoisted(statement: Statement, loop: () => void): void {
    const effects = this.analysis.effectsOf(statement);
    this.forget(statement);
    this.scope(() => {
      for (const { buffer, sum } of effects.sums.values()) {
        const fixed = fixedPart(sum, effects);
        if (fixed.terms.length > 0) this.prepare(buffer, fixed);
      }
      this.#loops.push(effects);
      loop();
      this.#loops.pop();
    });
  }
}

function fixedPart(sum: TermSum, { assigned }: Effects): TermSum {
  const fixed = sum.terms.filter((t) => t.isMovable && !t.registers.some((r) => assigned.has(r)));
  return fixed.length === sum.terms.length ? sum : termSum(fixed);
}
