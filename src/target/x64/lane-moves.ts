/** Operations across lanes: repeats, shuffles, extraction, reductions, byte look-ups, packing. */
import type { BinaryOp, Expr, Type } from '../../kernel/expression.ts';
import { constant, vectorType } from '../../kernel/expression.ts';
import { imm, type Mnemonic } from './assembler/index.ts';
import { type InLane, inLanePattern, wholeGroups } from './shuffle-patterns.ts';
import type { ExprOf, ValueCode } from './value-code.ts';
import type { Use, VirtualRegister } from './virtual-code.ts';

type LaneExpr = ExprOf<'extract' | 'shuffle' | 'lookup' | 'halves' | 'pack8' | 'unary'>;

const xmm = (register: VirtualRegister): Use => ({ register, kind: 'xmm' });
const r32 = (register: VirtualRegister): Use => ({ register, kind: 'r32' });

export class LaneMoves {
  readonly #values: ValueCode;

  constructor(values: ValueCode) {
    this.#values = values;
  }

  get #has512(): boolean {
    return this.#values.features.avx512;
  }

  emit(e: LaneExpr, target: VirtualRegister | undefined): VirtualRegister {
    if (e.kind === 'extract') return this.#extract(e, target);
    if (e.kind === 'unary') return e.op === 'splat' ? this.#splat(e, target) : this.#reduce(e, target);
    if (e.type.lanes === 1) return this.#firstLane(e, target);
    switch (e.kind) {
      case 'shuffle':
        return this.#shuffle(e, target);
      case 'lookup':
        return this.#lookup(e, target);
      case 'halves':
        return this.#halves(e, target);
      case 'pack8':
        return this.#pack8(e, target);
    }
  }

  /** Scalars as the first lane of four. */
  #firstLane(
    e: ExprOf<'shuffle' | 'lookup' | 'halves' | 'pack8'>,
    target: VirtualRegister | undefined,
  ): VirtualRegister {
    const values = this.#values;
    const four = (x: Expr): Expr => ({
      kind: 'unary',
      op: 'splat',
      a: x,
      type: { element: x.type.element, lanes: 4 },
    });
    const type: Type = { element: e.type.element, lanes: 4 };
    const first = (all: Expr): VirtualRegister =>
      values.emit({ kind: 'extract', type: e.type, a: all, lane: 0 }, target);
    switch (e.kind) {
      case 'shuffle':
        return values.emit(e.pattern[0] === 0 ? e.a : e.b, target);
      case 'lookup':
        return first({ ...e, type, indices: four(e.indices) });
      case 'halves': {
        const [op, by]: [BinaryOp, number] = e.part === 'low' ? ['and', 0xffff] : ['shr_u', 16];
        return values.emit({ kind: 'binary', op, a: e.a, b: constant(e.a.type, by), type: e.a.type }, target);
      }
      case 'pack8': {
        const gathered = this.#gather(e.parts);
        return first({ kind: 'pack8', type, parts: [gathered, gathered, gathered, gathered] });
      }
    }
  }

  /** Four scalars as the lanes of one vector. */
  #gather(scalars: readonly Expr[]): Expr {
    const values = this.#values;
    const register = values.fresh('xmm');
    values.code.write('vmovd', xmm(register), r32(values.emit(scalars[0]!)));
    for (const lane of [1, 2, 3]) {
      values.code.update('vpinsrd', xmm(register), xmm(register), r32(values.emit(scalars[lane]!)), imm(lane));
    }
    return values.named(register, vectorType('i32', 4));
  }

  // ---- one lane to all, and back

  #splat({ a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    if (a.type.element === 'mask') return this.#splatMask(a, type, target);
    if (values.isFoldable(a)) {
      const place = values.operand(a);
      return this.#values.write(type.element === 'f32' ? 'vbroadcastss' : 'vpbroadcastd', type, target, place);
    }
    const source = values.emit(a);
    if (type.element === 'f32') return this.#values.write('vbroadcastss', type, target, xmm(source));
    if (this.#has512) return this.#values.write('vpbroadcastd', type, target, r32(source));
    const low = values.fresh('xmm');
    values.code.write('vmovd', xmm(low), r32(source));
    return this.#values.write('vpbroadcastd', type, target, xmm(low));
  }

  #splatMask(a: Expr, type: Type, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const all = values.fresh('r32');
    values.moved(values.emit(a), a.type, all);
    values.code.update('neg', r32(all));
    if (this.#has512) return this.#values.write('kmovw', type, target, r32(all));
    const low = values.fresh('xmm');
    values.code.write('vmovd', xmm(low), r32(all));
    return this.#values.write('vpbroadcastd', type, target, xmm(low));
  }

  #extract({ a, lane, type }: ExprOf<'extract'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const source = values.emit(a);
    const { lanes } = a.type;
    if (lanes === 1) return values.moved(source, type, target);
    if (type.element === 'mask') return this.#extractMask(source, lanes, lane, target);
    const group = this.#group(source, lanes, lane >> 2);
    const within = lane & 3;
    if (type.element === 'i32') {
      if (within === 0) return this.#values.write('vmovd', type, target, xmm(group));
      return this.#values.write('vpextrd', type, target, xmm(group), imm(within));
    }
    if (within === 0) return values.moved(group, type, target);
    return this.#values.write('vpermilps', type, target, xmm(group), imm(within));
  }

  #extractMask(
    source: VirtualRegister,
    lanes: number,
    lane: number,
    target: VirtualRegister | undefined,
  ): VirtualRegister {
    const { code, fresh } = { code: this.#values.code, fresh: this.#values.fresh('r32') };
    const all = target ?? fresh;
    if (this.#has512) code.write('kmovw', r32(all), { register: source, kind: 'k' });
    else code.write('vmovmskps', r32(all), { register: source, kind: this.#values.width(lanes) });
    if (lane > 0) code.update('shr', r32(all), imm(lane));
    code.update('and', r32(all), imm(1));
    return all;
  }

  /** Four lanes of a register as a register of their own. */
  #group(source: VirtualRegister, lanes: number, group: number): VirtualRegister {
    if (group === 0) return source;
    const values = this.#values;
    const register = values.fresh('xmm');
    const whole: Use = { register: source, kind: values.width(lanes) };
    values.code.write(this.#has512 ? 'vextractf32x4' : 'vextractf128', xmm(register), whole, imm(group));
    return register;
  }

  /** Combines the upper half of the lanes with the lower until one is left. */
  #reduce({ op, a, type }: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    if (a.type.lanes === 1) return values.emit(a, target);
    const { element } = a.type;
    const combine = op.slice('reduce_'.length) as BinaryOp;
    let vector = values.named(values.emit(a), a.type);
    for (let { lanes } = a.type; lanes > 1; lanes >>= 1) {
      const half = lanes >> 1;
      const narrow: Type = { element, lanes: Math.max(half, 4) };
      const source = values.emit(vector);
      const upper = values.named(this.#upper(source, lanes), narrow);
      const lower = values.named(source, narrow);
      const combined: Expr = { kind: 'binary', op: combine, a: lower, b: upper, type: narrow };
      vector = values.named(values.emit(combined), narrow);
    }
    return values.emit({ kind: 'extract', type, a: vector, lane: 0 }, target);
  }

  /** The upper half of `lanes` lanes, at the bottom of a new register. */
  #upper(source: VirtualRegister, lanes: number): VirtualRegister {
    const values = this.#values;
    const register = values.fresh(lanes === 16 ? 'ymm' : 'xmm');
    const { code } = values;
    if (lanes === 16) code.write('vextractf64x4', { register, kind: 'ymm' }, { register: source, kind: 'zmm' }, imm(1));
    else if (lanes === 8) {
      const name: Mnemonic = this.#has512 ? 'vextractf32x4' : 'vextractf128';
      code.write(name, xmm(register), { register: source, kind: 'ymm' }, imm(1));
    } else code.write('vpermilps', xmm(register), xmm(source), imm(lanes === 4 ? 0b11_10 : 1));
    return register;
  }

  // ---- shuffles

  #shuffle({ type, a, b, pattern }: ExprOf<'shuffle'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { lanes } = type;
    const [x, y] = [values.use(a), values.use(b)];
    const isOne = x.register === y.register || pattern.every((lane) => lane < lanes);
    const own = isOne ? pattern.map((lane) => lane % lanes) : pattern;
    const inLane = inLanePattern(own, lanes);
    if (inLane) return this.#inLane(inLane, type, target, x, y);
    const groups = wholeGroups(own, lanes);
    if (groups) return this.#groups(groups, type, target, x, y);
    const indices: Use = { register: values.constantVector(Int32Array.from(own)), kind: x.kind };
    if (isOne && lanes > 4) return this.#values.write('vpermps', type, target, indices, x);
    if (this.#has512) {
      const register = target && target !== x.register && target !== y.register ? target : values.fresh(x.kind);
      values.code.write('vmovaps', { register, kind: x.kind }, indices);
      values.code.update('vpermi2ps', { register, kind: x.kind }, x, y);
      return values.moved(register, type, target);
    }
    return this.#twoSources(own, type, target, x, y);
  }

  #inLane(how: InLane, type: Type, target: VirtualRegister | undefined, x: Use, y: Use): VirtualRegister {
    const [p, q] = [how.first === 0 ? x : y, how.second === 0 ? x : y];
    switch (how.kind) {
      case 'same':
        return this.#values.moved(p.register, type, target);
      case 'permute':
        return this.#values.write('vpermilps', type, target, p, imm(how.selector));
      case 'shuffle':
        return this.#values.write('vshufps', type, target, p, q, imm(how.selector));
      case 'low':
        return this.#values.write('vunpcklps', type, target, p, q);
      case 'high':
        return this.#values.write('vunpckhps', type, target, p, q);
    }
  }

  /** Whole groups of four lanes. */
  #groups(groups: readonly number[], type: Type, target: VirtualRegister | undefined, x: Use, y: Use): VirtualRegister {
    const count = groups.length;
    if (!this.#has512) {
      // The selector takes a group of either source for each half.
      return this.#values.write('vperm2f128', type, target, x, y, imm(groups[0]! | (groups[1]! << 4)));
    }
    const from = (group: number): Use => (group < count ? x : y);
    const bits = count === 2 ? 1 : 2;
    const selector = groups.reduce((sum, group, i) => sum | ((group % count) << (bits * i)), 0);
    return this.#values.write('vshuff32x4', type, target, from(groups[0]!), from(groups[count / 2]!), imm(selector));
  }

  /** Two permutations and a blend, for AVX2. */
  #twoSources(
    pattern: readonly number[],
    type: Type,
    target: VirtualRegister | undefined,
    x: Use,
    y: Use,
  ): VirtualRegister {
    const { lanes } = type;
    const values = this.#values;
    const indices: Use = {
      register: values.constantVector(Int32Array.from(pattern, (lane) => lane % lanes)),
      kind: x.kind,
    };
    const moved = (from: Use): Use => {
      const register =
        lanes === 4
          ? this.#values.write('vpermilps', type, undefined, from, indices)
          : this.#values.write('vpermps', type, undefined, indices, from);
      return { register, kind: from.kind };
    };
    const selector = pattern.reduce((bits, lane, i) => bits | ((lane >= lanes ? 1 : 0) << i), 0);
    const [p, q] = [moved(x), moved(y)];
    return this.#values.write('vblendps', type, target, p, q, imm(selector));
  }

  // ---- bytes and halves

  #lookup(e: ExprOf<'lookup'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { type, table } = e;
    const bytes = Uint8Array.from({ length: Math.max(type.lanes, 4) * 4 }, (_, i) => table[i & 15]!);
    const kind = values.width(type.lanes);
    const indices: Expr = staysBelow16(e.indices)
      ? e.indices
      : { kind: 'binary', op: 'and', a: e.indices, b: constant(type, 0x0f0f0f0f), type };
    const lanes = values.operand(indices, false);
    return this.#values.write(
      'vpshufb',
      type,
      target,
      { register: values.constantVector(new Int32Array(bytes.buffer)), kind },
      lanes,
    );
  }

  #halves({ type, a, part }: ExprOf<'halves'>, target: VirtualRegister | undefined): VirtualRegister {
    return this.#values.write('vpmovzxwd', type, target, this.#values.half(a, type.lanes, part));
  }

  /** Saturating packs work within groups of four lanes; the last step sets the groups' words in order. */
  #pack8({ type, parts }: ExprOf<'pack8'>, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const pack = (name: Mnemonic, x: Use, y: Use): Use => ({
      register: this.#values.write(name, type, undefined, x, y),
      kind: x.kind,
    });
    const [a, b, c, d] = parts.map((part) => values.use(part)) as [Use, Use, Use, Use];
    const bytes = pack('vpacksswb', pack('vpackssdw', a, b), pack('vpackssdw', c, d));
    const groups = type.lanes / 4;
    if (groups === 1) return values.moved(bytes.register, type, target);
    const order = Int32Array.from({ length: type.lanes }, (_, lane) => (lane % groups) * 4 + Math.floor(lane / groups));
    const indices: Use = { register: values.constantVector(order), kind: bytes.kind };
    return this.#values.write('vpermd', type, target, indices, bytes);
  }
}

/** Whether each byte is masked to four bits already. */
const staysBelow16 = (e: Expr): boolean =>
  e.kind === 'binary' && e.op === 'and' && e.b.kind === 'const' && (e.b.value & ~0x0f0f0f0f) === 0;
