/** Lane-wise vector operations of the kernel language, for AVX2 and for AVX-512 at any vector length. */
import { add, and, constant, type Expr, i32, shrU, ternary } from '../../kernel/expression.ts';
import { imm, type Mnemonic } from './assembler/index.ts';
import { BitLogic } from './bit-logic.ts';
import type { ExprOf, ValueCode } from './value-code.ts';
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
import type { Use, VirtualOperand, VirtualRegister } from './virtual-code.ts';

/** Bits set in numbers of four bits. */
const BITS_OF_HALVES = [0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4];

const isZeroBits = (e: Expr): boolean => e.kind === 'const' && Object.is(e.value, 0);

export class VectorCode {
  readonly #values: ValueCode;
  readonly #logic: BitLogic;

  constructor(values: ValueCode) {
    this.#values = values;
    this.#logic = new BitLogic(values);
  }

  get #has512(): boolean {
    return this.#values.features.avx512;
  }

  load(e: ExprOf<'load'>, target: VirtualRegister | undefined): VirtualRegister {
    const place = this.#values.address(e);
    return this.#values.write(LOADS[e.memory], e.type, target, place);
  }

  /** Fills lanes, or halves of them, from consecutive elements. */
  expand(e: ExprOf<'expand'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { memory, type } = e;
    if (!values.features.expand || type.lanes === 1) return values.fail(e.kind, type);
    const mask: Use = { register: values.fresh('k'), kind: 'k' };
    values.code.write('kmovd', mask, values.use(e.mask));
    const register = target ?? values.fresh(values.kindOf(type));
    const name: Mnemonic = memory === 'u16' ? 'vpexpandw' : 'vpexpandd';
    values.code.masked(name, mask.register, true, this.#values.vector(register, type), values.address(e));
    return register;
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
      case 'popcount':
        return this.#popcount(e, target);
      case 'to_f32':
        return this.#values.write('vcvtdq2ps', type, target, values.operand(a));
      case 'to_f32_u':
      case 'to_i32':
      case 'to_u32':
      case 'f16_to_f32':
      case 'f32_to_f16':
        return values.convert(e, target);
    }
    const { element } = a.type;
    const rounding = ROUNDINGS[op];
    if (element === 'f32' && rounding !== undefined) {
      return this.#values.write(
        this.#has512 ? 'vrndscaleps' : 'vroundps',
        type,
        target,
        values.operand(a),
        imm(rounding),
      );
    }
    if (element === 'f32' && op === 'sqrt') return this.#values.write('vsqrtps', type, target, values.operand(a));
    if (element === 'i32' && op === 'abs') return this.#values.write('vpabsd', type, target, values.operand(a));
    const source = values.emit(a);
    const use = this.#values.vector(source, type);
    if (element === 'f32' && op === 'neg')
      return this.#values.write('vxorps', type, target, use, values.splatConstant(0x80000000 | 0, type.lanes));
    if (element === 'f32' && op === 'abs')
      return this.#values.write('vandps', type, target, use, values.splatConstant(0x7fffffff, type.lanes));
    if (element === 'i32' && op === 'neg') {
      const zero = values.emit({ kind: 'const', type, value: 0 });
      return this.#values.write('vpsubd', type, target, this.#values.vector(zero, type), use);
    }
    if (element === 'i32' && op === 'not') {
      return this.#values.write(
        this.#has512 ? 'vpxord' : 'vpxor',
        type,
        target,
        use,
        values.splatConstant(-1, type.lanes),
      );
    }
    if (element === 'mask' && op === 'not') {
      if (this.#has512) return this.#values.write('knotw', type, target, { register: source, kind: 'k' });
      return this.#values.write('vpxor', type, target, use, values.splatConstant(-1, type.lanes));
    }
    return values.fail(op, a.type);
  }

  #maskToInteger({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const mask = values.emit(a);
    if (!this.#has512) return this.#values.write('vpsrld', type, target, this.#values.vector(mask, type), imm(31));
    const register = target ?? values.fresh(values.kindOf(type));
    values.code.masked(
      'vmovdqa32',
      mask,
      true,
      this.#values.vector(register, type),
      values.splatConstant(1, type.lanes),
    );
    return register;
  }

  /** Bits of half bytes by a table, and the sum of each lane's eight. */
  #popcount({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    if (a.type.element !== 'i32') return values.fail('popcount', a.type);
    if (values.features.popcount) return values.write('vpopcntd', type, target, values.operand(a));
    const x = values.named(values.emit(a), type);
    const of = (indices: Expr): Expr => ({
      kind: 'lookup',
      type,
      table: BITS_OF_HALVES,
      indices: and(indices, 0x0f0f0f0f),
    });
    const bytes = add(of(x), of(shrU(x, 4)));
    return values.emit(ternary('dot8u7', constant(type, 0), constant(type, 0x01010101), bytes), target);
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
    const fused = this.#logic.emit(e, target);
    if (fused) return fused;
    const names = (element === 'f32' ? FLOAT_BINARY : INTEGER_BINARY)[op];
    if (!names) return values.fail(op, a.type);
    const name = names[this.#has512 ? 1 : 0];
    const [x, y] = COMMUTATIVE.has(op) && values.isFoldable(a) && !values.isFoldable(b) ? [b, a] : [a, b];
    const first = values.use(x);
    return this.#values.write(name, type, target, first, values.operand(y));
  }

  #shift(name: Mnemonic, { a, b, type }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = values.use(a);
    if (b.kind === 'const') return this.#values.write(name, type, target, source, imm(b.value & 31));
    const amount = values.emit({ kind: 'binary', op: 'and', a: b, b: i32(31), type: b.type });
    const lane: Use = { register: values.fresh('xmm'), kind: 'xmm' };
    values.code.write('vmovd', lane, { register: amount, kind: 'r32' });
    return this.#values.write(name, type, target, source, lane);
  }

  /**
   * The instruction gives its second operand where one is NaN or both are zeros. In both orders, the results differ just
   * there: bits of either make NaN and -0 for the minimum; for the maximum x - (x ^ y) keeps NaN and clears the sign.
   */
  #extremum({ op, a, b, type }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const name: Mnemonic = op === 'min' ? 'vminps' : 'vmaxps';
    if (isOrdinary(b)) return this.#values.write(name, type, target, values.use(b), values.operand(a));
    if (isOrdinary(a)) return this.#values.write(name, type, target, values.use(a), values.operand(b));
    const [x, y] = [values.use(a), values.use(b)];
    const one = this.#values.vector(this.#values.write(name, type, undefined, x, y), type);
    const other = this.#values.vector(this.#values.write(name, type, undefined, y, x), type);
    if (op === 'min') return this.#values.write('vorps', type, target, one, other);
    const difference = this.#values.vector(this.#values.write('vxorps', type, undefined, one, other), type);
    const joined = this.#values.vector(this.#values.write('vorps', type, undefined, one, difference), type);
    return this.#values.write('vsubps', type, target, joined, difference);
  }

  #maskLogic(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, type } = e;
    if (op !== 'and' && op !== 'or' && op !== 'xor') return values.fail(op, a.type);
    const name = this.#has512 ? (`k${op}w` as Mnemonic) : INTEGER_BINARY[op]![0];
    const first = values.use(a);
    return this.#values.write(name, type, target, first, values.use(b));
  }

  #compare(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, type } = e;
    if (a.type.element === 'f32') {
      const predicate = FLOAT_COMPARES[op];
      if (predicate === undefined) return values.fail(op, a.type);
      const first = values.use(a);
      return this.#values.write('vcmpps', type, target, first, values.operand(b), imm(predicate));
    }
    if (this.#has512) {
      const [name, predicate] = INTEGER_COMPARES[op] ?? values.fail(op, a.type);
      const first = values.use(a);
      return this.#values.write(name, type, target, first, values.operand(b), imm(predicate));
    }
    return this.#compareAvx2(e, target);
  }

  /** AVX2 compares for equality and signed greater-than; the rest is made of these. */
  #compareAvx2({ op, a, b, type }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const [x, y] = [values.use(a), values.use(b)];
    const write = (name: Mnemonic, p: Use, q: Use, to?: VirtualRegister): VirtualRegister =>
      this.#values.write(name, type, to, p, q);
    const inverted = (mask: VirtualRegister): VirtualRegister =>
      write('vpxor', this.#values.vector(mask, type), values.splatConstant(-1, type.lanes), target);
    const isExtremum = (name: Mnemonic): Use => this.#values.vector(write(name, x, y), type);
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
    if (op === 'dotBf16') return this.#dotBf16(e, target);
    if (op === 'dot16') return this.#dot16(e, target);
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
    const result = this.#values.vector(register, type);
    if (this.#has512) {
      if (isZeroBits(c)) values.code.masked('vmovups', mask, true, result, values.operand(b, false));
      else {
        const otherwise = values.use(c);
        values.code.blend('vblendmps', mask, result, otherwise, values.operand(b));
      }
    } else if (isZeroBits(c)) values.code.write('vandps', result, this.#values.vector(mask, type), values.operand(b));
    else if (isZeroBits(b)) values.code.write('vandnps', result, this.#values.vector(mask, type), values.operand(c));
    else values.code.write('vblendvps', result, values.use(c), values.use(b), this.#values.vector(mask, type));
    return register;
  }

  /** a + dots of the pairs that b and c hold. */
  #dotBf16({ op, a, b, c, type }: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    if (!values.features.bf16 || type.lanes === 1) return values.fail(op, type);
    const [x, y] = values.isFoldable(b) && !values.isFoldable(c) ? [c, b] : [b, c];
    const [first, second] = [values.use(x), values.operand(y)];
    const sum = values.changeable(a, type, target, [first, second]);
    values.code.update('vdpbf16ps', this.#values.vector(sum, type), first, second);
    return values.moved(sum, type, target);
  }

  /** a + dots of the pairs of words that b and c hold. */
  #dot16({ a, b, c, type }: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const [x, y] = values.isFoldable(b) && !values.isFoldable(c) ? [c, b] : [b, c];
    if (values.features.vnni) {
      const [first, second] = [values.use(x), values.operand(y)];
      const sum = values.changeable(a, type, target, [first, second]);
      const name: Mnemonic = this.#has512 ? 'vpdpwssd' : 'vex vpdpwssd';
      values.code.update(name, values.vector(sum, type), first, second);
      return values.moved(sum, type, target);
    }
    const [sum, first] = [values.use(a), values.use(x)];
    const dots = values.vector(values.write('vpmaddwd', type, undefined, first, values.operand(y, false)), type);
    return values.write('vpaddd', type, target, sum, dots);
  }

  /** a + four-way dots of signed bytes b with unsigned bytes c. */
  #dot(e: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, c, type } = e;
    if (values.features.vnni) {
      const [codes, signed] = [values.use(c), values.operand(b)];
      const sum = values.changeable(a, type, target, [codes, signed]);
      const name: Mnemonic = this.#has512 ? 'vpdpbusd' : 'vex vpdpbusd';
      values.code.update(name, this.#values.vector(sum, type), codes, signed);
      return values.moved(sum, type, target);
    }
    const [sum, signed, codes] = [values.use(a), values.use(b), values.use(c)];
    const write = (name: Mnemonic, ...operands: VirtualOperand[]): Use =>
      this.#values.vector(this.#values.write(name, type, undefined, ...operands), type);
    const add: Mnemonic = 'vpaddd';
    if (op === 'dot8u7') {
      // Pairs of products of 7 with 8 bits fit 16 bits.
      const pairs = write('vpmaddubsw', codes, signed);
      const dots = write('vpmaddwd', pairs, values.splatConstant(0x00010001, type.lanes));
      return this.#values.write(add, type, target, sum, dots);
    }
    const [oddSigned, oddCodes] = [write('vpsraw', signed, imm(8)), write('vpsrlw', codes, imm(8))];
    const evenSigned = write('vpsraw', write('vpsllw', signed, imm(8)), imm(8));
    const evenCodes = write('vpsrlw', write('vpsllw', codes, imm(8)), imm(8));
    const odd = write('vpmaddwd', oddSigned, oddCodes);
    const even = write('vpmaddwd', evenSigned, evenCodes);
    return this.#values.write(add, type, target, sum, write(add, odd, even));
  }
}

/** A constant that is neither NaN nor zero: the other operand's NaN then comes through by itself. */
const isOrdinary = (e: Expr): boolean => e.kind === 'const' && !Number.isNaN(e.value) && e.value !== 0;
