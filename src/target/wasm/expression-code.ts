/** Emits expressions of the kernel language; every value ends on WebAssembly's stack or in a local. */
import { BitloomError } from '../../ir/error.ts';
import { add, type Expr, mul, splat, type Type } from '../../kernel/expression.ts';
import type { Kernel } from '../../kernel/language.ts';
import { AddressCode } from './address-code.ts';
import type { FunctionBuilder, ValueType } from './encoder.ts';
import { f16ToF32, f32ToF16, scalarExtremum, scalarUnary } from './expansion.ts';
import * as table from './instructions.ts';
import type { OpcodeName } from './opcodes.ts';

/** What the engine can do beyond plain SIMD. */
export interface CodeFeatures {
  /** Relaxed SIMD: fused multiply-add, 8-bit dot products, byte look-ups and blends of one instruction. */
  readonly relaxedSimd: boolean;
  /** The relaxed dot product takes codes up to 255 in its second operand, exactly. */
  readonly dotU8: boolean;
}

/** The local that holds values of a register's type. Scalar masks are 0 or 1, vector masks all bits or none. */
export const valueType = ({ element, lanes }: Type): ValueType =>
  lanes > 1 ? 'v128' : element === 'f32' ? 'f32' : 'i32';

type ExprOf<Kind extends Expr['kind']> = Extract<Expr, { kind: Kind }>;

const I32X4: Type = { element: 'i32', lanes: 4 };
const LANES = [0, 1, 2, 3];

/** A constant whose bits are all 0: -0 has a sign. */
const isZero = (e: Expr): boolean => e.kind === 'const' && Object.is(e.value, 0);

export class ExpressionCode {
  readonly addresses: AddressCode;
  readonly #kernel: Kernel;
  readonly #code: FunctionBuilder;
  readonly #features: CodeFeatures;
  /** Locals by register, then those that `bind` added. */
  readonly #locals: number[];
  readonly #word = new DataView(new ArrayBuffer(4));
  /** Locals that hold repeated constants, by value. */
  readonly #constants = {
    f32: new Map<number, number>(),
    i32: new Map<number, number>(),
    mask: new Map<number, number>(),
  };

  constructor(kernel: Kernel, code: FunctionBuilder, features: CodeFeatures) {
    this.#kernel = kernel;
    this.#code = code;
    this.#features = features;
    this.#locals = kernel.registers.map((type) => code.local(valueType(type)));
    this.addresses = new AddressCode(code, kernel.buffers.length, (e) => this.emit(e));
  }

  /** The local of a register. */
  local(register: number): number {
    return this.#locals[register]!;
  }

  /** Computes a value into a new local and names it. */
  readonly bind = (value: Expr): Expr => {
    if (value.kind === 'const') return value;
    const local = this.#code.local(valueType(value.type));
    this.emit(value);
    this.#code.set(local);
    return this.#named(local, value.type);
  };

  #named(local: number, type: Type): Expr {
    return { kind: 'var', type, id: this.#locals.push(local) - 1 };
  }

  #fail(op: string, element: string): never {
    const message = `kernel ${this.#kernel.name}: operation ${op} does not take ${element}`;
    throw new BitloomError('INVALID_GRAPH', message, { kernel: this.#kernel.name, op, element });
  }

  /** Emits code that leaves the value on the stack. */
  emit(e: Expr): void {
    switch (e.kind) {
      case 'const':
        this.#constant(e);
        break;
      case 'var':
        this.#code.get(this.local(e.id));
        break;
      case 'thread':
        this.#code.get(this.#kernel.buffers.length);
        break;
      case 'threads':
        this.#code.get(this.#kernel.buffers.length + 1);
        break;
      case 'unary':
        this.#unary(e);
        break;
      case 'binary':
        this.#binary(e);
        break;
      case 'ternary':
        this.#ternary(e);
        break;
      case 'load':
        this.#load(e);
        break;
      case 'expand':
        this.#fail(e.kind, e.memory);
        break;
      case 'extract':
        this.#extract(e);
        break;
      case 'shuffle':
        this.#shuffle(e);
        break;
      case 'lookup':
        this.#lookup(e);
        break;
      case 'halves':
        this.#halves(e);
        break;
      case 'pack8':
        this.#pack8(e);
        break;
    }
  }

  #emitAll(operands: readonly Expr[], instruction: OpcodeName): void {
    for (const x of operands) this.emit(x);
    this.#code.op(instruction);
  }

  #constant({ type, value }: ExprOf<'const'>): void {
    if (type.lanes > 1) this.#splatConstant(type, value);
    else if (type.element === 'f32') this.#code.f32(value);
    else this.#code.i32(value);
  }

  /** Both zeros are equal as keys, so neither is remembered. */
  #splatConstant(type: Type, value: number): void {
    const locals = this.#constants[type.element];
    const known = value === 0 ? undefined : locals.get(value);
    if (known !== undefined) {
      this.#code.get(known);
      return;
    }
    const local = this.#vectorConstant(this.#repeat(type, value));
    if (local !== undefined) locals.set(value, local);
  }

  /** The sixteen bytes of a value in all lanes. */
  #repeat({ element }: Type, value: number): number[] {
    if (element === 'f32') this.#word.setFloat32(0, value, true);
    else this.#word.setInt32(0, element === 'mask' ? -value : value, true);
    const bytes: number[] = [];
    for (let i = 0; i < 16; i++) bytes.push(this.#word.getUint8(i & 3));
    return bytes;
  }

  /** Zero costs one instruction anywhere; other constants are made once, at the function's entry, in the local returned. */
  #vectorConstant(bytes: readonly number[]): number | undefined {
    if (bytes.every((b) => b === 0)) {
      this.#code.v128(bytes);
      return undefined;
    }
    const local = this.#code.constant(bytes);
    this.#code.get(local);
    return local;
  }

  #load({ type, memory, buffer, byteOffset }: ExprOf<'load'>): void {
    const offset = this.addresses.push(buffer.index, byteOffset);
    const [load, ...widen] = type.lanes > 1 ? table.LOAD_VECTOR[memory] : [table.LOAD_SCALAR[memory]];
    this.#code.op(load!, offset);
    for (const op of widen) this.#code.op(op);
  }

  #extract({ type, a, lane }: ExprOf<'extract'>): void {
    this.emit(a);
    if (a.type.lanes === 1) return;
    this.#code.op(type.element === 'f32' ? 'f32x4.extract_lane' : 'i32x4.extract_lane', lane);
    if (type.element === 'mask') this.#code.i32(1).op('i32.and'); // all bits in vectors, one in scalars
  }

  #unary({ op, a }: ExprOf<'unary'>): void {
    const { element, lanes } = a.type;
    const instruction = (lanes > 1 ? table.UNARY_VECTOR : table.UNARY_SCALAR)[element][op];
    if (instruction) this.#emitAll([a], instruction);
    else if (op === 'splat') this.#splat(a);
    else if (op === 'popcount' && element === 'i32') this.#popcount(a);
    else if (op === 'f16_to_f32' && a.kind === 'halves' && lanes > 1) this.#f16Halves(a);
    else if (op === 'f16_to_f32') this.emit(f16ToF32(a, this.bind));
    else if (op === 'f32_to_f16') this.emit(f32ToF16(a, this.bind));
    else if (op === 'reduce_add' || op === 'reduce_min' || op === 'reduce_max') this.#reduce(op, a);
    else if (op === 'mask_to_i32') {
      this.emit(a);
      if (lanes > 1) this.#code.i32(31).op('i32x4.shr_u');
    } else if (op === 'bits_f32' || op === 'bits_i32') {
      this.emit(a); // vectors carry no element type
    } else {
      const expanded = lanes === 1 && element === 'i32' ? scalarUnary(op, a, this.bind) : undefined;
      this.emit(expanded ?? this.#fail(op, element));
    }
  }

  /** Bits of bytes, added in pairs twice. */
  #popcount(a: Expr): void {
    this.#emitAll([a], 'i8x16.popcnt');
    this.#code.op('i16x8.extadd_pairwise_i8x16_u').op('i32x4.extadd_pairwise_i16x8_u');
  }

  #splat(a: Expr): void {
    const code = this.#code;
    if (a.kind === 'load' && (a.memory === 'f32' || a.memory === 'i32')) {
      code.op('v128.load32_splat', this.addresses.push(a.buffer.index, a.byteOffset));
      return;
    }
    const isMask = a.type.element === 'mask';
    if (isMask) code.i32(0);
    this.emit(a);
    if (isMask) code.op('i32.sub');
    code.op(a.type.element === 'f32' ? 'f32x4.splat' : 'i32x4.splat');
  }

  /** Halves are combined in the interpreter's order, so that float sums agree to the last bit. */
  #reduce(op: 'reduce_add' | 'reduce_min' | 'reduce_max', operand: Expr): void {
    const combine = op === 'reduce_add' ? 'add' : op === 'reduce_min' ? 'min' : 'max';
    if (operand.type.lanes === 1) {
      this.emit(operand);
      return;
    }
    let vector = operand;
    for (const half of [2, 1]) {
      const x = this.bind(vector);
      const upper: Expr = { kind: 'shuffle', type: x.type, a: x, b: x, pattern: [half, half + 1, half, half + 1] };
      vector = { kind: 'binary', op: combine, type: x.type, a: x, b: upper };
    }
    this.emit({ kind: 'extract', type: { element: operand.type.element, lanes: 1 }, a: vector, lane: 0 });
  }

  #binary({ op, a, b }: ExprOf<'binary'>): void {
    const { element, lanes } = a.type;
    const instruction = (lanes > 1 ? table.BINARY_VECTOR : table.BINARY_SCALAR)[element][op];
    if (instruction) this.#emitAll([a, b], instruction);
    else {
      const expanded = lanes === 1 && element === 'i32' ? scalarExtremum(op, a, b, this.bind) : undefined;
      this.emit(expanded ?? this.#fail(op, element));
    }
  }

  #ternary(e: ExprOf<'ternary'>): void {
    const { op, a, b, c, type } = e;
    const isVector = type.lanes > 1;
    const { relaxedSimd, dotU8 } = this.#features;
    if (op === 'fma') {
      if (type.element !== 'f32') this.#fail(op, type.element);
      if (isVector && relaxedSimd) this.#emitAll([a, b, c], 'f32x4.relaxed_madd');
      else this.emit(add(mul(a, b), c));
    } else if (op === 'select') {
      // Where one side is zero bits the mask itself selects, which engines do faster.
      if (isVector && isZero(c)) this.#emitAll([a, b], 'v128.and');
      else if (isVector && isZero(b)) this.#emitAll([c, a], 'v128.andnot');
      else if (isVector) this.#emitAll([b, c, a], relaxedSimd ? 'i32x4.relaxed_laneselect' : 'v128.bitselect');
      else {
        for (const x of [b, c, a]) this.emit(x);
        this.#code.select(valueType(type));
      }
    } else if (op === 'dotBf16') this.#fail(op, type.element);
    else if (op === 'dot16' && isVector) this.#emitDot16(a, b, c);
    else if (!isVector) this.#firstLane({ ...e, type: I32X4, a: splat(a, 4), b: splat(b, 4), c: splat(c, 4) });
    else if (relaxedSimd && (op === 'dot8u7' || dotU8)) {
      this.#emitAll([b, c, a], 'i32x4.relaxed_dot_i8x16_i7x16_add_s');
    } else this.#wideningDot(a, b, c);
  }

  #emitDot16(sum: Expr, b: Expr, c: Expr): void {
    this.emit(sum);
    this.#emitAll([b, c], 'i32x4.dot_i16x8_s');
    this.#code.op('i32x4.add');
  }

  /** Four-way dot of signed with unsigned bytes: even and odd bytes as 16-bit numbers, two pairwise dots. */
  #wideningDot(sum: Expr, signed: Expr, codes: Expr): void {
    const code = this.#code;
    const [s, u] = [code.local('v128'), code.local('v128')];
    this.emit(sum);
    this.emit(signed);
    code.tee(s).i32(8).op('i16x8.shl').i32(8).op('i16x8.shr_s');
    this.emit(codes);
    code.tee(u);
    this.#splatConstant(I32X4, 0x00ff00ff);
    code.op('v128.and').op('i32x4.dot_i16x8_s');
    code.get(s).i32(8).op('i16x8.shr_s').get(u).i32(8).op('i16x8.shr_u').op('i32x4.dot_i16x8_s');
    code.op('i32x4.add').op('i32x4.add');
  }

  /** Operations on 128 bits only: one lane is the first of four. */
  #firstLane(all: Expr): void {
    this.emit({ kind: 'extract', type: { element: all.type.element, lanes: 1 }, a: all, lane: 0 });
  }

  #shuffle({ type, a, b, pattern }: ExprOf<'shuffle'>): void {
    if (type.lanes === 1) this.emit(pattern[0] === 0 ? a : b);
    else {
      this.emit(a);
      this.emit(b);
      this.#code.shuffle(pattern.flatMap((lane) => LANES.map((byte) => lane * 4 + byte)));
    }
  }

  #lookup(e: ExprOf<'lookup'>): void {
    if (e.type.lanes === 1) this.#firstLane({ ...e, type: I32X4, indices: splat(e.indices, 4) });
    else {
      this.#vectorConstant(e.table);
      this.emit(e.indices);
      if (!staysBelow16(e.indices)) {
        this.#vectorConstant(new Array<number>(16).fill(15));
        this.#code.op('v128.and');
      }
      this.#code.op(this.#features.relaxedSimd ? 'i8x16.relaxed_swizzle' : 'i8x16.swizzle');
    }
  }

  #halves({ type, a, part }: ExprOf<'halves'>): void {
    this.emit(a);
    if (type.lanes > 1) this.#code.op(part === 'low' ? 'i32x4.extend_low_i16x8_u' : 'i32x4.extend_high_i16x8_u');
    else if (part === 'low') this.#code.i32(0xffff).op('i32.and');
    else this.#code.i32(16).op('i32.shr_u');
  }

  /**
   * Eight binary16 numbers at once: upper and lower halves of the f32 fields as 16-bit lanes, where an exponent of all
   * ones stays so, then four of them joined and multiplied as in `f16ToF32`. The other four share all but that.
   */
  #f16Halves({ type, a, part }: ExprOf<'halves'>): void {
    const code = this.#code;
    const halves = (value: number): Expr => ({ kind: 'const', type, value: (value << 16) | value });
    const x = this.bind(a);
    this.emit(x);
    code.i32(13).op('i16x8.shl');
    this.emit(x);
    code.i32(3).op('i16x8.shr_s');
    this.emit(halves(0x8fff));
    code.op('v128.and');
    const exponent = halves(0x7c00);
    this.emit(x);
    this.emit(exponent);
    code.op('v128.and');
    this.emit(exponent);
    code.op('i16x8.eq');
    this.emit(halves(0x7000));
    code.op('v128.and').op('v128.or');
    const first = part === 'low' ? 0 : 8;
    code.shuffle(LANES.flatMap((i) => [0, 1, 16, 17].map((byte) => first + 2 * i + byte)));
    this.emit({ kind: 'const', type: { element: 'f32', lanes: type.lanes }, value: 2 ** 112 });
    code.op('f32x4.mul');
  }

  #pack8({ type, parts }: ExprOf<'pack8'>): void {
    if (type.lanes === 1) {
      const gathered = this.#gather(parts);
      this.#firstLane({ kind: 'pack8', type: I32X4, parts: [gathered, gathered, gathered, gathered] });
    } else {
      this.#emitAll(parts.slice(0, 2), 'i16x8.narrow_i32x4_s');
      this.#emitAll(parts.slice(2), 'i16x8.narrow_i32x4_s');
      this.#code.op('i8x16.narrow_i16x8_s');
    }
  }

  /** Four scalars as the lanes of one vector. */
  #gather(scalars: readonly Expr[]): Expr {
    const local = this.#code.local('v128');
    this.emit(splat(scalars[0]!, 4));
    for (const lane of [1, 2, 3]) {
      this.emit(scalars[lane]!);
      this.#code.op('i32x4.replace_lane', lane);
    }
    this.#code.set(local);
    return this.#named(local, I32X4);
  }
}

/** Whether each byte is masked to four bits already. */
const staysBelow16 = (e: Expr): boolean =>
  e.kind === 'binary' && e.op === 'and' && e.b.kind === 'const' && (e.b.value & ~0x0f0f0f0f) === 0;
