/** Random expressions of every type and operation of the kernel language. */
import {
  and,
  type BinaryOp,
  binary,
  constant,
  type Element,
  type Expr,
  fma,
  i32,
  MEMORY_BYTES,
  type MemoryType,
  or,
  select,
  splat,
  type Type,
  threadCount,
  threadIndex,
  type UnaryOp,
  unary,
} from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { type Bounded, placed, randomSum, randomTerm, type TermSource } from './random-address.ts';
import type { Region, RegionName } from './random-memory.ts';
import { randomPattern } from './random-patterns.ts';
import type { Tape } from './tape.ts';

const INTEGER_BINARY: readonly BinaryOp[] = ['add', 'sub', 'mul', 'min', 'max', 'and', 'or', 'xor', 'min_u', 'max_u'];
const FLOAT_BINARY: readonly BinaryOp[] = ['add', 'sub', 'mul', 'div', 'min', 'max'];
const SHIFTS: readonly BinaryOp[] = ['shl', 'shr_s', 'shr_u'];
const DIVISIONS: readonly BinaryOp[] = ['div_u', 'rem_u', 'div_s', 'rem_s'];
const FLOAT_COMPARES: readonly BinaryOp[] = ['lt', 'eq', 'ne', 'le', 'gt', 'ge'];
const INTEGER_COMPARES: readonly BinaryOp[] = [...FLOAT_COMPARES, 'lt_u', 'le_u', 'gt_u', 'ge_u'];
const FLOAT_UNARY: readonly UnaryOp[] = ['neg', 'abs', 'sqrt', 'floor', 'ceil', 'nearest', 'trunc', 'bits_f32'];
const INTEGER_UNARY: readonly UnaryOp[] = ['neg', 'abs', 'not', 'bits_i32', 'popcount'];
const REDUCTIONS: readonly UnaryOp[] = ['reduce_add', 'reduce_min', 'reduce_max'];
const MEMORY_TYPES: readonly MemoryType[] = ['i32', 'u16', 'i16', 'u8', 'i8'];
const INTEGERS = [1, -1, 2, 0x0f0f0f0f, 0x7f7f7f7f, 255, 65536, 0x7fffffff, -0x80000000, 0x3f800000, 0x7fc00000];
const FLOATS = [1, -1, 0, -0, 0.5, 3, -2.5, 1e-40, 3e9, -1e30, Infinity, -Infinity, NaN, 65519, 6e-8];
/** Results of adding and multiplying a few of these are exact, however often they are rounded. */
const EXACT_FLOATS = [1, 2, -3, 0, -0, 0.5, 7, Infinity, NaN];
const NO_SUM: Bounded = { value: i32(0), low: 0, high: 0 };
const TABLE = Array.from({ length: 16 }, (_, i) => (i * 37 + 200) & 255);

/** Operations that some machines have. */
export interface Extras {
  readonly expand?: boolean;
  readonly dotBf16?: boolean;
}

/** What expressions may refer to at a point of the kernel. */
export interface Scope extends TermSource {
  readonly values: Expr[];
  readonly bounded: Bounded[];
  /** Sums of addresses that were used before. */
  readonly sums: Bounded[];
}

export class RandomValues {
  readonly #k: KernelBuilder;
  readonly #tape: Tape;
  readonly #regions: Readonly<Record<RegionName, Region>>;
  readonly #extras: Extras;
  /** The widths of vectors, widest first. */
  readonly widths: readonly number[];
  /** Set by whoever opens and closes blocks. */
  scope: Scope;
  /** A register that values are made from where they can. */
  #favourite: Expr | undefined;

  constructor(k: KernelBuilder, tape: Tape, regions: Readonly<Record<RegionName, Region>>, extras: Extras) {
    this.#k = k;
    this.#tape = tape;
    this.#regions = regions;
    this.#extras = extras;
    this.widths = [16, 8, 4].filter((lanes) => lanes <= k.lanes);
    this.scope = this.nested({ values: [], bounded: [{ value: i32(1), low: 1, high: 1 }], sums: [] });
  }

  /** What a block sees that begins where `outer` holds. */
  nested({ values, bounded, sums }: Pick<Scope, 'values' | 'bounded' | 'sums'>): Scope {
    return {
      values: [...values],
      bounded: [...bounded],
      sums: [...sums],
      integer: () => this.value('i32', 1, 1),
      condition: () => this.value('mask', 1, 1),
    };
  }

  /** 1 or the lanes of a vector. */
  lanes(): number {
    const { widths } = this;
    const choice = this.#tape.below(5);
    return choice < 2 ? 1 : choice === 2 ? this.#tape.pick(widths) : widths[0]!;
  }

  value(element: Element, lanes: number, depth: number): Expr {
    if (depth <= 0 || this.#tape.hasEnded || this.#tape.below(7) === 0) return this.#leaf(element, lanes);
    const anyLanes = this.#anyElement(element, lanes, depth - 1);
    if (anyLanes) return anyLanes;
    if (element === 'f32') return this.#float(lanes, depth - 1);
    return element === 'i32' ? this.#integer(lanes, depth - 1) : this.#mask(lanes, depth - 1);
  }

  /** A new value for a register, often made from the one it has. */
  next(register: Expr, depth: number): Expr {
    this.#favourite = register;
    const value = this.value(register.type.element, register.type.lanes, depth);
    this.#favourite = undefined;
    return value;
  }

  /** A scalar or vector that is already there, or a constant, or comes from memory. */
  #leaf(element: Element, lanes: number): Expr {
    const tape = this.#tape;
    const { values } = this.scope;
    const type = this.#favourite?.type;
    if (type?.element === element && type.lanes === lanes && tape.once(2)) return this.#favourite!;
    const known = values.flatMap((v, i) => (v.type.element === element && v.type.lanes === lanes ? [i] : []));
    if (known.length > 0 && tape.below(4) !== 0) {
      const at = tape.pick(known);
      const value = values[at]!;
      // Values that go with their first use are those that lowering may compute there.
      if (tape.once(3)) values.splice(at, 1);
      return value;
    }
    if (element === 'mask') return constant({ element, lanes }, tape.below(2));
    if (tape.once(2)) return element === 'f32' ? this.#loadFloat(lanes) : this.#loadInteger(lanes);
    if (element === 'f32') return constant({ element, lanes }, tape.pick(FLOATS));
    if (lanes === 1 && tape.once(3)) return tape.pick([threadIndex, threadCount]);
    return constant({ element, lanes }, tape.once(2) ? tape.pick(INTEGERS) : tape.below(1000) - 500);
  }

  /** Operations that all elements have; undefined where the choice falls on others. */
  #anyElement(element: Element, lanes: number, depth: number): Expr | undefined {
    const tape = this.#tape;
    const { widths } = this;
    switch (tape.below(12)) {
      case 1:
        return this.#select(element, lanes, depth);
      case 2:
        return lanes > 1 ? splat(this.value(element, 1, depth), lanes) : this.#extract(element, depth);
      case 3: {
        if (lanes === 1) return element === 'mask' ? undefined : this.#reduction(element, depth);
        if (element === 'mask') return undefined;
        const a = this.value(element, lanes, depth);
        const b = tape.once(4) ? a : this.value(element, lanes, depth);
        return { kind: 'shuffle', type: a.type, a, b, pattern: randomPattern(tape, lanes) };
      }
      case 4: {
        if (lanes === 1 || element === 'mask') return undefined;
        // Between widths there is no operation: lanes of a narrower vector, repeated.
        const narrow = tape.pick(widths);
        const a = this.value(element, narrow, depth - 1);
        return splat({ kind: 'extract', type: { element, lanes: 1 }, a, lane: tape.below(narrow) }, lanes);
      }
      default:
        return undefined;
    }
  }

  #select(element: Element, lanes: number, depth: number): Expr {
    const tape = this.#tape;
    const mask = this.value('mask', lanes, depth);
    const zero = constant({ element, lanes }, element === 'f32' && tape.once(4) ? -0 : 0);
    const side = (): Expr => (tape.once(4) ? zero : this.value(element, lanes, depth));
    return select(mask, side(), side());
  }

  #extract(element: Element, depth: number): Expr {
    const a = this.value(element, this.#tape.pick(this.widths), depth);
    return { kind: 'extract', type: { element, lanes: 1 }, a, lane: this.#tape.below(a.type.lanes) };
  }

  #reduction(element: Element, depth: number): Expr {
    return unary(this.#tape.pick(REDUCTIONS), this.value(element, this.#tape.pick(this.widths), depth));
  }

  #integer(lanes: number, depth: number): Expr {
    const tape = this.#tape;
    const value = (): Expr => this.value('i32', lanes, depth);
    const type: Type = { element: 'i32', lanes };
    switch (tape.below(18)) {
      case 0:
        return this.#loadInteger(lanes);
      case 1:
        return unary(tape.pick(INTEGER_UNARY), value());
      case 2:
        return binary(tape.pick(SHIFTS), value(), tape.once(2) ? this.value('i32', 1, depth) : tape.below(40));
      case 3:
        return unary(tape.pick(['to_i32', 'to_u32'] as const), this.value('f32', lanes, depth));
      case 4:
        return unary(tape.pick(['bits_i32', 'f32_to_f16'] as const), this.#number(lanes, depth));
      case 5:
        return unary('mask_to_i32', this.value('mask', lanes, depth));
      case 6:
        return lanes === 1 ? this.#quotient(depth) : this.#expandedIntegers(lanes, depth);
      case 7:
        return { kind: 'lookup', type, table: TABLE, indices: tape.once(2) ? and(value(), 0x0f0f0f0f) : value() };
      case 8:
        return { kind: 'halves', type, a: value(), part: tape.pick(['low', 'high'] as const) };
      case 9: {
        const part = (): Expr => binary('shr_s', value(), tape.between(20, 26));
        return { kind: 'pack8', type, parts: [part(), part(), value(), part()] };
      }
      case 10:
        return this.dot(value(), lanes, depth);
      default: {
        const right = tape.once(4) ? constant(type, tape.pick(INTEGERS)) : value();
        return binary(tape.pick(INTEGER_BINARY), value(), right);
      }
    }
  }

  #expandedIntegers(lanes: number, depth: number): Expr {
    const type: Type = { element: 'i32', lanes };
    return this.#extras.expand
      ? this.#expanded('integers', type, this.#tape.pick(['i32', 'u16'] as const), depth)
      : unary('abs', this.value('i32', lanes, depth));
  }

  /** Lanes filled from memory by the bits of a number; it may be any as long as all that it takes is in bounds. */
  #expanded(region: RegionName, type: Type, memory: 'f32' | 'i32' | 'u16', depth: number): Expr {
    const places = memory === 'u16' ? 2 * type.lanes : type.lanes;
    const [buffer, , byteOffset] = this.place(region, memory, places);
    return { kind: 'expand', type, memory, buffer, byteOffset, mask: this.value('i32', 1, depth) };
  }

  /** Never by zero, and never the one quotient that does not fit, which traps in WebAssembly. */
  #quotient(depth: number): Expr {
    const tape = this.#tape;
    const op = tape.pick(DIVISIONS);
    const dividend = this.value('i32', 1, depth);
    if (tape.once(2)) return binary(op, dividend, tape.pick([2, 3, 16, -5, 7, 1, 0x7fffffff, -0x80000000]));
    const divisor = or(this.value('i32', 1, depth), 1);
    return op.endsWith('_s') ? binary(op, and(dividend, 0x7fffffff), divisor) : binary(op, dividend, divisor);
  }

  /** A sum with dots of bytes or words. */
  dot(sum: Expr, lanes: number, depth: number): Expr {
    const [bytes, codes] = [this.value('i32', lanes, depth), this.value('i32', lanes, depth)];
    if (this.#tape.once(4)) return { kind: 'ternary', op: 'dot16', type: sum.type, a: sum, b: bytes, c: codes };
    if (this.#tape.once(2)) return { kind: 'ternary', op: 'dot8u8', type: sum.type, a: sum, b: bytes, c: codes };
    const masked = and(codes, 0x7f7f7f7f);
    return { kind: 'ternary', op: 'dot8u7', type: sum.type, a: sum, b: bytes, c: masked };
  }

  #float(lanes: number, depth: number): Expr {
    const tape = this.#tape;
    const value = (): Expr => this.value('f32', lanes, depth);
    const { expand, dotBf16 } = this.#extras;
    switch (tape.below(13)) {
      case 0:
        return this.#loadFloat(lanes);
      case 12:
        if (dotBf16 && lanes > 1 && tape.once(2)) return this.#dotBf16(this.exact(lanes), lanes);
        return expand && lanes > 1
          ? this.#expanded('floats', { element: 'f32', lanes }, 'f32', depth)
          : unary('to_f32', this.value('i32', lanes, depth));
      case 1:
        return unary(tape.pick(FLOAT_UNARY), value());
      case 2:
        return unary(tape.pick(['to_f32', 'to_f32_u', 'bits_f32'] as const), this.value('i32', lanes, depth));
      case 3:
        return this.#fromHalves(lanes, depth);
      case 4:
        return fma(this.exact(lanes), this.exact(lanes), this.exact(lanes));
      case 5: {
        const bound = constant({ element: 'f32', lanes }, tape.pick(FLOATS));
        return binary(tape.pick(['min', 'max'] as const), ...this.#inAnyOrder(value(), bound));
      }
      default:
        return binary(tape.pick(FLOAT_BINARY), value(), value());
    }
  }

  #inAnyOrder(a: Expr, b: Expr): [Expr, Expr] {
    return this.#tape.once(2) ? [b, a] : [a, b];
  }

  #fromHalves(lanes: number, depth: number): Expr {
    const tape = this.#tape;
    const type: Type = { element: 'i32', lanes };
    switch (tape.below(4)) {
      case 0:
        return unary('f16_to_f32', this.value('i32', lanes, depth));
      case 1:
        return unary('f16_to_f32', this.#k.load(...this.place('integers', 'u16', lanes), lanes));
      case 2:
        return unary('f16_to_f32', { kind: 'halves', type, a: this.value('i32', lanes, depth), part: 'high' });
      default:
        return unary('f16_to_f32', unary('f32_to_f16', this.value('f32', lanes, depth)));
    }
  }

  /** A float that is a small whole number, or not finite: exact in fused multiplications. */
  exact(lanes: number): Expr {
    const tape = this.#tape;
    const type: Type = { element: 'f32', lanes };
    switch (tape.below(5)) {
      case 0:
        return constant(type, tape.pick(EXACT_FLOATS));
      case 1:
        return unary('to_f32', splat(and(this.value('i32', 1, 0), 15), lanes));
      case 2:
        return splat(this.#k.load(...this.place('exact', 'f32', 1)), lanes);
      case 3:
        return this.#k.let(this.#k.load(...this.place('exact', 'f32', lanes), lanes));
      default:
        return this.#k.load(...this.place('exact', 'f32', lanes), lanes);
    }
  }

  /** A sum of exact products of small whole numbers as bfloat16, two to a lane. */
  #dotBf16(sum: Expr, lanes: number): Expr {
    const word = (): Expr =>
      this.#k.load(this.#regions.exact.buffer, 'i32', this.place('exact', 'f32', lanes)[2], lanes);
    const pair = (): Expr => (this.#tape.once(2) ? word() : or(word(), binary('shr_u', word(), 16)));
    return { kind: 'ternary', op: 'dotBf16', type: sum.type, a: sum, b: pair(), c: pair() };
  }

  /** A float that is no NaN, whose bits machines choose as they like. */
  #number(lanes: number, depth: number): Expr {
    const value = this.#k.let(this.value('f32', lanes, depth));
    return select(binary('eq', value, value), value, constant(value.type, 2));
  }

  #mask(lanes: number, depth: number): Expr {
    const tape = this.#tape;
    const mask = (): Expr => this.value('mask', lanes, depth);
    switch (tape.below(8)) {
      case 0:
        return unary('not', mask());
      case 1:
      case 2:
        return binary(tape.pick(['and', 'or', 'xor'] as const), mask(), mask());
      case 3:
      case 4: {
        const [a, b] = [this.value('f32', lanes, depth), this.value('f32', lanes, depth)];
        return binary(tape.pick(FLOAT_COMPARES), a, tape.once(6) ? a : b);
      }
      default: {
        const [a, b] = [this.value('i32', lanes, depth), this.value('i32', lanes, depth)];
        return binary(tape.pick(INTEGER_COMPARES), a, tape.once(6) ? a : b);
      }
    }
  }

  #loadFloat(lanes: number): Expr {
    const region = this.#tape.pick(['floats', 'floats', 'exact', 'scratchFloats'] as const);
    const load = this.#k.load(...this.place(region, 'f32', lanes), lanes);
    return this.#tape.once(3) ? this.#k.let(load) : load;
  }

  #loadInteger(lanes: number): Expr {
    const region = this.#tape.pick(['integers', 'integers', 'scratch', 'shared'] as const);
    const load = this.#k.load(...this.place(region, this.memory(), lanes), lanes);
    return this.#tape.once(3) ? this.#k.let(load) : load;
  }

  memory(): MemoryType {
    return this.#tape.once(2) ? this.#tape.pick(MEMORY_TYPES) : 'i32';
  }

  /** Where an access in bounds may go: buffer, type and offset. */
  place(name: RegionName, memory: MemoryType, lanes: number): [Region['buffer'], MemoryType, Expr] {
    const tape = this.#tape;
    const { buffer, byteOffset, byteLength, isFloat } = this.#regions[name];
    const bytes = MEMORY_BYTES[memory] * lanes;
    const unit = isFloat || tape.below(3) !== 0 ? 4 : 1;
    const room = byteLength - bytes;
    const sum = tape.below(3) === 0 ? NO_SUM : this.#sum(room, unit);
    return [buffer, memory, binary('add', placed(tape, sum, bytes, byteLength, unit), byteOffset)];
  }

  /** A sum of address terms that was there before, or a new one. */
  #sum(room: number, unit: number): Bounded {
    const { sums } = this.scope;
    const known = sums.filter(({ low, high }) => high - low <= room);
    if (known.length > 0 && this.#tape.below(3) !== 0) return this.#tape.pick(known);
    const sum = randomSum(this.#tape, this.scope, room, unit);
    // Sums of single bytes stay apart: floats are compared word by word.
    if (unit === 4) sums.push(sum);
    return sum;
  }

  /** A number with a known range, from any operation. */
  term(): Bounded {
    return randomTerm(this.#tape, this.scope);
  }
}
