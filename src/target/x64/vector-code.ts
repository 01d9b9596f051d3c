/** Lane-wise vector operations of the kernel language, for AVX2 and for AVX-512 at any vector length. */
import type { BinaryOp, Expr, MemoryType, Type } from '../../kernel/expression.ts';
import { i32, vectorType } from '../../kernel/expression.ts';
import type { Mnemonic, RegisterKind } from './assembler/index.ts';
import { type ExprOf, imm, type ValueCode } from './value-code.ts';
import {
  COMMUTATIVE,
  FLOAT_BINARY,
  FLOAT_COMPARES,
  INTEGER_BINARY,
  INTEGER_COMPARES,
  LOADS,
  ROUNDINGS,
  SHIFTS,
} from './vector-tables.ts';
import type { Use, VirtualMemory, VirtualOperand, VirtualRegister } from './virtual-code.ts';

const TWO_31 = 2 ** 31;
const HALF: Readonly<Record<'xmm' | 'ymm' | 'zmm', 'xmm' | 'ymm'>> = { xmm: 'xmm', ymm: 'xmm', zmm: 'ymm' };

const isZeroBits = (e: Expr): boolean => e.kind === 'const' && Object.is(e.value, 0);

export class VectorCode {
  readonly #values: ValueCode;

  constructor(values: ValueCode) {
    this.#values = values;
  }

  get #has512(): boolean {
    return this.#values.features.avx512;
  }

  #use(register: VirtualRegister, { lanes }: Type): Use {
    return { register, kind: this.#values.width(lanes) };
  }

  /** Emits an instruction into `target` or a new register. */
  #write(
    name: Mnemonic,
    type: Type,
    target: VirtualRegister | undefined,
    ...operands: VirtualOperand[]
  ): VirtualRegister {
    const register = target ?? this.#values.fresh(this.#values.kindOf(type));
    this.#values.code.write(name, { register, kind: this.#values.kindOf(type) }, ...operands);
    return register;
  }

  load(e: ExprOf<'load'>, target: VirtualRegister | undefined): VirtualRegister {
    const place = this.#values.address(e);
    return this.#write(LOADS[e.memory], e.type, target, place);
  }

  emit(e: Expr, target: VirtualRegister | undefined): VirtualRegister {
    switch (e.kind) {
      case 'unary':
        return this.#unary(e, target);
      case 'binary':
        return this.#binary(e, target);
      case 'ternary':
        return this.#ternary(e, target);
      default:
        return this.#values.fail(e.kind, e.type);
    }
  }

  // ---- one operand

  #unary(e: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const { op, a, type } = e;
    const values = this.#values;
    switch (op) {
      case 'bits_f32':
      case 'bits_i32': {
        // Vectors carry no element type; a register shared under both is still copied where it is wanted elsewhere.
        const register = values.emit(a);
        return values.moved(register, type, target);
      }
      case 'mask_to_i32':
        return this.#maskToInteger(e, target);
      case 'to_f32':
        return this.#write('vcvtdq2ps', type, target, values.operand(a));
      case 'to_f32_u':
        return this.#has512
          ? this.#write('vcvtudq2ps', type, target, values.operand(a))
          : this.#unsignedToFloat(e, target);
      case 'to_i32':
        return this.#toInteger(e, target);
      case 'to_u32':
        return this.#toUnsigned(e, target);
      case 'f16_to_f32':
        return this.#fromHalf(e, target);
      case 'f32_to_f16':
        return this.#toHalf(e, target);
    }
    const { element } = a.type;
    const rounding = ROUNDINGS[op];
    if (element === 'f32' && rounding !== undefined) {
      return this.#write(this.#has512 ? 'vrndscaleps' : 'vroundps', type, target, values.operand(a), imm(rounding));
    }
    if (element === 'f32' && op === 'sqrt') return this.#write('vsqrtps', type, target, values.operand(a));
    if (element === 'i32' && op === 'abs') return this.#write('vpabsd', type, target, values.operand(a));
    const source = values.emit(a);
    const use = this.#use(source, type);
    if (element === 'f32' && op === 'neg')
      return this.#write('vxorps', type, target, use, values.splatConstant(0x80000000 | 0, type.lanes));
    if (element === 'f32' && op === 'abs')
      return this.#write('vandps', type, target, use, values.splatConstant(0x7fffffff, type.lanes));
    if (element === 'i32' && op === 'neg') {
      const zero = values.emit({ kind: 'const', type, value: 0 });
      return this.#write('vpsubd', type, target, this.#use(zero, type), use);
    }
    if (element === 'i32' && op === 'not') {
      return this.#write(this.#has512 ? 'vpxord' : 'vpxor', type, target, use, values.splatConstant(-1, type.lanes));
    }
    if (element === 'mask' && op === 'not') {
      if (this.#has512) return this.#write('knotw', type, target, { register: source, kind: 'k' });
      return this.#write('vpxor', type, target, use, values.splatConstant(-1, type.lanes));
    }
    return values.fail(op, a.type);
  }

  #maskToInteger({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const mask = values.emit(a);
    if (!this.#has512) return this.#write('vpsrld', type, target, this.#use(mask, type), imm(31));
    const register = target ?? values.fresh(values.kindOf(type));
    values.code.masked('vmovdqa32', mask, true, this.#use(register, type), values.splatConstant(1, type.lanes));
    return register;
  }

  /** Upper and lower halves are exact as floats, so that only their sum is rounded. */
  #unsignedToFloat({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = this.#use(values.emit(a), a.type);
    const upper = this.#use(this.#write('vpsrld', type, undefined, source, imm(16)), type);
    const lower = this.#use(
      this.#write('vpand', type, undefined, source, values.splatConstant(0xffff, type.lanes)),
      type,
    );
    const [high, low] = [upper, lower].map((use) => this.#use(this.#write('vcvtdq2ps', type, undefined, use), type));
    const scale = this.#float(65536, type);
    const scaled = this.#use(this.#write('vmulps', type, undefined, high!, scale), type);
    return this.#write('vaddps', type, target, scaled, low!);
  }

  #float(value: number, { lanes }: Type): Use {
    return this.#use(
      this.#values.emit({ kind: 'const', type: vectorType('f32', lanes), value }),
      vectorType('f32', lanes),
    );
  }

  /** The conversion gives 2^31 for all that does not fit: right for what is too low, wrong for the rest and for NaN. */
  #toInteger({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const float: Type = { element: 'f32', lanes: type.lanes };
    const source = values.named(values.emit(a), float);
    const converted = values.named(
      this.#write('vcvttps2dq', type, undefined, this.#use(values.emit(source), float)),
      type,
    );
    const compare = (op: BinaryOp, b: Expr): Expr => ({
      kind: 'binary',
      op,
      a: source,
      b,
      type: { element: 'mask', lanes: type.lanes },
    });
    const select = (mask: Expr, b: Expr, c: Expr): Expr => ({ kind: 'ternary', op: 'select', a: mask, b, c, type });
    const limit: Expr = { kind: 'const', type: float, value: TWO_31 };
    const most: Expr = { kind: 'const', type, value: 0x7fffffff };
    const saturated = select(compare('ge', limit), most, converted);
    return values.emit(select(compare('eq', source), saturated, { kind: 'const', type, value: 0 }), target);
  }

  /** NaN and what is below zero become zero first. */
  #toUnsigned({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const float: Type = { element: 'f32', lanes: type.lanes };
    const source = this.#use(values.emit(a), float);
    const natural = this.#use(this.#write('vmaxps', float, undefined, source, this.#float(0, type)), float);
    if (this.#has512) return this.#write('vcvttps2udq', type, target, natural);
    // x - 2^31 in signed conversion gives the upper half of the range; it is added back where x is there.
    const x = values.named(natural.register, float);
    const mask = (limit: number): Expr => ({
      kind: 'binary',
      op: 'ge',
      a: x,
      b: { kind: 'const', type: float, value: limit },
      type: { element: 'mask', lanes: type.lanes },
    });
    const high = values.named(this.#write('vsubps', float, undefined, natural, this.#float(TWO_31, type)), float);
    const convert = (e: Expr): Expr =>
      values.named(this.#write('vcvttps2dq', type, undefined, this.#use(values.emit(e), float)), type);
    const upper: Expr = {
      kind: 'binary',
      op: 'xor',
      a: convert(high),
      b: { kind: 'const', type, value: 0x80000000 | 0 },
      type,
    };
    const select = (m: Expr, b: Expr, c: Expr): Expr => ({ kind: 'ternary', op: 'select', a: m, b, c, type });
    const inRange = select(mask(TWO_31), upper, convert(x));
    return values.emit(select(mask(2 ** 32), { kind: 'const', type, value: -1 }, inRange), target);
  }

  /** Halves come packed from memory, or are packed first. */
  #fromHalf({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = values.resolved(a);
    if (source.kind === 'load' && source.memory === 'u16') {
      const taken = values.taken(a) as ExprOf<'load'>;
      return this.#write('vcvtph2ps', type, target, values.address(taken));
    }
    if (source.kind === 'halves' && source.a.type.lanes === type.lanes) {
      const { a: packed, part } = values.taken(a) as ExprOf<'halves'>;
      return this.#write('vcvtph2ps', type, target, this.half(values.emit(packed), type.lanes, part));
    }
    return this.#write('vcvtph2ps', type, target, this.#packed16(values.emit(a), type));
  }

  /** The lower or upper half of a register. */
  half(register: VirtualRegister, lanes: number, part: 'low' | 'high'): Use {
    const values = this.#values;
    const kind = HALF[values.width(lanes)];
    if (part === 'low') return { register, kind };
    const half = { register: values.fresh(kind), kind };
    const whole: Use = { register, kind: values.width(lanes) };
    if (lanes <= 4) values.code.write('vpsrldq', half, whole, imm(8));
    else if (lanes === 8) values.code.write(this.#has512 ? 'vextractf32x4' : 'vextractf128', half, whole, imm(1));
    else values.code.write('vextractf64x4', half, whole, imm(1));
    return half;
  }

  /** The lower 16 bits of each lane side by side. */
  #packed16(register: VirtualRegister, { lanes }: Type): Use {
    const values = this.#values;
    const { code } = values;
    const kind = values.width(lanes);
    const whole: Use = { register, kind };
    const half: Use = { register: values.fresh(kind), kind: HALF[kind] };
    if (this.#has512) {
      code.write('vpmovdw', half, whole);
      return half;
    }
    // Saturation must not touch the bits: only the lower 16 are kept.
    const low: Use = { register: values.fresh(kind), kind };
    code.write('vpand', low, whole, values.splatConstant(0xffff, lanes));
    code.write('vpackusdw', low, low, low);
    if (lanes === 8) code.write('vpermq', low, low, imm(0b1000));
    return { register: low.register, kind: HALF[kind] };
  }

  #toHalf({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const kind = values.width(type.lanes);
    const half: Use = { register: values.fresh(kind), kind: HALF[kind] };
    values.code.write('vcvtps2ph', half, this.#use(values.emit(a), a.type), imm(0));
    return this.#write('vpmovzxwd', type, target, half);
  }

  // ---- two operands

  #binary(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, type } = e;
    const { element } = a.type;
    if (type.element === 'mask') return element === 'mask' ? this.#maskLogic(e, target) : this.#compare(e, target);
    if (element === 'f32' && (op === 'min' || op === 'max')) return this.#extremum(e, target);
    const shift = element === 'i32' ? SHIFTS[op] : undefined;
    if (shift) return this.#shift(shift, e, target);
    const names = (element === 'f32' ? FLOAT_BINARY : INTEGER_BINARY)[op];
    if (!names) return values.fail(op, a.type);
    const name = names[this.#has512 ? 1 : 0];
    const [x, y] = COMMUTATIVE.has(op) && values.isFoldable(a) && !values.isFoldable(b) ? [b, a] : [a, b];
    const first = values.use(x);
    return this.#write(name, type, target, first, values.operand(y));
  }

  #shift(name: Mnemonic, { a, b, type }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = values.use(a);
    if (b.kind === 'const') return this.#write(name, type, target, source, imm(b.value & 31));
    const amount = values.emit({ kind: 'binary', op: 'and', a: b, b: i32(31), type: b.type });
    const lane: Use = { register: values.fresh('xmm'), kind: 'xmm' };
    values.code.write('vmovd', lane, { register: amount, kind: 'r32' });
    return this.#write(name, type, target, source, lane);
  }

  /**
   * The instruction gives its second operand where one is NaN or both are zeros. In both orders, the results differ just
   * there: bits of either make NaN and -0 for the minimum; for the maximum x - (x ^ y) keeps NaN and clears the sign.
   */
  #extremum({ op, a, b, type }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const name: Mnemonic = op === 'min' ? 'vminps' : 'vmaxps';
    if (isOrdinary(b)) return this.#write(name, type, target, values.use(b), values.operand(a));
    if (isOrdinary(a)) return this.#write(name, type, target, values.use(a), values.operand(b));
    const [x, y] = [values.use(a), values.use(b)];
    const one = this.#use(this.#write(name, type, undefined, x, y), type);
    const other = this.#use(this.#write(name, type, undefined, y, x), type);
    if (op === 'min') return this.#write('vorps', type, target, one, other);
    const difference = this.#use(this.#write('vxorps', type, undefined, one, other), type);
    const joined = this.#use(this.#write('vorps', type, undefined, one, difference), type);
    return this.#write('vsubps', type, target, joined, difference);
  }

  #maskLogic(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, type } = e;
    if (op !== 'and' && op !== 'or' && op !== 'xor') return values.fail(op, a.type);
    const name = this.#has512 ? (`k${op}w` as Mnemonic) : INTEGER_BINARY[op]![0];
    const first = values.use(a);
    return this.#write(name, type, target, first, values.use(b));
  }

  #compare(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, type } = e;
    if (a.type.element === 'f32') {
      const predicate = FLOAT_COMPARES[op];
      if (predicate === undefined) return values.fail(op, a.type);
      const first = values.use(a);
      return this.#write('vcmpps', type, target, first, values.operand(b), imm(predicate));
    }
    if (this.#has512) {
      const [name, predicate] = INTEGER_COMPARES[op] ?? values.fail(op, a.type);
      const first = values.use(a);
      return this.#write(name, type, target, first, values.operand(b), imm(predicate));
    }
    return this.#compareAvx2(e, target);
  }

  /** AVX2 compares for equality and signed greater-than; the rest is made of these. */
  #compareAvx2({ op, a, b, type }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const [x, y] = [values.use(a), values.use(b)];
    const write = (name: Mnemonic, p: Use, q: Use, to?: VirtualRegister): VirtualRegister =>
      this.#write(name, type, to, p, q);
    const inverted = (mask: VirtualRegister): VirtualRegister =>
      write('vpxor', this.#use(mask, type), values.splatConstant(-1, type.lanes), target);
    const isExtremum = (name: Mnemonic): Use => this.#use(write(name, x, y), type);
    switch (op) {
      case 'eq':
        return write('vpcmpeqd', x, y, target);
      case 'ne':
        return inverted(write('vpcmpeqd', x, y));
      case 'gt':
        return write('vpcmpgtd', x, y, target);
      case 'lt':
        return write('vpcmpgtd', y, x, target);
      case 'le':
        return inverted(write('vpcmpgtd', x, y));
      case 'ge':
        return inverted(write('vpcmpgtd', y, x));
      case 'ge_u':
        return write('vpcmpeqd', isExtremum('vpmaxud'), x, target);
      case 'le_u':
        return write('vpcmpeqd', isExtremum('vpminud'), x, target);
      case 'lt_u':
        return inverted(write('vpcmpeqd', isExtremum('vpmaxud'), x));
      case 'gt_u':
        return inverted(write('vpcmpeqd', isExtremum('vpminud'), x));
      default:
        return values.fail(op, a.type);
    }
  }

  // ---- three operands

  #ternary(e: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const { op, type } = e;
    if (op === 'select') return this.#select(e, target);
    if (op !== 'fma') return this.#dot(e, target);
    return type.element === 'f32' ? this.#values.multiplyAdd(e, target) : this.#values.fail(op, type);
  }

  #select(e: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { a, b, c, type } = e;
    if (type.element === 'mask') {
      // b where a, else c: c ^ (a & (b ^ c)).
      const logic = (op: 'and' | 'xor', p: Expr, q: Expr): Expr => ({ kind: 'binary', op, a: p, b: q, type });
      const [x, y] = [values.named(values.emit(b), type), values.named(values.emit(c), type)];
      return values.emit(logic('xor', y, logic('and', a, logic('xor', x, y))), target);
    }
    const mask = values.emit(a);
    const register = target ?? values.fresh(values.kindOf(type));
    const result = this.#use(register, type);
    if (this.#has512) {
      if (isZeroBits(c)) values.code.masked('vmovups', mask, true, result, values.operand(b, false));
      else {
        const otherwise = values.use(c);
        values.code.blend('vblendmps', mask, result, otherwise, values.operand(b));
      }
    } else if (isZeroBits(c)) values.code.write('vandps', result, this.#use(mask, type), values.operand(b));
    else if (isZeroBits(b)) values.code.write('vandnps', result, this.#use(mask, type), values.operand(c));
    else values.code.write('vblendvps', result, values.use(c), values.use(b), this.#use(mask, type));
    return register;
  }

  /** a + four-way dots of signed bytes b with unsigned bytes c. */
  #dot(e: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, c, type } = e;
    if (values.features.vnni) {
      const [codes, signed] = [values.use(c), values.operand(b)];
      const sum = values.changeable(a, type, target, [codes, signed]);
      const name: Mnemonic = this.#has512 ? 'vpdpbusd' : 'vex vpdpbusd';
      values.code.update(name, this.#use(sum, type), codes, signed);
      return values.moved(sum, type, target);
    }
    const [sum, signed, codes] = [values.use(a), values.use(b), values.use(c)];
    const write = (name: Mnemonic, ...operands: VirtualOperand[]): Use =>
      this.#use(this.#write(name, type, undefined, ...operands), type);
    const add: Mnemonic = 'vpaddd';
    if (op === 'dot8u7') {
      // Pairs of products of 7 with 8 bits fit 16 bits.
      const pairs = write('vpmaddubsw', codes, signed);
      const dots = write('vpmaddwd', pairs, values.splatConstant(0x00010001, type.lanes));
      return this.#write(add, type, target, sum, dots);
    }
    const [oddSigned, oddCodes] = [write('vpsraw', signed, imm(8)), write('vpsrlw', codes, imm(8))];
    const evenSigned = write('vpsraw', write('vpsllw', signed, imm(8)), imm(8));
    const evenCodes = write('vpsrlw', write('vpsllw', codes, imm(8)), imm(8));
    const odd = write('vpmaddwd', oddSigned, oddCodes);
    const even = write('vpmaddwd', evenSigned, evenCodes);
    return this.#write(add, type, target, sum, write(add, odd, even));
  }

  // ---- stores

  /** Stores a vector's lanes, narrowed to the memory's type. */
  store(memory: MemoryType, place: VirtualMemory, value: Expr): void {
    const values = this.#values;
    const { code } = values;
    const { lanes } = value.type;
    const kind = values.width(lanes);
    const source = values.resolved(value);
    if (memory === 'u16' && source.kind === 'unary' && source.op === 'f32_to_f16' && this.#isWholeStore(kind)) {
      const taken = values.taken(value) as ExprOf<'unary'>;
      code.read('vcvtps2ph', place, this.#use(values.emit(taken.a), taken.a.type), imm(0));
      return;
    }
    const register = values.emit(value);
    const whole: Use = { register, kind };
    if (memory === 'f32' || memory === 'i32') code.read('vmovups', place, whole);
    else if (this.#has512) code.read(memory === 'i8' || memory === 'u8' ? 'vpmovdb' : 'vpmovdw', place, whole);
    else this.#storeNarrow(memory, place, register, lanes);
  }

  /** Whether half a register is stored as such. */
  #isWholeStore(kind: RegisterKind): boolean {
    return this.#has512 || kind !== 'zmm';
  }

  #storeNarrow(memory: MemoryType, place: VirtualMemory, register: VirtualRegister, lanes: number): void {
    const values = this.#values;
    const { code } = values;
    const words = this.#packed16(register, vectorType('i32', lanes));
    const low: Use = { register: words.register, kind: 'xmm' };
    if (memory === 'i16' || memory === 'u16') {
      if (lanes === 8) code.read('vmovups', place, low);
      else code.read('vmovq', place, low);
      return;
    }
    const bytes: Use = { register: values.fresh('xmm'), kind: 'xmm' };
    code.write('vpand', bytes, low, values.splatConstant(0x00ff00ff, 4));
    code.write('vpackuswb', bytes, bytes, bytes);
    code.read(lanes === 8 ? 'vmovq' : 'vmovd', place, bytes);
  }
}

/** A constant that is neither NaN nor zero: the other operand's NaN then comes through by itself. */
const isOrdinary = (e: Expr): boolean => e.kind === 'const' && !Number.isNaN(e.value) && e.value !== 0;
