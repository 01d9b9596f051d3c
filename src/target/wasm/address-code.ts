/**
 * Emits addresses: partial sums that loops leave unchanged are computed before them and kept in
 * locals, equal sums are shared, and constants go into the load or store itself.
 */
import { NO_TERMS, sumKey, type Term, type TermSum } from '../../kernel/address.ts';
import { AddressSums } from '../../kernel/address-sums.ts';
import type { Expr } from '../../kernel/expression.ts';
import type { FunctionBuilder } from './encoder.ts';

/** Sums lie in locals, named by number. */
export class AddressCode extends AddressSums<number> {
  readonly #code: FunctionBuilder;
  readonly #nBuffers: number;
  readonly #emit: (e: Expr) => void;

  constructor(code: FunctionBuilder, nBuffers: number, emit: (e: Expr) => void) {
    super();
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
    const { sum, constant } = this.analysis.formOf(byteOffset);
    const mayFold = constant >= 0 && sum.isRising;
    this.#pushSum(buffer, sum, mayFold ? 0 : constant);
    return mayFold ? constant : 0;
  }

  protected prepare(buffer: number, sum: TermSum): void {
    if (this.placeOf(sumKey(buffer, sum, 0)) !== undefined) return;
    this.#pushSum(buffer, sum, 0);
    this.#code.drop();
  }

  /** Pushes buffer + sum + constant, from the longest part that the loop around this point leaves unchanged. */
  #pushSum(buffer: number, sum: TermSum, constant: number): void {
    const code = this.#code;
    const key = sumKey(buffer, sum, constant);
    const known = this.placeOf(key);
    if (known !== undefined) {
      code.get(known);
      return;
    }
    const fixed = this.fixedHere(sum);
    const isAllFixed = fixed.terms.length === sum.terms.length;
    const base = isAllFixed && constant === 0 ? NO_TERMS : fixed;
    if (base.terms.length > 0) this.#pushSum(buffer, base, 0);
    else code.get(this.bufferLocal(buffer));
    for (const term of sum.terms) if (!base.terms.includes(term)) this.#addTerm(term);
    if (constant !== 0) code.i32(constant).op('i32.add');
    if (sum.terms.length === 0 || !sum.isMovable) return;
    const local = code.local('i32');
    code.tee(local);
    this.remember(key, local, sum.terms);
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
