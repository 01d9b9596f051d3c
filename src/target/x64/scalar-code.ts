/** Scalars of the kernel language: i32 and masks in general registers, f32 in the lowest lane of vector registers. */
import type { BinaryOp, Expr, MemoryType, Type, UnaryOp } from '../../kernel/expression.ts';
import { I32 } from '../../kernel/expression.ts';
import { imm, type Mnemonic } from './assembler/index.ts';
import type { ExprOf, ValueCode } from './value-code.ts';
import { CONVERSIONS_BY_VECTOR, FLOAT_COMPARES, ROUNDINGS } from './vector-tables.ts';
import type { Use, VirtualOperand, VirtualRegister } from './virtual-code.ts';

const LOADS: Readonly<Record<MemoryType, Mnemonic>> = {
  f32: 'vmovss',
  i32: 'mov',
  i16: 'movsx16',
  u16: 'movzx16',
  i8: 'movsx8',
  u8: 'movzx8',
};

const COMMUTATIVE: Partial<Record<BinaryOp, Mnemonic>> = { mul: 'imul', and: 'and', or: 'or', xor: 'xor' };
const SHIFTS: Partial<Record<BinaryOp, readonly [Mnemonic, Mnemonic]>> = {
  shl: ['shl', 'shlx'],
  shr_u: ['shr', 'shrx'],
  shr_s: ['sar', 'sarx'],
};
/** Condition codes after `cmp a, b`. */
export const CONDITIONS: Partial<Record<BinaryOp, string>> = {
  eq: 'e',
  ne: 'ne',
  lt: 'l',
  le: 'le',
  gt: 'g',
  ge: 'ge',
  lt_u: 'b',
  le_u: 'be',
  gt_u: 'a',
  ge_u: 'ae',
};
/** The condition under which the first operand is the extremum. */
const EXTREMA: Partial<Record<BinaryOp, string>> = { min: 'l', max: 'g', min_u: 'b', max_u: 'a' };
const FLOAT_BINARY: Partial<Record<BinaryOp, Mnemonic>> = {
  add: 'vaddss',
  sub: 'vsubss',
  mul: 'vmulss',
  div: 'vdivss',
};

const r32 = (register: VirtualRegister): Use => ({ register, kind: 'r32' });
const xmm = (register: VirtualRegister): Use => ({ register, kind: 'xmm' });
const FOUR: Readonly<Record<Type['element'], Type>> = {
  f32: { element: 'f32', lanes: 4 },
  i32: { element: 'i32', lanes: 4 },
  mask: { element: 'mask', lanes: 4 },
};

export class ScalarCode {
  readonly #values: ValueCode;

  constructor(values: ValueCode) {
    this.#values = values;
  }

  load(e: ExprOf<'load'>, target: VirtualRegister | undefined): VirtualRegister {
    const { code } = this.#values;
    const place = this.#values.address(e);
    const register = target ?? this.#values.fresh(e.memory === 'f32' ? 'xmm' : 'r32');
    code.write(LOADS[e.memory], e.memory === 'f32' ? xmm(register) : r32(register), place);
    return register;
  }

  emit(e: Expr, target: VirtualRegister | undefined): VirtualRegister {
    switch (e.kind) {
      case 'unary':
        return this.#unary(e, target);
      case 'binary':
        if (e.a.type.element === 'f32') return this.#floatBinary(e, target);
        return CONDITIONS[e.op] ? this.#compare(e, target) : this.#integerBinary(e, target);
      case 'ternary':
        return this.#ternary(e, target);
      default:
        return this.#values.fail(e.kind, e.type);
    }
  }

  // ---- operations on one operand

  #unary(e: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a } = e;
    const { element } = a.type;
    if (element === 'mask') {
      if (op === 'mask_to_i32') return values.emit(a, target);
      if (op === 'not') return this.#twoAddress('xor', target, values.emit(a), imm(1));
      return values.fail(op, a.type);
    }
    if (op === 'bits_i32' || op === 'bits_f32') return this.#cast(e, target);
    if (CONVERSIONS_BY_VECTOR.has(op)) return this.#byVector(e, target);
    return element === 'f32' ? this.#floatUnary(op, a, target) : this.#integerUnary(op, a, target);
  }

  #cast({ op, a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    if (type.element === a.type.element) return values.emit(a, target);
    if (values.isFoldable(a)) {
      return values.write(op === 'bits_f32' ? 'vmovss' : 'mov', type, target, values.operand(a));
    }
    return values.write('vmovd', type, target, values.use(a));
  }

  /** What has vector instructions only is done in the lowest of four lanes. */
  #byVector({ op, a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = values.emit(a);
    const wide = a.type.element === 'f32' ? source : values.fresh('xmm');
    if (wide !== source) values.code.write('vmovd', xmm(wide), r32(source));
    const operand: Expr = values.named(wide, FOUR[a.type.element]);
    const all: Expr = { kind: 'unary', op, a: operand, type: { element: type.element, lanes: 4 } };
    if (type.element === 'f32') return values.emit(all, target);
    return values.write('vmovd', I32, target, xmm(values.emit(all)));
  }

  #floatUnary(op: UnaryOp, a: Expr, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = xmm(values.emit(a));
    const register = target ?? values.fresh('xmm');
    const { code } = values;
    const rounding = ROUNDINGS[op];
    if (rounding !== undefined) {
      code.write(values.features.avx512 ? 'vrndscaless' : 'vroundss', xmm(register), source, source, imm(rounding));
    } else if (op === 'sqrt') code.write('vsqrtss', xmm(register), source, source);
    else if (op === 'neg') code.write('vxorps', xmm(register), source, values.splatConstant(0x80000000 | 0, 4));
    else if (op === 'abs') code.write('vandps', xmm(register), source, values.splatConstant(0x7fffffff, 4));
    else values.fail(op, a.type);
    return register;
  }

  #integerUnary(op: UnaryOp, a: Expr, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { code } = values;
    const source = values.emit(a);
    if (op === 'popcount') {
      return values.write('popcnt', I32, target, r32(source));
    }
    if (op === 'neg' || op === 'not') {
      const register = this.#copied(source, target);
      code.update(op, r32(register));
      return register;
    }
    if (op !== 'abs') return values.fail(op, a.type);
    // -a, and a again where that is below zero: for the lowest number both are the same.
    const register = this.#copied(source, target === source ? undefined : target);
    code.update('neg', r32(register));
    code.update('cmovs' as Mnemonic, r32(register), r32(source));
    return values.moved(register, I32, target);
  }

  /** A copy that may be changed: in `target`, or anew. */
  #copied(source: VirtualRegister, target: VirtualRegister | undefined): VirtualRegister {
    const register = target ?? this.#values.fresh('r32');
    return this.#values.moved(source, I32, register);
  }

  // ---- operations on two operands

  /** target = a op b where the instruction overwrites its first operand. */
  #twoAddress(
    name: Mnemonic,
    target: VirtualRegister | undefined,
    a: VirtualRegister,
    b: VirtualOperand,
  ): VirtualRegister {
    const values = this.#values;
    const overwritesB = target !== undefined && target !== a && readsRegister(b, target);
    const register = overwritesB || target === undefined ? values.fresh('r32') : target;
    values.moved(a, I32, register);
    values.code.update(name, r32(register), b);
    return values.moved(register, I32, target);
  }

  #integerBinary(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b } = e;
    if (op === 'add') return this.#add(a, b, target);
    if (op === 'mul' && b.kind === 'const') {
      const log2 = Math.log2(b.value);
      if (Number.isInteger(log2)) return this.#twoAddress('shl', target, values.emit(a), imm(log2));
      const source = values.operand(a);
      return values.write('imul', I32, target, source, imm(b.value));
    }
    const commutative = COMMUTATIVE[op];
    if (commutative) {
      const [x, y] = values.isFoldable(a) && b.kind !== 'const' ? [b, a] : [a, b];
      const first = values.emit(x);
      return this.#twoAddress(commutative, target, first, this.#immediateOr(y));
    }
    if (op === 'sub') {
      const first = values.emit(a);
      return this.#twoAddress('sub', target, first, this.#immediateOr(b));
    }
    if (SHIFTS[op]) return this.#shift(e, target);
    if (EXTREMA[op]) return this.#extremum(e, target);
    return op.startsWith('div') || op.startsWith('rem') ? this.#divide(e, target) : values.fail(op, a.type);
  }

  #immediateOr(e: Expr): VirtualOperand {
    return e.kind === 'const' ? imm(e.value) : this.#values.operand(e);
  }

  #add(a: Expr, b: Expr, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const first = values.emit(a);
    if (target === first || values.isFoldable(b)) return this.#twoAddress('add', target, first, this.#immediateOr(b));
    const register = target ?? values.fresh('r32');
    if (b.kind === 'const') {
      values.code.write('lea', r32(register), { kind: 'mem', base: first, displacement: b.value });
    } else {
      const second = values.emit(b);
      values.code.write('lea', r32(register), { kind: 'mem', base: first, index: second, scale: 1 });
    }
    return register;
  }

  #shift({ op, a, b }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const [byConstant, byRegister] = SHIFTS[op]!;
    if (b.kind === 'const') return this.#twoAddress(byConstant, target, values.emit(a), imm(b.value & 31));
    const [source, amount] = [values.emit(a), values.emit(b)];
    return values.write(byRegister, I32, target, r32(source), r32(amount));
  }

  #extremum({ op, a, b }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const [first, second] = [values.emit(a), values.emit(b)];
    values.code.read('cmp', r32(first), r32(second));
    return this.#pick(EXTREMA[op]!, first, second, target);
  }

  /** `holds` where the condition is true after a comparison, else `otherwise`. Changes no flags before it reads them. */
  #pick(
    condition: string,
    holds: VirtualRegister,
    otherwise: VirtualRegister,
    target: VirtualRegister | undefined,
  ): VirtualRegister {
    const values = this.#values;
    const register = target === undefined || target === holds ? values.fresh('r32') : target;
    values.moved(otherwise, I32, register);
    values.code.update(`cmov${condition}` as Mnemonic, r32(register), r32(holds));
    return values.moved(register, I32, target);
  }

  /** Signed quotients in 64 bits, where none overflows. */
  #divide({ op, a, b }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { code } = values;
    const log2 = b.kind === 'const' ? Math.log2(b.value) : Number.NaN;
    if (op === 'div_u' && Number.isInteger(log2)) return this.#twoAddress('shr', target, values.emit(a), imm(log2));
    if (op === 'rem_u' && Number.isInteger(log2)) {
      return this.#twoAddress('and', target, values.emit(a), imm((b as ExprOf<'const'>).value - 1));
    }
    const [dividend, divisor] = [values.emit(a), values.emit(b)];
    const [low, high] = [code.fixed(0), code.fixed(2)]; // rax, rdx
    if (op === 'div_u' || op === 'rem_u') {
      code.write('mov', r32(low), r32(dividend));
      code.write('xor', r32(high), r32(high));
      code.read('div', r32(divisor));
    } else {
      const wide = values.fresh('r64');
      code.write('movsxd', { register: wide, kind: 'r64' }, r32(divisor));
      code.write('movsxd', { register: low, kind: 'r64' }, r32(dividend));
      code.read('cqo');
      code.read('idiv', { register: wide, kind: 'r64' });
    }
    const register = target ?? values.fresh('r32');
    code.write('mov', r32(register), r32(op.startsWith('div') ? low : high));
    return register;
  }

  // ---- comparisons and choices

  /** Compares integers and gives the condition that then holds; undefined for what is no comparison of integers. */
  flags(e: Expr): string | undefined {
    if (e.kind !== 'binary' || e.type.lanes > 1 || e.a.type.element !== 'i32') return undefined;
    const condition = CONDITIONS[e.op];
    if (condition === undefined) return undefined;
    const first = this.#values.emit(e.a);
    const second = this.#immediateOr(e.b);
    this.#values.code.read('cmp', r32(first), second);
    return condition;
  }

  #compare(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    if (e.a.type.element === 'mask') return values.fail(e.op, e.a.type);
    const condition = this.flags(e)!;
    const register = target ?? values.fresh('r32');
    values.code.write(`set${condition}` as Mnemonic, { register, kind: 'r8' });
    values.code.write('movzx8', r32(register), { register, kind: 'r8' });
    return register;
  }

  #floatCompare({ op, a, b, type }: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { code, features } = values;
    const predicate = FLOAT_COMPARES[op];
    if (predicate === undefined) return values.fail(op, type);
    const [x, y] = [xmm(values.emit(a)), values.operand(b)];
    const register = target ?? values.fresh('r32');
    if (features.avx512) {
      const mask = { register: values.fresh('k'), kind: 'k' as const };
      code.write('vcmpss', mask, x, y, imm(predicate));
      code.write('kmovw', r32(register), mask);
    } else {
      const all = xmm(values.fresh('xmm'));
      code.write('vcmpss', all, x, y, imm(predicate));
      code.write('vmovd', r32(register), all);
      code.update('and', r32(register), imm(1));
    }
    return register;
  }

  #floatBinary(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, type } = e;
    if (CONDITIONS[op]) return this.#floatCompare(e, target);
    if (op === 'min' || op === 'max') {
      // Not a number and the sign of zero need what vectors do.
      const wide = (x: Expr): Expr => values.named(values.emit(x), FOUR.f32);
      return values.emit({ ...e, a: wide(a), b: wide(b), type: FOUR.f32 }, target);
    }
    const name = FLOAT_BINARY[op];
    if (name === undefined) return values.fail(op, a.type);
    const swaps = (op === 'add' || op === 'mul') && values.isFoldable(a) && !values.isFoldable(b);
    const [x, y] = swaps ? [b, a] : [a, b];
    const [first, second] = [xmm(values.emit(x)), values.operand(y)];
    return values.write(name, type, target, first, second);
  }

  #ternary(e: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { op, a, b, c, type } = e;
    if (op === 'select') return this.#select(e, target);
    if (op === 'fma' && type.element === 'f32') return values.multiplyAdd(e, target);
    if (op === 'fma' || op === 'dotBf16') return values.fail(op, type);
    // Dot products have vectors only.
    const wide = (x: Expr): Expr => {
      const register = values.fresh('xmm');
      values.code.write('vmovd', xmm(register), r32(values.emit(x)));
      return values.named(register, FOUR.i32);
    };
    const all: Expr = { kind: 'ternary', op, a: wide(a), b: wide(b), c: wide(c), type: FOUR.i32 };
    return values.write('vmovd', I32, target, xmm(values.emit(all)));
  }

  #select({ a, b, c, type }: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { code } = values;
    if (type.element === 'f32') return this.#selectFloat(a, b, c, target);
    const [holds, otherwise] = [values.emit(b), values.emit(c)];
    let condition = this.flags(values.taken(a));
    if (condition === undefined) {
      const mask = r32(values.emit(a));
      code.read('test', mask, mask);
      condition = 'ne';
    }
    return this.#pick(condition, holds, otherwise, target);
  }

  #selectFloat(mask: Expr, b: Expr, c: Expr, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { code, features } = values;
    const [holds, otherwise, truth] = [xmm(values.emit(b)), xmm(values.emit(c)), values.emit(mask)];
    const register = target ?? values.fresh('xmm');
    if (features.avx512) {
      const bits = values.fresh('k');
      code.write('kmovw', { register: bits, kind: 'k' }, r32(truth));
      code.blend('vblendmps', bits, xmm(register), otherwise, holds);
    } else {
      const negated = this.#copied(truth, values.fresh('r32'));
      const all = xmm(values.fresh('xmm'));
      code.update('neg', r32(negated));
      code.write('vmovd', all, r32(negated));
      code.write('vblendvps', xmm(register), otherwise, holds, all);
    }
    return register;
  }
}

/** Whether an operand's value depends on a register. */
function readsRegister(operand: VirtualOperand, register: VirtualRegister): boolean {
  if ('register' in operand) return operand.register === register;
  return 'kind' in operand && operand.kind === 'mem' && (operand.base === register || operand.index === register);
}
