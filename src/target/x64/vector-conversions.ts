/** Vectors as other numbers: floats and integers, 16 bits and 32, and what narrows on its way to memory. */
import { type BinaryOp, type Expr, type MemoryType, type Type, vectorType } from '../../kernel/expression.ts';
import { imm } from './assembler/index.ts';
import type { ExprOf, ValueCode } from './value-code.ts';
import type { Use, VirtualMemory, VirtualRegister } from './virtual-code.ts';

const TWO_31 = 2 ** 31;
const HALF: Readonly<Record<'xmm' | 'ymm' | 'zmm', 'xmm' | 'ymm'>> = { xmm: 'xmm', ymm: 'xmm', zmm: 'ymm' };

export class VectorConversions {
  readonly #values: ValueCode;

  constructor(values: ValueCode) {
    this.#values = values;
  }

  get #has512(): boolean {
    return this.#values.features.avx512;
  }

  emit(e: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    switch (e.op) {
      case 'to_f32_u':
        if (this.#has512) return values.write('vcvtudq2ps', e.type, target, values.operand(e.a));
        return this.#unsignedToFloat(e, target);
      case 'to_i32':
        return this.#toInteger(e, target);
      case 'to_u32':
        return this.#toUnsigned(e, target);
      case 'f16_to_f32':
        return this.#fromHalf(e, target);
      case 'f32_to_f16':
        return this.#toHalf(e, target);
      default:
        return values.fail(e.op, e.a.type);
    }
  }

  /** Upper and lower halves are exact as floats, so that only their sum is rounded. */
  #unsignedToFloat({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = this.#values.vector(values.emit(a), a.type);
    const upper = this.#values.vector(this.#values.write('vpsrld', type, undefined, source, imm(16)), type);
    const lower = this.#values.vector(
      this.#values.write('vpand', type, undefined, source, values.splatConstant(0xffff, type.lanes)),
      type,
    );
    const [high, low] = [upper, lower].map((use) =>
      this.#values.vector(this.#values.write('vcvtdq2ps', type, undefined, use), type),
    );
    const scale = this.#float(65536, type);
    const scaled = this.#values.vector(this.#values.write('vmulps', type, undefined, high!, scale), type);
    return this.#values.write('vaddps', type, target, scaled, low!);
  }

  #float(value: number, { lanes }: Type): Use {
    return this.#values.vector(
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
      this.#values.write('vcvttps2dq', type, undefined, this.#values.vector(values.emit(source), float)),
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
    const source = this.#values.vector(values.emit(a), float);
    const natural = this.#values.vector(
      this.#values.write('vmaxps', float, undefined, source, this.#float(0, type)),
      float,
    );
    if (this.#has512) return this.#values.write('vcvttps2udq', type, target, natural);
    // x - 2^31 in signed conversion gives the upper half of the range; it is added back where x is there.
    const x = values.named(natural.register, float);
    const mask = (limit: number): Expr => ({
      kind: 'binary',
      op: 'ge',
      a: x,
      b: { kind: 'const', type: float, value: limit },
      type: { element: 'mask', lanes: type.lanes },
    });
    const high = values.named(
      this.#values.write('vsubps', float, undefined, natural, this.#float(TWO_31, type)),
      float,
    );
    const convert = (e: Expr): Expr =>
      values.named(this.#values.write('vcvttps2dq', type, undefined, this.#values.vector(values.emit(e), float)), type);
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
      return this.#values.write('vcvtph2ps', type, target, values.address(taken));
    }
    if (source.kind === 'halves' && source.a.type.lanes === type.lanes) {
      const { a: packed, part } = values.taken(a) as ExprOf<'halves'>;
      return this.#values.write('vcvtph2ps', type, target, this.half(values.emit(packed), type.lanes, part));
    }
    return this.#values.write('vcvtph2ps', type, target, this.#packed16(values.emit(a), type));
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
    values.code.write('vcvtps2ph', half, this.#values.vector(values.emit(a), a.type), imm(0));
    return this.#values.write('vpmovzxwd', type, target, half);
  }

  /** Stores a vector's lanes, narrowed to the memory's type. */
  store(memory: MemoryType, place: VirtualMemory, value: Expr): void {
    const values = this.#values;
    const { code } = values;
    const { lanes } = value.type;
    const kind = values.width(lanes);
    const source = values.resolved(value);
    if (memory === 'u16' && source.kind === 'unary' && source.op === 'f32_to_f16') {
      const taken = values.taken(value) as ExprOf<'unary'>;
      code.read('vcvtps2ph', place, this.#values.vector(values.emit(taken.a), taken.a.type), imm(0));
      return;
    }
    const register = values.emit(value);
    const whole: Use = { register, kind };
    if (memory === 'f32' || memory === 'i32') code.read('vmovups', place, whole);
    else if (this.#has512) code.read(memory === 'i8' || memory === 'u8' ? 'vpmovdb' : 'vpmovdw', place, whole);
    else this.#storeNarrow(memory, place, register, lanes);
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
