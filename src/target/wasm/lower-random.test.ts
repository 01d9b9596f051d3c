/** Random kernels: nested loops, branches, registers that change, addresses of many forms, against the interpreter. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  add,
  and,
  type BinaryOp,
  binary,
  type Expr,
  f32,
  fma,
  i32,
  mul,
  or,
  select,
  shl,
  splat,
  sub,
  threadIndex,
  unary,
} from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder, type Variable } from '../../kernel/language.ts';
import { platform } from '../../platform/index.ts';
import { detectFeatures } from './features.ts';
import { law, PLAIN, RELAXED } from './lower.fixture.ts';

// Switches relaxed SIMD on where the engine hides it.
beforeAll(() => detectFeatures(platform.wasm));

const WORDS = 256;
const MAXIMUM_DEPTH = 4;
const INTEGER_OPS: readonly BinaryOp[] = ['add', 'sub', 'mul', 'min', 'max', 'and', 'or', 'xor', 'min_u', 'max_u'];
const FLOAT_OPS: readonly BinaryOp[] = ['add', 'sub', 'mul', 'min', 'max', 'div'];
const COMPARES: readonly BinaryOp[] = ['eq', 'ne', 'lt', 'le', 'gt_u', 'ge_u'];

/** Makes a kernel from a tape of decisions; a tape that ends decides 0, which is always the simplest. */
class RandomKernel {
  readonly #tape: readonly number[];
  #at = 0;
  readonly #k = new KernelBuilder('random', 4);
  readonly #data = this.#k.buffer('data', 'readwrite');
  readonly #floats = this.#k.buffer('floats', 'readwrite');
  /** Scalars in scope, then those that may be set. */
  #integers: Expr[] = [];
  #variables: Variable[] = [];

  constructor(tape: readonly number[]) {
    this.#tape = tape;
  }

  build(): Kernel {
    this.#variables = [this.#k.variable(i32(3)), this.#k.variable(add(threadIndex, 5))];
    this.#statements(0);
    return this.#k.finish();
  }

  #choose(n: number): number {
    return (this.#tape[this.#at++] ?? 0) % n;
  }

  #statements(depth: number): void {
    const outer = this.#integers;
    this.#integers = [...outer];
    for (let count = 1 + this.#choose(4); count > 0; count--) this.#statement(depth);
    this.#integers = outer;
  }

  #statement(depth: number): void {
    const k = this.#k;
    const nested = () => this.#statements(depth + 1);
    const kinds: (() => void)[] = [
      () => this.#store(),
      () => this.#integers.push(k.let(this.#integer(2))),
      () => k.set(this.#variables[this.#choose(2)]!, this.#integer(2)),
      () => k.storeAt(this.#floats, 'f32', this.#index(1), this.#float(2, 1)),
      () => k.storeAt(this.#floats, 'f32', this.#index(4), this.#float(2, 4)),
      () => this.#loop(nested),
      () => k.if(this.#condition(), nested, nested),
      () => this.#while(nested),
    ];
    kinds[this.#choose(depth < MAXIMUM_DEPTH ? 8 : 5)]!();
  }

  #loop(nested: () => void): void {
    const end = this.#choose(2) === 0 ? this.#choose(5) : and(this.#integer(1), 3);
    this.#k.loop(this.#choose(2), end, 1 + this.#choose(2), (index) => {
      const outer = this.#integers;
      this.#integers = [...outer, index];
      nested();
      this.#integers = outer;
    });
  }

  #while(nested: () => void): void {
    const left = this.#k.variable(i32(this.#choose(4)));
    this.#k.while(binary('gt', left, 0), () => {
      this.#k.set(left, sub(left, 1));
      nested();
    });
  }

  #store(): void {
    const lanes = this.#choose(2) === 0 ? 1 : 4;
    const value = lanes === 1 ? this.#integer(2) : add(this.#load(4), splat(this.#integer(1), 4));
    this.#k.storeAt(this.#data, 'i32', this.#index(lanes), value);
  }

  /** An element index in bounds: a sum of strided terms, cut to the buffer without losing its linear form where it fits. */
  #index(lanes: number): Expr {
    const room = WORDS - 4 * lanes;
    if (this.#choose(2) === 0) return and(this.#integer(2), room & ~3);
    const [a, b] = [and(this.#scalar(), 7), and(this.#scalar(), 7)];
    const terms = add(mul(a, 1 + this.#choose(9)), shl(b, this.#choose(4)));
    const falling = this.#choose(2) === 0 ? terms : sub(130, terms);
    return add(falling, this.#choose(100));
  }

  #scalar(): Expr {
    const known = [...this.#integers, ...this.#variables];
    return known[this.#choose(known.length)]!;
  }

  #load(lanes: number): Expr {
    return this.#k.loadAt(this.#data, 'i32', this.#index(lanes), lanes);
  }

  #integer(depth: number): Expr {
    if (depth === 0) return this.#choose(2) === 0 ? this.#scalar() : i32(this.#choose(1000) - 500);
    switch (this.#choose(6)) {
      case 0:
        return this.#scalar();
      case 1:
        return this.#load(1);
      case 2:
        return select(this.#condition(), this.#integer(depth - 1), this.#integer(depth - 1));
      case 3:
        return unary('reduce_add', this.#load(4));
      case 4:
        return binary('rem_u', this.#integer(depth - 1), or(this.#integer(0), 1));
      default:
        return binary(
          INTEGER_OPS[this.#choose(INTEGER_OPS.length)]!,
          this.#integer(depth - 1),
          this.#integer(depth - 1),
        );
    }
  }

  #small(lanes: number): Expr {
    return splat(unary('to_f32', and(this.#scalar(), 255)), lanes);
  }

  #condition(): Expr {
    return binary(COMPARES[this.#choose(COMPARES.length)]!, this.#scalar(), this.#integer(0));
  }

  #float(depth: number, lanes: number): Expr {
    if (depth === 0)
      return splat(this.#choose(2) === 0 ? f32(this.#choose(9) - 4) : unary('to_f32', this.#scalar()), lanes);
    switch (this.#choose(4)) {
      case 0:
        return this.#k.loadAt(this.#floats, 'f32', this.#index(lanes), lanes);
      case 1:
        // Small integers: the result is exact however often it is rounded.
        return fma(splat(f32(this.#choose(9)), lanes), this.#small(lanes), splat(f32(this.#choose(9)), lanes));
      case 2:
        return unary('f16_to_f32', unary('f32_to_f16', this.#float(depth - 1, lanes)));
      default:
        return binary(
          FLOAT_OPS[this.#choose(FLOAT_OPS.length)]!,
          this.#float(depth - 1, lanes),
          this.#float(depth - 1, lanes),
        );
    }
  }
}

const data = new Uint8Array(Int32Array.from({ length: WORDS }, (_, i) => Math.imul(i * 37 + 11, 2654435761)).buffer);
const floats = new Uint8Array(Float32Array.from({ length: WORDS }, (_, i) => (i % 17) - 8).buffer);

describe('random kernels', () => {
  it.each([PLAIN, RELAXED])('leave the same memory as the interpreter with %o', async (features) => {
    let nLoops = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(9999), { minLength: 20, maxLength: 400, size: 'max' }), async (tape) => {
        const kernel = new RandomKernel(tape).build();
        nLoops += kernel.body.filter((s) => s.kind === 'loop').length;
        const check = await law(kernel, features);
        check([data, floats]);
      }),
      { numRuns: 150 },
    );
    expect(nLoops).toBeGreaterThan(20);
  });
});
