/**
 * Random kernels, made from a tape of decisions: nested loops, branches, registers that change, values that live long and
 * values that are used once, over every operation of the language. What they compute does not depend on the machine:
 * no NaN's bits reach an integer, and fused multiplications are exact.
 */
import { add, and, binary, type Element, type Expr, fma, i32, sub, threadIndex, unary } from '../expression.ts';
import { type Kernel, KernelBuilder, type Variable } from '../language.ts';
import type { Bounded } from './random-address.ts';
import { declareBuffers } from './random-memory.ts';
import { type Extras, RandomValues } from './random-values.ts';
import { Tape } from './tape.ts';

const MAXIMUM_DEPTH = 4;
/** How often the innermost statement may run: it bounds sums that must stay exact, and time. */
const MAXIMUM_RUNS = 300;
const ELEMENTS: readonly Element[] = ['i32', 'f32', 'mask'];

export interface RandomKernel {
  readonly kernel: Kernel;
  readonly threads: number;
}

/** Makes a kernel for machines of so many lanes; vectors of fewer lanes (4 at least) occur in it too. */
export function randomKernel(decisions: readonly number[], lanes: number, extras: Extras = {}): RandomKernel {
  return new StatementMaker(new Tape(decisions), lanes, extras).build();
}

class StatementMaker {
  readonly #tape: Tape;
  readonly #k: KernelBuilder;
  readonly #memory: ReturnType<typeof declareBuffers>;
  readonly #values: RandomValues;
  readonly #threads: number;
  /** Registers that any value may be assigned to. */
  #variables: Variable[] = [];
  /** Registers that hold exact sums, by `accumulate` alone. */
  #sums: Variable[] = [];
  /** Registers of a known range, and how they are kept in it. */
  #indices: { readonly variable: Variable; readonly mask: number; readonly shift: number }[] = [];
  /** Bytes of the buffers for results that are taken. */
  readonly #kept = { i32: 0, f32: 0 };
  #runs = 1;
  #hasCrowd = false;

  constructor(tape: Tape, lanes: number, extras: Extras) {
    this.#tape = tape;
    this.#k = new KernelBuilder('random', lanes);
    this.#memory = declareBuffers(this.#k);
    this.#values = new RandomValues(this.#k, tape, this.#memory.regions, extras);
    this.#threads = tape.once(4) ? 3 : 1;
  }

  build(): RandomKernel {
    this.#clearScratch();
    this.#values.scope.values.push(this.#k.let(add(threadIndex, 5)));
    this.#index();
    this.#variable('i32', 1);
    for (let count = this.#tape.below(4); count > 0; count--) this.#anyVariable();
    this.#statements(0);
    for (const variable of this.#variables) this.#keep(variable);
    return { kernel: this.#k.finish(), threads: this.#threads };
  }

  /** Scratch holds anything at first. */
  #clearScratch(): void {
    const { scratch, scratchFloats, shared } = this.#memory.regions;
    for (const { buffer, byteOffset, byteLength, isFloat } of [scratch, scratchFloats, shared]) {
      const { lanes } = this.#k;
      const type = { element: isFloat ? ('f32' as const) : ('i32' as const), lanes };
      for (let at = 0; at < byteLength; at += 4 * lanes) {
        this.#k.store(buffer, isFloat ? 'f32' : 'i32', byteOffset + at, { kind: 'const', type, value: at });
      }
    }
  }

  #statements(depth: number): void {
    const outer = { scope: this.#values.scope, variables: this.#variables, sums: this.#sums, indices: this.#indices };
    this.#values.scope = this.#values.nested(outer.scope);
    [this.#variables, this.#sums, this.#indices] = [[...outer.variables], [...outer.sums], [...outer.indices]];
    const most = depth === 0 ? 12 : 5;
    for (let count = 1 + this.#tape.below(most); count > 0; count--) this.#statement(depth);
    // What nothing took is kept: values that nobody reads are not computed.
    const known = new Set([...outer.scope.values, ...outer.variables, ...outer.sums]);
    const left = new Set([...this.#values.scope.values, ...this.#variables, ...this.#sums]);
    for (const value of left) if (!known.has(value)) this.#keep(value);
    this.#values.scope = outer.scope;
    [this.#variables, this.#sums, this.#indices] = [outer.variables, outer.sums, outer.indices];
  }

  #statement(depth: number): void {
    const nested = () => this.#statements(depth + 1);
    const tape = this.#tape;
    const simple: (() => void)[] = [
      () => this.#store(),
      () => this.#store(),
      () => this.#let(),
      () => this.#let(),
      () => this.#let(),
      () => this.#set(),
      () => this.#set(),
      () => this.#anyVariable(),
      () => this.#set(),
      () => this.#index(),
      () => this.#row(),
      () => this.#accumulate(),
      () => this.#copy(),
      () => this.#overtake(),
    ];
    const compound: (() => void)[] = [
      () => this.#loop(nested),
      () => this.#loop(nested),
      () => this.#k.if(this.#values.value('mask', 1, 2), nested, tape.once(2) ? nested : () => {}),
      () => this.#while(nested),
      () => this.#crowd(nested),
      () => (this.#threads === 1 && tape.once(3) ? this.#k.barrier() : this.#loop(nested)),
    ];
    const isSimple = depth >= MAXIMUM_DEPTH || tape.hasEnded || tape.below(3) !== 2;
    tape.pick(isSimple ? simple : compound)();
  }

  #variable(element: Element, lanes: number): void {
    const variable = this.#k.variable(this.#values.value(element, lanes, 1));
    this.#values.scope.values.push(variable);
    this.#variables.push(variable);
  }

  #anyVariable(): void {
    this.#variable(this.#tape.pick(ELEMENTS), this.#values.lanes());
  }

  #let(): void {
    const value = this.#k.let(this.#values.value(this.#tape.pick(ELEMENTS), this.#values.lanes(), 3));
    if (value.kind === 'var') this.#values.scope.values.push(value);
  }

  #set(): void {
    if (this.#indices.length > 0 && this.#tape.once(3)) {
      const { variable, mask, shift } = this.#tape.pick(this.#indices);
      this.#k.set(variable, sub(and(this.#values.value('i32', 1, 1), mask), shift));
    } else {
      const variable = this.#tape.pick(this.#variables);
      this.#k.set(variable, this.#values.next(variable, 2));
    }
  }

  /** A variable whose range is known. */
  #index(): void {
    const [mask, shift] = [this.#tape.pick([7, 3, 15] as const), this.#tape.below(4)];
    const variable = this.#k.variable(sub(and(this.#values.value('i32', 1, 1), mask), shift));
    this.#indices.push({ variable, mask, shift });
    this.#values.scope.values.push(variable);
    this.#values.scope.bounded.push({ value: variable, low: -shift, high: mask - shift });
  }

  /** A register with a multiple of a term, as the start of a row. */
  #row(): void {
    const factor = this.#tape.pick([4, 12, 1, 20] as const);
    const { value, low, high } = this.#values.term();
    const row = this.#k.let(binary('mul', value, factor));
    this.#values.scope.bounded.push({ value: row, low: low * factor, high: high * factor });
  }

  #store(): void {
    const [tape, values, k] = [this.#tape, this.#values, this.#k];
    const lanes = values.lanes();
    if (tape.once(3)) {
      const [buffer, memory, at] = values.place(tape.pick(['floats', 'scratchFloats'] as const), 'f32', lanes);
      k.store(buffer, memory, at, values.value('f32', lanes, 3));
      return;
    }
    const value = values.value('i32', lanes, 3);
    const [buffer, memory, at] = values.place(
      tape.pick(['integers', 'scratch', 'shared'] as const),
      values.memory(),
      lanes,
    );
    k.store(buffer, memory, at, value);
  }

  /** A load that is used after a register of its address has changed. */
  #overtake(): void {
    const { variable, mask, shift } = this.#tape.pick(this.#indices);
    const { buffer } = this.#memory.regions.integers;
    const load = this.#k.load(buffer, 'i32', add(binary('mul', variable, 8), 64), this.#values.lanes());
    const value = this.#k.let(load);
    this.#k.set(variable, sub(and(this.#values.next(variable, 1), mask), shift));
    this.#keep(value);
  }

  /** A load that passes a store to the same buffer before it is used. */
  #copy(): void {
    const [tape, values, k] = [this.#tape, this.#values, this.#k];
    const lanes = values.lanes();
    const isFloat = tape.once(2);
    const [region, memory] = isFloat ? (['floats', 'f32'] as const) : (['integers', 'i32'] as const);
    const first = k.let(k.load(...values.place(region, memory, lanes), lanes));
    const second = k.let(k.load(...values.place(region, memory, lanes), lanes));
    k.store(...values.place(region, memory, lanes), second);
    k.store(...values.place(region, memory, lanes), first);
  }

  /** Leaves a value where the check finds it, each in a place of its own as long as there is room. */
  #keep(value: Expr): void {
    const word = value.type.element === 'mask' ? unary('mask_to_i32', value) : value;
    const element = word.type.element as 'f32' | 'i32';
    const { buffer, byteLength } = this.#memory.kept[element];
    const bytes = 4 * word.type.lanes;
    const at = this.#kept[element];
    const place = at + bytes <= byteLength ? at : 0;
    this.#kept[element] = place + bytes;
    this.#k.store(buffer, element, place, word);
  }

  /** Sums of products, exact as floats and as integers. */
  #accumulate(): void {
    const [tape, values, k] = [this.#tape, this.#values, this.#k];
    if (this.#sums.length === 0 || tape.once(3)) {
      const type = { element: tape.pick(['f32', 'i32'] as const), lanes: values.lanes() };
      this.#sums.push(k.variable({ kind: 'const', type, value: 0 }));
      values.scope.values.push(this.#sums.at(-1)!);
    }
    const sum = tape.pick(this.#sums);
    const { element, lanes } = sum.type;
    k.set(sum, element === 'f32' ? fma(values.exact(lanes), values.exact(lanes), sum) : values.dot(sum, lanes, 1));
  }

  /** Runs `body` as what happens at most `count` times. */
  #repeated(count: number, body: () => void): void {
    const outer = this.#runs;
    this.#runs *= Math.max(1, count);
    body();
    this.#runs = outer;
  }

  #bound(low: number, high: number): Bounded {
    const tape = this.#tape;
    const value = tape.between(low, high);
    if (!tape.once(3)) return { value: i32(value), low: value, high: value };
    const shift = 1 - low;
    return { value: sub(and(this.#values.value('i32', 1, 1), 3), shift), low: -shift, high: 3 - shift };
  }

  #loop(nested: () => void): void {
    const [tape, k] = [this.#tape, this.#k];
    const [start, end] = [this.#bound(-2, 2), this.#bound(1, 5)];
    const step = 1 + tape.below(3);
    const count = Math.ceil((end.high - start.low) / step);
    if (this.#runs * count > MAXIMUM_RUNS) {
      this.#let();
      return;
    }
    k.loop(start.value, end.value, step, (index) =>
      this.#repeated(count, () => {
        const outer = this.#values.scope;
        this.#values.scope = this.#values.nested(outer);
        this.#values.scope.values.push(index);
        this.#values.scope.bounded.push({ value: index, low: start.low, high: Math.max(start.low, end.high - 1) });
        nested();
        this.#values.scope = outer;
      }),
    );
  }

  #while(nested: () => void): void {
    const [tape, k] = [this.#tape, this.#k];
    const count = tape.below(4);
    if (this.#runs * count > MAXIMUM_RUNS) {
      this.#let();
      return;
    }
    const left = k.variable(i32(count));
    const isLeft = binary('gt', left, 0);
    k.while(tape.once(3) ? binary('and', isLeft, this.#values.value('mask', 1, 1)) : isLeft, () => {
      k.set(left, sub(left, 1));
      this.#repeated(count, nested);
    });
  }

  /** A value of a type that takes no decisions. */
  #member(element: Element, lanes: number, i: number): Expr {
    const { integers, floats } = this.#memory.regions;
    if (element === 'f32') return this.#k.load(floats.buffer, 'f32', 4 * i, lanes);
    const words = this.#k.load(integers.buffer, 'i32', 12 * i, lanes);
    return element === 'i32' ? binary('add', words, i) : binary('gt', words, i);
  }

  /** More values at a time than a machine has registers. */
  #crowd(nested: () => void): void {
    const tape = this.#tape;
    if (this.#hasCrowd) {
      this.#loop(nested);
      return;
    }
    this.#hasCrowd = true;
    const kinds = Array.from({ length: 1 + tape.below(3) }, () => ({
      element: tape.pick(ELEMENTS),
      lanes: tape.once(2) ? 1 : tape.pick(this.#values.widths),
    }));
    const crowd = Array.from({ length: tape.between(12, 60) }, (_, i) => {
      const { element, lanes } = tape.pick(kinds);
      return this.#k.let(tape.once(4) ? this.#values.value(element, lanes, 2) : this.#member(element, lanes, i));
    });
    nested();
    for (const value of crowd) this.#keep(value);
    nested();
  }
}
