/**
 * Emits expressions of the kernel language as virtual x86-64 code. Scalar i32 and masks live in general registers (masks
 * as 0 or 1), f32 and vectors in vector registers, vector masks in mask registers, or without AVX-512 in vector registers.
 */
import { BitloomError } from '../../ir/error.ts';
import type { Expr, MemoryType, Type } from '../../kernel/expression.ts';
import type { Kernel } from '../../kernel/language.ts';
import { AddressCode } from './address-code.ts';
import { type Assembler, imm, type Mnemonic, type RegisterKind } from './assembler/index.ts';
import type { CodeFeatures } from './features.ts';
import { LaneMoves } from './lane-moves.ts';
import { ScalarCode } from './scalar-code.ts';
import { Signs } from './signs.ts';
import { VectorCode } from './vector-code.ts';
import { VectorConversions } from './vector-conversions.ts';
import type { Use, VirtualCode, VirtualMemory, VirtualOperand, VirtualRegister } from './virtual-code.ts';

export type ExprOf<Kind extends Expr['kind']> = Extract<Expr, { kind: Kind }>;

/** A value that waits for its only use, so that it can become a memory operand there. */
export interface Deferred {
  readonly value: Expr;
  /** Buffers and registers that it is made from. */
  readonly buffers: ReadonlySet<number>;
  readonly registers: ReadonlySet<number>;
}

export class ValueCode {
  readonly code: VirtualCode;
  readonly out: Assembler;
  readonly features: CodeFeatures;
  readonly addresses: AddressCode;
  readonly signs: Signs;
  readonly #kernel: Kernel;
  /** Registers by variable number, then those that `named` added. */
  readonly #registers: VirtualRegister[];
  readonly #arguments: VirtualRegister[];
  readonly #deferred = new Map<number, Deferred>();
  readonly #constants = new Map<string, VirtualRegister>();
  /** Registers that more than one use reads: they are changed by assignments only. */
  readonly #shared: Set<VirtualRegister>;
  readonly #scalars: ScalarCode;
  readonly #vectors: VectorCode;
  readonly #conversions: VectorConversions;
  readonly #lanes: LaneMoves;

  constructor(kernel: Kernel, code: VirtualCode, out: Assembler, features: CodeFeatures) {
    this.#kernel = kernel;
    this.code = code;
    this.out = out;
    this.features = features;
    this.#registers = kernel.registers.map((type) => code.register(this.kindOf(type)));
    // Buffers, then the thread's number, the number of threads, its scratch and the shared scratch.
    this.#arguments = Array.from({ length: kernel.buffers.length + 4 }, (_, index) =>
      code.register('r64', { kind: 'argument', index }),
    );
    this.#shared = new Set([...this.#registers, ...this.#arguments]);
    this.signs = new Signs(kernel);
    this.addresses = new AddressCode(
      code,
      this.signs,
      (e) => this.emit(e),
      (buffer) => this.#pointer(buffer),
    );
    this.#scalars = new ScalarCode(this);
    this.#vectors = new VectorCode(this);
    this.#conversions = new VectorConversions(this);
    this.#lanes = new LaneMoves(this);
  }

  kindOf({ element, lanes }: Type): RegisterKind {
    if (lanes === 1) return element === 'f32' ? 'xmm' : 'r32';
    if (element === 'mask' && this.features.avx512) return 'k';
    return this.width(lanes);
  }

  /** The vector register of so many lanes of 32 bits. */
  width(lanes: number): 'xmm' | 'ymm' | 'zmm' {
    return lanes <= 4 ? 'xmm' : lanes === 8 ? 'ymm' : 'zmm';
  }

  fail(op: string, { element, lanes }: Type): never {
    const message = `kernel ${this.#kernel.name}: operation ${op} does not take ${element} of ${lanes} lanes`;
    throw new BitloomError('INVALID_GRAPH', message, { kernel: this.#kernel.name, op, element });
  }

  register(id: number): VirtualRegister {
    return this.#registers[id]!;
  }

  /** Scratch indices -1 and -2 lie behind the buffers, the thread's number and the number of threads. */
  #pointer(buffer: number): VirtualRegister {
    return this.#arguments[buffer >= 0 ? buffer : this.#kernel.buffers.length + 1 - buffer]!;
  }

  get thread(): VirtualRegister {
    return this.#arguments[this.#kernel.buffers.length]!;
  }

  get threads(): VirtualRegister {
    return this.#arguments[this.#kernel.buffers.length + 1]!;
  }

  /** The lower or upper half of a vector's bits. */
  half(e: Expr, lanes: number, part: 'low' | 'high'): Use {
    return this.#conversions.half(this.emit(e), lanes, part);
  }

  /** A register as an expression. */
  named(register: VirtualRegister, type: Type): Expr {
    this.#shared.add(register);
    return { kind: 'var', type, id: this.#registers.push(register) - 1 };
  }

  fresh(kind: RegisterKind): VirtualRegister {
    return this.code.register(kind);
  }

  /** A register as instructions on vectors of a type see it. */
  vector(register: VirtualRegister, { lanes }: Type): Use {
    return { register, kind: this.width(lanes) };
  }

  /** Adds an instruction that writes `target`, or a new register for values of a type. */
  write(
    name: Mnemonic,
    type: Type,
    target: VirtualRegister | undefined,
    ...operands: VirtualOperand[]
  ): VirtualRegister {
    const kind = this.kindOf(type);
    const register = target ?? this.fresh(kind);
    this.code.write(name, { register, kind }, ...operands);
    return register;
  }

  /** A vector as other numbers. */
  convert(e: ExprOf<'unary'>, target: VirtualRegister | undefined): VirtualRegister {
    return this.#conversions.emit(e, target);
  }

  /** Lets a value wait until its only use. */
  defer(id: number, deferred: Deferred): void {
    this.#deferred.set(id, deferred);
  }

  /** Computes waiting values now: those that a store to `buffer` or a change of a register may alter, or all. */
  flush(by: { readonly buffer?: number; readonly register?: number } = {}): void {
    const { buffer, register } = by;
    for (const [id, { value, buffers, registers }] of [...this.#deferred]) {
      if (!this.#deferred.has(id)) continue; // it went into another
      // Buffers may overlap, scratch is nobody's buffer.
      if (buffer !== undefined && ![...buffers].some((from) => buffer < 0 === from < 0)) continue;
      if (register !== undefined && !registers.has(register)) continue;
      this.#deferred.delete(id);
      this.emit(value, this.register(id));
    }
  }

  /** The expression that a register stands for while it waits. */
  resolved(e: Expr): Expr {
    if (e.kind !== 'var') return e;
    return this.#deferred.get(e.id)?.value ?? e;
  }

  /** As `resolved`, for a use that computes the value itself. */
  taken(e: Expr): Expr {
    const value = this.resolved(e);
    if (e.kind === 'var' && value !== e) this.#deferred.delete(e.id);
    return value;
  }

  /** Computes a value into `target`, or wherever it is best; gives its register. */
  emit(e: Expr, target?: VirtualRegister): VirtualRegister {
    const value = this.taken(e);
    switch (value.kind) {
      case 'const':
        return this.#constant(value, target);
      case 'var':
        return this.moved(this.register(value.id), value.type, target);
      case 'thread':
        return this.moved(this.#arguments[this.#kernel.buffers.length]!, value.type, target);
      case 'threads':
        return this.moved(this.threads, value.type, target);
      case 'load':
        return this.#load(value, target);
      case 'expand':
        return this.#vectors.expand(value, target);
      case 'extract':
      case 'shuffle':
      case 'lookup':
      case 'halves':
      case 'pack8':
        return this.#lanes.emit(value, target);
      case 'unary':
        if (value.op === 'splat' || value.op.startsWith('reduce_')) return this.#lanes.emit(value, target);
        break;
    }
    return value.type.lanes > 1 ? this.#vectors.emit(value, target) : this.#scalars.emit(value, target);
  }

  /** `source` itself, or copied to where it is wanted. */
  moved(source: VirtualRegister, type: Type, target: VirtualRegister | undefined): VirtualRegister {
    if (target === undefined || target === source) return source;
    target.hint ??= source;
    const kind = this.kindOf(type);
    const move: Mnemonic = kind === 'k' ? 'kmovw' : kind.startsWith('r') ? 'mov' : 'vmovaps';
    this.code.write(move, { register: target, kind }, { register: source, kind });
    return target;
  }

  /** The value as an operand that a register stands for. */
  use(e: Expr): Use {
    return { register: this.emit(e), kind: this.kindOf(e.type) };
  }

  /** The value as the operand that may be memory: a load of the same width, or one element repeated where the instruction takes that. */
  operand(e: Expr, mayRepeat = this.features.avx512 && e.type.lanes > 1): VirtualOperand {
    const found = this.#foldable(e, mayRepeat);
    if (!found) return this.use(e);
    for (const id of found.waiting) this.#deferred.delete(id);
    const place = this.address(found.load);
    return found.load.type.lanes === e.type.lanes ? place : { ...place, broadcast: true };
  }

  /** Whether `operand` would give memory. */
  isFoldable(e: Expr, mayRepeat = this.features.avx512 && e.type.lanes > 1): boolean {
    return this.#foldable(e, mayRepeat) !== undefined;
  }

  /** The load of f32 or i32 that a value is, or repeats, and the waiting registers on the way to it. */
  #foldable(e: Expr, mayRepeat: boolean): { readonly load: ExprOf<'load'>; readonly waiting: number[] } | undefined {
    const waiting: number[] = [];
    let value = e;
    for (let isRepeated = !mayRepeat; ; ) {
      if (value.kind === 'load')
        return value.memory === 'f32' || value.memory === 'i32' ? { load: value, waiting } : undefined;
      if (value.kind === 'var') {
        const known = this.#deferred.get(value.id);
        if (!known) return undefined;
        waiting.push(value.id);
        value = known.value;
      } else if (value.kind !== 'unary') return undefined;
      else if (value.op === 'bits_f32' || value.op === 'bits_i32') value = value.a;
      else if (value.op === 'splat' && !isRepeated) {
        isRepeated = true;
        value = value.a;
      } else return undefined;
    }
  }

  /** a * b + c, rounded once. The sum is changed in place where it is where the result is wanted. */
  multiplyAdd({ a, b, c, type }: ExprOf<'ternary'>, target: VirtualRegister | undefined): VirtualRegister {
    const { code } = this;
    const kind = this.kindOf(type);
    const suffix = type.lanes === 1 ? 'ss' : 'ps';
    const [x, y] = this.isFoldable(a) && !this.isFoldable(b) ? [b, a] : [a, b];
    if (this.isFoldable(c) && !this.isFoldable(y)) {
      // A factor becomes the result, the sum comes from memory.
      const other = this.use(y);
      const factor = this.changeable(x, type, target, [other]);
      code.update(`vfmadd213${suffix}` as Mnemonic, { register: factor, kind }, other, this.operand(c));
      return this.moved(factor, type, target);
    }
    const [first, second] = [this.use(x), this.operand(y)];
    const sum = this.changeable(c, type, target, [first, second]);
    code.update(`vfmadd231${suffix}` as Mnemonic, { register: sum, kind }, first, second);
    return this.moved(sum, type, target);
  }

  /** A register with the value of `e` that may be changed: `target` unless one of `others` is read from there. */
  changeable(
    e: Expr,
    type: Type,
    target: VirtualRegister | undefined,
    others: readonly VirtualOperand[],
  ): VirtualRegister {
    const isRead = others.some((other) => 'register' in other && other.register === target);
    if (target && !isRead) return this.emit(e, target);
    const register = this.emit(e);
    return this.#shared.has(register) ? this.moved(register, type, this.fresh(this.kindOf(type))) : register;
  }

  address({
    buffer,
    byteOffset,
  }: {
    readonly buffer: { readonly index: number };
    readonly byteOffset: Expr;
  }): VirtualMemory {
    return this.addresses.operand(buffer.index, byteOffset);
  }

  /** A vector's value for a store: computed, but for what the store itself does. */
  prepared(e: Expr): Expr {
    const value = this.resolved(e);
    const isHalf = value.kind === 'unary' && value.op === 'f32_to_f16';
    if (!isHalf) return this.named(this.emit(e), e.type);
    this.taken(e);
    return { ...value, a: this.named(this.emit(value.a), value.a.type) };
  }

  store(memory: MemoryType, place: VirtualMemory, value: Expr): void {
    this.#conversions.store(memory, place, value);
  }

  storeConstant(memory: MemoryType, place: VirtualMemory, { type, value }: ExprOf<'const'>): void {
    const bits = new DataView(new ArrayBuffer(4));
    if (type.element === 'f32') bits.setFloat32(0, value);
    else bits.setInt32(0, value);
    const size = memory === 'f32' || memory === 'i32' ? 'd' : memory.endsWith('16') ? 'w' : 'b';
    const word = bits.getInt32(0);
    const narrow = size === 'w' ? (word << 16) >> 16 : size === 'b' ? (word << 24) >> 24 : word;
    this.code.read(`mov.${size}` as Mnemonic, place, imm(narrow));
  }

  /** Compares integers and gives the condition that then holds; undefined for what is no comparison of integers. */
  flags(e: Expr): string | undefined {
    return this.#scalars.flags(e);
  }

  #load(e: ExprOf<'load'>, target: VirtualRegister | undefined): VirtualRegister {
    return e.type.lanes > 1 ? this.#vectors.load(e, target) : this.#scalars.load(e, target);
  }

  #constant(e: ExprOf<'const'>, target: VirtualRegister | undefined): VirtualRegister {
    const { type, value } = e;
    const kind = this.kindOf(type);
    if (kind === 'k') {
      const register = target ?? this.fresh('k');
      const use = { register, kind };
      this.code.write(value ? 'kxnorw' : 'kxorw', use, use, use);
      return register;
    }
    if (kind === 'r32') {
      const register = target ?? this.fresh('r32');
      this.code.write('mov', { register, kind }, imm(value));
      return register;
    }
    if (Object.is(value, 0)) {
      const register = target ?? this.fresh(kind);
      const low: Use = { register, kind: 'xmm' }; // clears the whole register
      this.code.write('vxorps', low, low, low);
      return register;
    }
    return this.moved(this.constantVector(this.#wordsOf(type, value)), type, target);
  }

  #wordsOf({ element, lanes }: Type, value: number): Int32Array {
    const count = Math.max(lanes, 4);
    if (element === 'f32') return new Int32Array(new Float32Array(count).fill(value).buffer);
    return new Int32Array(count).fill(element === 'mask' ? -value : value);
  }

  /** A register whose home is a constant of 4, 8 or 16 words. */
  constantVector(words: Int32Array): VirtualRegister {
    const [word] = words;
    const key = words.every((other) => other === word) ? `${words.length} times ${word}` : words.join();
    const known = this.#constants.get(key);
    if (known) return known;
    const as = this.width(words.length);
    const label = this.out.constant(new Uint8Array(words.buffer), words.byteLength);
    const register = this.code.register(as, { kind: 'constant', label, as });
    this.#constants.set(key, register);
    this.#shared.add(register);
    return register;
  }

  /** A vector constant with the same i32 in all lanes. */
  splatConstant(value: number, lanes: number): Use {
    const words = new Int32Array(Math.max(lanes, 4)).fill(value);
    return { register: this.constantVector(words), kind: this.width(lanes) };
  }
}
