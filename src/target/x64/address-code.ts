/**
 * Addresses as x86-64 takes them: base + index * scale + constant. What a loop leaves unchanged of an address is summed
 * before it and becomes the base; one changing term is the index; more are summed, and equal sums are shared.
 */
import { NO_TERMS, sumKey, type Term, type TermSum, termSum } from '../../kernel/address.ts';
import { AddressSums } from '../../kernel/address-sums.ts';
import type { Expr } from '../../kernel/expression.ts';
import type { Signs } from './signs.ts';
import type { Use, VirtualCode, VirtualMemory, VirtualRegister } from './virtual-code.ts';

const SCALES: ReadonlySet<number> = new Set([1, 2, 4, 8]);
/** Constants of 32 bits below this are those from 2^31 on; others that are below zero are meant to be, beside terms. */
const LEAST_CONSTANT = -(2 ** 30);
/** In keys, the buffer of sums that belong to none. */
const NO_BUFFER = -3;

const wide = (register: VirtualRegister): Use => ({ register, kind: 'r64' });

export class AddressCode extends AddressSums<VirtualRegister> {
  readonly #code: VirtualCode;
  readonly #signs: Signs;
  readonly #value: (e: Expr) => VirtualRegister;
  readonly #pointer: (buffer: number) => VirtualRegister;

  /** `value` computes a scalar i32, `pointer` gives the address of a buffer or scratch region. */
  constructor(
    code: VirtualCode,
    signs: Signs,
    value: (e: Expr) => VirtualRegister,
    pointer: (buffer: number) => VirtualRegister,
  ) {
    super();
    this.#code = code;
    this.#signs = signs;
    this.#value = value;
    this.#pointer = pointer;
  }

  /** The memory operand of an access. */
  operand(buffer: number, byteOffset: Expr): VirtualMemory {
    const { sum, constant } = this.analysis.formOf(byteOffset);
    const fixed = this.fixedHere(sum);
    const base = this.#sum(buffer, fixed);
    const changing = sum.terms.filter((t) => !fixed.terms.includes(t));
    const isFar = constant < (sum.terms.length === 0 ? 0 : LEAST_CONSTANT);
    const place = isFar
      ? { kind: 'mem' as const, base: this.#far(base, constant) }
      : { kind: 'mem' as const, base, displacement: constant };
    const [first] = changing;
    if (!first) return place;
    if (changing.length === 1 && SCALES.has(first.coefficient)) {
      const scale = first.coefficient as 1 | 2 | 4 | 8;
      return { ...place, index: this.#extended(first), scale };
    }
    return { ...place, index: this.#sum(NO_BUFFER, termSum(changing)), scale: 1 };
  }

  /** An address so many bytes from 2^31 on further. */
  #far(base: VirtualRegister, constant: number): VirtualRegister {
    const [offset, result] = [this.#code.register('r64'), this.#code.register('r64')];
    this.#code.write('mov', { register: offset, kind: 'r32' }, { kind: 'imm', value: constant });
    this.#code.write('lea', wide(result), { kind: 'mem', base, index: offset, scale: 1 });
    return result;
  }

  protected prepare(buffer: number, sum: TermSum): void {
    this.#sum(buffer, sum);
  }

  /** A register with the buffer's address plus a sum, from the longest part that the loop around this point leaves unchanged. */
  #sum(buffer: number, sum: TermSum): VirtualRegister {
    if (sum.terms.length === 0) return this.#pointer(buffer);
    const key = sumKey(buffer, sum, 0);
    const known = this.placeOf(key);
    if (known) return known;
    const fixed = this.fixedHere(sum);
    const base = fixed.terms.length === sum.terms.length ? NO_TERMS : fixed;
    const rest = sum.terms.filter((t) => !base.terms.includes(t));
    const start = base.terms.length > 0 || buffer !== NO_BUFFER ? this.#sum(buffer, base) : undefined;
    const register = this.#added(start, rest);
    if (sum.isMovable) this.remember(key, register, sum.terms);
    return register;
  }

  /** start + terms in a new register; without a start the sum of the terms alone. */
  #added(start: VirtualRegister | undefined, terms: readonly Term[]): VirtualRegister {
    let sum = start;
    for (const term of terms) sum = this.#plus(sum, term);
    return sum!;
  }

  #plus(sum: VirtualRegister | undefined, term: Term): VirtualRegister {
    const code = this.#code;
    const { coefficient } = term;
    const value = this.#extended(term);
    const result = code.register('r64');
    if (SCALES.has(coefficient)) {
      const scale = coefficient as 1 | 2 | 4 | 8;
      if (sum) code.write('lea', wide(result), { kind: 'mem', base: sum, index: value, scale });
      else if (scale === 1) code.write('mov', wide(result), wide(value));
      else code.write('lea', wide(result), { kind: 'mem', index: value, scale });
      return result;
    }
    const product = sum ? code.register('r64') : result;
    code.write('imul', wide(product), wide(value), { kind: 'imm', value: coefficient });
    if (sum) code.write('lea', wide(result), { kind: 'mem', base: sum, index: product, scale: 1 });
    return result;
  }

  /** A term's atom in 64 bits. */
  #extended({ atom, key, registers, isMovable }: Term): VirtualRegister {
    if (this.#signs.isNatural(atom)) return this.#value(atom);
    const name = `signed:${key}`;
    const known = this.placeOf(name);
    if (known) return known;
    const result = this.#code.register('r64');
    this.#code.write('movsxd', wide(result), { register: this.#value(atom), kind: 'r32' });
    if (isMovable) this.remember(name, result, [{ atom, coefficient: 1, key, registers, isMovable }]);
    return result;
  }
}
