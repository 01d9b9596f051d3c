/**
 * Emits formulas into a kernel. Work that an inner loop does not change is computed before the loop:
 * each formula belongs to a level (kernel, outer loops, inner loop) and is bound there once.
 */
import { isFloat } from '../../ir/dtype.ts';
import {
  add,
  type BufferParam,
  binary,
  constant,
  type Expr,
  i32,
  mul,
  splat,
  unary,
  vectorType,
} from '../../kernel/expression.ts';
import type { KernelBuilder } from '../../kernel/language.ts';
import { decode, encode, isEncoded, MEMORY_TYPE, REGISTER, wrap } from './element-type.ts';
import { elementwise, isVectorOp } from './elementwise.ts';
import { type Address, childrenOf, type Formula, subFormulas } from './formula.ts';
import type { Nest } from './loop-axes.ts';
import { threefry } from './threefry.ts';

/** 0: the same in the whole kernel; 1: changes with outer axes; 2: changes with the innermost axis. */
export type Level = 0 | 1 | 2;

/** A formula's register form, and its memory form where that is another. */
interface Cell {
  value?: Expr;
  bits?: Expr;
}

/** Registers bound at one level of the nest, for one width. */
class Scope {
  readonly cells = new Map<Formula, Cell>();
  readonly bases = new Map<Address, Expr>();
}

export class Emitter {
  readonly #k: KernelBuilder;
  readonly #buffers: readonly BufferParam[];
  readonly #levels: Map<Formula, Level>;
  readonly #order: readonly Formula[];
  readonly #innerAxis: number;
  readonly #root: Formula;
  readonly #target: Address;
  #scopes: Scope[] = [new Scope(), new Scope(), new Scope()];
  /** Index of each axis; the innermost one is where the vector begins. */
  #axes: Expr[];
  #lanes = 1;

  constructor(k: KernelBuilder, buffers: readonly BufferParam[], { formula, target, extents }: Nest) {
    this.#k = k;
    this.#buffers = buffers;
    this.#innerAxis = extents.length - 1;
    this.#axes = extents.map(() => i32(0));
    this.#root = formula;
    this.#target = target;
    this.#order = subFormulas([formula, ...target.dynamic.map((d) => d.index)]);
    this.#levels = new Map();
    for (const f of this.#order) this.#levels.set(f, this.#levelOf(f));
  }

  /** Supplies a formula's value from outside, at a level. */
  define(f: Formula, value: Expr, level: Level): void {
    this.#scopes[level]!.cells.set(f, { value });
  }

  #levelOf(f: Formula): Level {
    let level = Math.max(0, ...childrenOf(f).map((c) => this.#levels.get(c)!)) as Level;
    if (f.kind === 'load' || f.kind === 'index' || f.kind === 'random')
      level = Math.max(level, this.#stridesLevel(f.address)) as Level;
    return level;
  }

  #stridesLevel({ strides }: Address): Level {
    if (this.#innerAxis >= 0 && strides[this.#innerAxis] !== 0) return 2;
    return strides.some((s) => s !== 0) ? 1 : 0;
  }

  addressLevel(a: Address): Level {
    return Math.max(this.#stridesLevel(a), ...a.dynamic.map((d) => this.#levels.get(d.index)!)) as Level;
  }

  /** Binds what does not change in any loop. Call it before the loops. */
  openKernel(): void {
    this.#scopes = [new Scope(), new Scope(), new Scope()];
    this.#bindLevel(0);
  }

  /** Enters the body of the outer loops. `axes` are the indices of all axes but the innermost. */
  openOuter(axes: readonly Expr[]): void {
    this.#axes = [...axes, i32(0)];
    this.#scopes = [this.#scopes[0]!, new Scope(), new Scope()];
    this.#lanes = 1;
    this.#bindLevel(1);
    for (const f of this.#order) if ('address' in f && this.#levels.get(f) === 2) this.#base(f.address);
    this.#base(this.#target);
  }

  /** Enters the body of the inner loop at `index`, for one element or a vector of them. */
  openInner(index: Expr, lanes: number): void {
    if (this.#innerAxis >= 0) this.#axes[this.#innerAxis] = index;
    this.#lanes = lanes;
    this.#scopes[2] = new Scope();
  }

  /** Binds the formulas of a level that deeper levels use. */
  #bindLevel(level: Level): void {
    const wanted = new Set<Formula>();
    for (const f of this.#order) {
      if (this.#levels.get(f)! <= level) continue;
      for (const child of childrenOf(f))
        if (this.#levels.get(child) === level && child.kind !== 'constant') wanted.add(child);
    }
    for (const { index } of this.#target.dynamic) if (this.#levels.get(index) === level) wanted.add(index);
    if (this.#levels.get(this.#root) === level) wanted.add(this.#root);
    for (const f of wanted) this.value(f);
    if (wanted.has(this.#root)) this.bits(this.#root);
  }

  /** The register form of a formula, with as many lanes as the current loop body has. */
  value(f: Formula): Expr {
    const scope = this.#scopeOf(f);
    const lanes = this.#levels.get(f) === 2 ? this.#lanes : 1;
    const cell = this.#cell(f, scope);
    if (!cell.value) {
      const made = cell.bits && isEncoded(f.dtype) ? decode(f.dtype, cell.bits) : this.#make(f, cell, lanes);
      cell.value = f.kind === 'constant' ? made : this.#k.let(made);
    }
    return cell.value;
  }

  /** A value repeated to the lanes of the current loop body. */
  wide(f: Formula): Expr {
    return repeat(this.value(f), this.#lanes);
  }

  /** The memory form: what a store of this formula's type takes. Moved elements keep all their bits. */
  bits(f: Formula): Expr {
    if (!isEncoded(f.dtype)) return repeat(this.value(f), this.#lanes);
    const cell = this.#cell(f, this.#scopeOf(f));
    if (!cell.bits && f.kind === 'load') cell.bits = this.#k.let(this.#load(f));
    if (!cell.bits) {
      const value = this.value(f);
      cell.bits ??= this.#k.let(encode(this.#k, f.dtype, value));
    }
    return splat(cell.bits, this.#lanes);
  }

  #scopeOf(f: Formula): Scope {
    return this.#scopes[this.#levels.get(f)!]!;
  }

  #cell(f: Formula, scope: Scope): Cell {
    let cell = scope.cells.get(f);
    if (!cell) {
      cell = {};
      scope.cells.set(f, cell);
    }
    return cell;
  }

  #make(f: Formula, cell: Cell, lanes: number): Expr {
    switch (f.kind) {
      case 'constant':
        return this.#constant(f);
      case 'load': {
        const loaded = this.#load(f);
        if (!isEncoded(f.dtype)) return loaded;
        cell.bits = this.#k.let(loaded);
        return decode(f.dtype, cell.bits);
      }
      case 'index':
        return this.#number(f.dtype, this.#indexLanes(f.address, lanes));
      case 'random': {
        const [low, high] = f.key.map((word) => splat(this.value(word), lanes)) as [Expr, Expr];
        return threefry(this.#k, low, high, this.#indexLanes(f.address, lanes));
      }
      case 'op':
        return this.#op(f, cell, lanes);
    }
  }

  #op(f: Formula & { kind: 'op' }, cell: Cell, lanes: number): Expr {
    const from = f.operands.at(-1)!.dtype;
    if (f.op.name === 'bitcast' && (from === 'f16' || from === 'bf16')) {
      cell.bits = this.bits(f.operands[0]!);
      return decode(f.dtype, cell.bits);
    }
    const operands = f.operands.map((o) => repeat(this.value(o), lanes));
    const result = elementwise(this.#k, f.op.name, operands, from, f.dtype);
    if (f.dtype !== 'f16' && f.dtype !== 'bf16') return result;
    cell.bits = this.#k.let(encode(this.#k, f.dtype, this.#k.let(result)));
    return decode(f.dtype, cell.bits);
  }

  #constant({ dtype, value }: Formula & { kind: 'constant' }): Expr {
    const element = REGISTER[dtype];
    if (element === 'mask') return binary('ne', this.#k.let(i32(value)), 0);
    return constant(vectorType(element, 1), value);
  }

  /** An i32 count as a register of a type. */
  #number(dtype: Formula['dtype'], index: Expr): Expr {
    if (!isFloat(dtype)) return wrap(dtype, index);
    const value = unary('to_f32', index);
    return dtype === 'f32' ? value : decode(dtype, encode(this.#k, dtype, this.#k.let(value)));
  }

  /** An address for each lane of a vector. */
  #indexLanes(address: Address, lanes: number): Expr {
    const first = this.index(address);
    const step = this.#innerAxis >= 0 ? address.strides[this.#innerAxis]! : 0;
    if (lanes === 1 || step === 0) return splat(first, lanes);
    return add(splat(first, lanes), mul(ramp(lanes), step));
  }

  /** The part of an address that the inner loop does not change. */
  #base(address: Address): Expr {
    const level = Math.min(1, this.addressLevel(address));
    const { bases } = this.#scopes[level]!;
    let base = bases.get(address);
    if (base) return base;
    base = i32(address.constant);
    address.strides.forEach((stride, axis) => {
      if (axis !== this.#innerAxis && stride !== 0) base = add(base!, mul(this.#axes[axis]!, stride));
    });
    for (const term of address.dynamic) if (this.#levels.get(term.index)! < 2) base = add(base, this.#dynamic(term));
    base = this.#k.let(base);
    bases.set(address, base);
    return base;
  }

  #dynamic({ index, stride, limit }: Address['dynamic'][0]): Expr {
    const at = this.value(index);
    const isUnsigned = index.dtype === 'u32';
    const clamped = isUnsigned ? binary('min_u', at, limit) : binary('max', binary('min', at, limit), 0);
    return mul(clamped, stride);
  }

  /** The element index that an address has at the first lane. */
  index(address: Address): Expr {
    let index = this.#base(address);
    const step = this.#innerAxis >= 0 ? address.strides[this.#innerAxis]! : 0;
    if (step !== 0) index = add(mul(this.#axes[this.#innerAxis]!, step), index);
    for (const term of address.dynamic) if (this.#levels.get(term.index) === 2) index = add(index, this.#dynamic(term));
    return index;
  }

  #load(f: Formula & { kind: 'load' }): Expr {
    const lanes = this.#levels.get(f) === 2 ? this.#lanes : 1;
    return this.#k.loadAt(this.#buffers[f.buffer]!, MEMORY_TYPE[f.dtype], this.index(f.address), lanes);
  }

  /** Stores the nest's element at its target. */
  store(buffer: BufferParam): void {
    this.#k.storeAt(buffer, MEMORY_TYPE[this.#root.dtype], this.index(this.#target), this.bits(this.#root));
  }
}

/** A register repeated over lanes; masks go by way of integers. */
function repeat(x: Expr, lanes: number): Expr {
  if (x.type.element !== 'mask' || x.type.lanes === lanes) return splat(x, lanes);
  return binary('ne', splat(unary('mask_to_i32', x), lanes), 0);
}

/** 0, 1, 2, ... over the lanes, from splats: bit b of the lane number picks between 0 and 2^b. */
export function ramp(lanes: number): Expr {
  const type = vectorType('i32', lanes);
  let sum: Expr = constant(type, 0);
  for (let bit = 1; bit < lanes; bit *= 2) {
    const pattern = Array.from({ length: lanes }, (_, lane) => (lane & bit ? lanes : 0));
    sum = add(sum, { kind: 'shuffle', type, a: constant(type, 0), b: constant(type, bit), pattern });
  }
  return sum;
}

/** Whether a nest's inner loop can run on whole vectors: every load steps by 1 element or not at all. */
export function isVectorNest({ formula, target, extents }: Nest): boolean {
  const innerAxis = extents.length - 1;
  if (innerAxis < 0 || target.strides[innerAxis] !== 1) return false;
  const varies = new Map<Formula, boolean>();
  for (const f of subFormulas([formula, ...target.dynamic.map((d) => d.index)])) {
    const own = f.kind === 'constant' || f.kind === 'op' ? 0 : f.address.strides[innerAxis]!;
    const isInner = own !== 0 || childrenOf(f).some((c) => varies.get(c));
    varies.set(f, isInner);
    if (!isInner) continue;
    if (f.kind === 'op' && !isVectorOp(f.op.name, f.operands.at(-1)!.dtype)) return false;
    if (f.kind !== 'constant' && f.kind !== 'op' && f.address.dynamic.some((d) => varies.get(d.index))) return false;
    if (f.kind === 'load' && own !== 1) return false;
  }
  return !target.dynamic.some((d) => varies.get(d.index));
}
