/**
 * Expressions of the kernel language: pure trees over typed virtual registers. A type is an
 * element kind times lanes; one lane is a scalar. Constructors fold integer constants, so that
 * staged index arithmetic costs nothing. Bind a shared sub-expression with `KernelBuilder.let`.
 */
import { BitloomError } from '../ir/error.ts';

/** `mask` is a target's own truth value: only `select`, `if`, `while` and mask logic take it. */
export type Element = 'f32' | 'i32' | 'mask';

export interface Type {
  readonly element: Element;
  /** 1 for a scalar, the machine's lanes for a vector. */
  readonly lanes: number;
}

/** How elements lie in memory. Narrow types widen to i32 (`i8 u8 i16 u16`) on load and narrow on store. */
export type MemoryType = 'f32' | 'i32' | 'i16' | 'u16' | 'i8' | 'u8';

export const MEMORY_BYTES: Readonly<Record<MemoryType, number>> = { f32: 4, i32: 4, i16: 2, u16: 2, i8: 1, u8: 1 };

export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'floor'
  | 'ceil'
  | 'nearest'
  | 'trunc' // f32 (neg, abs: i32 too)
  | 'not' // i32 bits, or a mask
  | 'to_f32'
  | 'to_f32_u' // i32 -> f32, round to nearest even
  | 'to_i32'
  | 'to_u32' // f32 -> i32, truncates, saturates, NaN gives 0
  | 'bits_f32'
  | 'bits_i32' // reinterpret, same bits
  | 'f16_to_f32' // i32 holding 16 bits of a binary16 -> f32, exact
  | 'f32_to_f16' // f32 -> i32 holding binary16 bits, round to nearest even
  | 'mask_to_i32' // mask -> 1 or 0
  | 'popcount' // i32 -> how many of its bits are set
  | 'splat' // scalar -> vector
  | 'reduce_add'
  | 'reduce_min'
  | 'reduce_max'; // vector -> scalar: the upper half of the lanes is combined with the lower until one is left

export type BinaryOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'min'
  | 'max' // f32 (min, max propagate NaN) or i32 (signed)
  | 'div' // f32
  | 'div_s'
  | 'div_u'
  | 'rem_s'
  | 'rem_u' // scalar i32; never by zero
  | 'min_u'
  | 'max_u' // i32
  | 'and'
  | 'or'
  | 'xor' // i32 bits, or masks
  | 'shl'
  | 'shr_s'
  | 'shr_u' // i32 by a scalar i32 amount
  | 'eq'
  | 'ne'
  | 'lt'
  | 'le'
  | 'gt'
  | 'ge' // -> mask; f32 or signed i32
  | 'lt_u'
  | 'le_u'
  | 'gt_u'
  | 'ge_u'; // -> mask; unsigned i32

export type TernaryOp =
  | 'fma' // a * b + c, rounded once or twice as the machine does
  | 'select' // mask ? b : c
  | 'dot8u7' // a i32 sums + 4-way dot of signed bytes b with codes c in 0..127 (bytes packed in i32 lanes)
  | 'dot8u8' // the same with codes c in 0..255
  | 'dot16' // a i32 sums + 2-way dot of the signed 16-bit numbers that the i32 lanes of b and c hold two by two
  | 'dotBf16'; // a f32 sums + 2-way dot of the bfloat16 numbers that the i32 lanes of b and c hold two by two

export interface BufferParam {
  readonly name: string;
  readonly access: 'read' | 'write' | 'readwrite';
  /** Position among the kernel's buffers; scratch regions follow with negative positions. */
  readonly index: number;
}

export type Expr =
  | { readonly kind: 'const'; readonly type: Type; readonly value: number }
  | { readonly kind: 'var'; readonly type: Type; readonly id: number }
  | { readonly kind: 'thread' | 'threads'; readonly type: Type }
  | { readonly kind: 'unary'; readonly type: Type; readonly op: UnaryOp; readonly a: Expr }
  | { readonly kind: 'binary'; readonly type: Type; readonly op: BinaryOp; readonly a: Expr; readonly b: Expr }
  | {
      readonly kind: 'ternary';
      readonly type: Type;
      readonly op: TernaryOp;
      readonly a: Expr;
      readonly b: Expr;
      readonly c: Expr;
    }
  /** `type.lanes` consecutive memory elements at `buffer + byteOffset`. Any alignment. */
  | {
      readonly kind: 'load';
      readonly type: Type;
      readonly memory: MemoryType;
      readonly buffer: BufferParam;
      readonly byteOffset: Expr;
    }
  /**
   * Consecutive elements of memory, handed out in order to the places whose bits are set in the scalar i32 `mask`; other
   * places are zero. Bit i is lane i, for u16 number i of the i32 lanes, which hold two each. Further bits do nothing.
   * Only the bytes handed out are read.
   */
  | {
      readonly kind: 'expand';
      readonly type: Type;
      readonly memory: 'f32' | 'i32' | 'u16';
      readonly buffer: BufferParam;
      readonly byteOffset: Expr;
      readonly mask: Expr;
    }
  /** 32-bit lanes picked from the concatenation of `a` and `b`; `pattern[i]` in 0..2*lanes-1. */
  | {
      readonly kind: 'shuffle';
      readonly type: Type;
      readonly a: Expr;
      readonly b: Expr;
      readonly pattern: readonly number[];
    }
  | { readonly kind: 'extract'; readonly type: Type; readonly a: Expr; readonly lane: number }
  /** Byte look-up: byte i of the result is `table[indices byte i & 15]`, per 128-bit group. `table` has 16 bytes. */
  | { readonly kind: 'lookup'; readonly type: Type; readonly table: readonly number[]; readonly indices: Expr }
  /** The low or the high half of the 16-bit numbers that the lanes of `a` hold two by two, in order, zero-extended. */
  | { readonly kind: 'halves'; readonly type: Type; readonly a: Expr; readonly part: 'low' | 'high' }
  /** Bytes of four i32 vectors, saturated to signed 8 bits, in order: lane j of the result packs values 4j..4j+3. */
  | { readonly kind: 'pack8'; readonly type: Type; readonly parts: readonly [Expr, Expr, Expr, Expr] };

export type Operand = Expr | number;

export const I32: Type = { element: 'i32', lanes: 1 };
export const F32: Type = { element: 'f32', lanes: 1 };
export const vectorType = (element: Element, lanes: number): Type => ({ element, lanes });
export const sameType = (a: Type, b: Type): boolean => a.element === b.element && a.lanes === b.lanes;

export const i32 = (value: number): Expr => ({ kind: 'const', type: I32, value: value | 0 });
export const f32 = (value: number): Expr => ({ kind: 'const', type: F32, value: Math.fround(value) });
export const constant = (type: Type, value: number): Expr => ({
  kind: 'const',
  type,
  value: type.element === 'f32' ? Math.fround(value) : value | 0,
});
export const threadIndex: Expr = { kind: 'thread', type: I32 };
export const threadCount: Expr = { kind: 'threads', type: I32 };

const COMPARES: ReadonlySet<BinaryOp> = new Set([
  'eq',
  'ne',
  'lt',
  'le',
  'gt',
  'ge',
  'lt_u',
  'le_u',
  'gt_u',
  'ge_u',
] as const);
const SHIFTS: ReadonlySet<BinaryOp> = new Set(['shl', 'shr_s', 'shr_u'] as const);

const UNARY_RESULT: Partial<Record<UnaryOp, Element>> = {
  to_f32: 'f32',
  to_f32_u: 'f32',
  to_i32: 'i32',
  to_u32: 'i32',
  bits_f32: 'f32',
  bits_i32: 'i32',
  f16_to_f32: 'f32',
  f32_to_f16: 'i32',
  mask_to_i32: 'i32',
};

export function unary(op: UnaryOp, a: Expr): Expr {
  const lanes = op.startsWith('reduce_') ? 1 : a.type.lanes;
  return { kind: 'unary', op, a, type: { element: UNARY_RESULT[op] ?? a.type.element, lanes } };
}

/** Repeats a scalar over `lanes`; a value that already has them passes through. */
export function splat(a: Expr, lanes: number): Expr {
  if (a.type.lanes === lanes) return a;
  const type = { element: a.type.element, lanes };
  return a.kind === 'const' ? { kind: 'const', type, value: a.value } : { kind: 'unary', op: 'splat', a, type };
}

/** Lifts numbers to the other operand's type and repeats scalars to the wider operand's lanes. */
function unify(a: Operand, b: Operand): [Expr, Expr] {
  if (typeof a === 'number') {
    if (typeof b === 'number') return [i32(a), i32(b)];
    return [constant(b.type, a), b];
  }
  if (typeof b === 'number') return [a, constant(a.type, b)];
  const lanes = Math.max(a.type.lanes, b.type.lanes);
  return [splat(a, lanes), splat(b, lanes)];
}

export function binary(op: BinaryOp, left: Operand, right: Operand): Expr {
  if (SHIFTS.has(op)) {
    const a = typeof left === 'number' ? i32(left) : left;
    const b = typeof right === 'number' ? i32(right) : right;
    return b.kind === 'const' && b.value === 0 ? a : fold({ kind: 'binary', op, a, b, type: a.type });
  }
  const [a, b] = unify(left, right);
  if (a.type.element !== b.type.element) {
    throw new BitloomError('INVALID_GRAPH', `kernel operation ${op} mixes ${a.type.element} and ${b.type.element}`, {
      op,
    });
  }
  const type = COMPARES.has(op) ? { element: 'mask' as const, lanes: a.type.lanes } : a.type;
  return fold({ kind: 'binary', op, a, b, type });
}

export function ternary(op: TernaryOp, a: Operand, b: Operand, c: Operand): Expr {
  const lanes = Math.max(...[a, b, c].map((x) => (typeof x === 'number' ? 1 : x.type.lanes)));
  const kind = [c, b, a].find((x): x is Expr => typeof x !== 'number' && x.type.element !== 'mask');
  const lift = (x: Operand): Expr =>
    splat(typeof x === 'number' ? constant({ element: kind?.type.element ?? 'i32', lanes: 1 }, x) : x, lanes);
  const [x, y, z] = [lift(a), lift(b), lift(c)];
  return { kind: 'ternary', op, a: x, b: y, c: z, type: op === 'select' ? z.type : x.type };
}

const INTEGER_FOLDS: Partial<Record<BinaryOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => Math.imul(a, b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr_s: (a, b) => a >> b,
  shr_u: (a, b) => a >>> b,
  div_u: (a, b) => (a >>> 0) / (b >>> 0),
  rem_u: (a, b) => (a >>> 0) % (b >>> 0),
  div_s: (a, b) => a / b,
  rem_s: (a, b) => a % b,
  min: Math.min,
  max: Math.max,
};

/** Folds scalar integer arithmetic and re-associates added constants, so that addresses become base + constant. */
function fold(e: Expr & { kind: 'binary' }): Expr {
  const { op, a, b } = e;
  if (e.type.element !== 'i32' || e.type.lanes !== 1) return e;
  if (a.kind === 'const' && b.kind === 'const') {
    const f = INTEGER_FOLDS[op];
    return f && !((op.startsWith('div') || op.startsWith('rem')) && b.value === 0) ? i32(f(a.value, b.value)) : e;
  }
  if (a.kind === 'const' && (op === 'add' || op === 'mul')) return binary(op, b, a);
  if (b.kind !== 'const') {
    // (x + c) + y and y + (x + c) both become (x + y) + c.
    if (op === 'add' && addedConstant(a) !== 0) return add(add(withoutConstant(a), b), addedConstant(a));
    if (op === 'add' && addedConstant(b) !== 0) return add(add(a, withoutConstant(b)), addedConstant(b));
    return e;
  }
  if (op === 'sub') return add(a, -b.value);
  if (b.value === 0 && (op === 'add' || op === 'or' || op === 'xor' || SHIFTS.has(op))) return a;
  if (b.value === 0 && (op === 'mul' || op === 'and')) return i32(0);
  if (b.value === 1 && (op === 'mul' || op === 'div_u' || op === 'div_s')) return a;
  if (b.value === 1 && (op === 'rem_u' || op === 'rem_s')) return i32(0);
  if (op === 'add' && addedConstant(a) !== 0) return add(withoutConstant(a), addedConstant(a) + b.value);
  if (op === 'mul' && addedConstant(a) !== 0)
    return add(mul(withoutConstant(a), b), Math.imul(addedConstant(a), b.value));
  return e;
}

/** The constant c of an expression of the form x + c, else 0. */
export const addedConstant = (e: Expr): number =>
  e.kind === 'binary' && e.op === 'add' && e.type.lanes === 1 && e.b.kind === 'const' ? e.b.value : 0;
/** The x of an expression of the form x + c, else the expression itself. */
export const withoutConstant = (e: Expr): Expr =>
  e.kind === 'binary' && e.op === 'add' && e.type.lanes === 1 && e.b.kind === 'const' ? e.a : e;

export const add = (a: Operand, b: Operand): Expr => binary('add', a, b);
export const sub = (a: Operand, b: Operand): Expr => binary('sub', a, b);
export const mul = (a: Operand, b: Operand): Expr => binary('mul', a, b);
export const div = (a: Operand, b: Operand): Expr => binary('div', a, b);
export const min = (a: Operand, b: Operand): Expr => binary('min', a, b);
export const max = (a: Operand, b: Operand): Expr => binary('max', a, b);
export const and = (a: Operand, b: Operand): Expr => binary('and', a, b);
export const or = (a: Operand, b: Operand): Expr => binary('or', a, b);
export const shl = (a: Operand, b: Operand): Expr => binary('shl', a, b);
export const shrU = (a: Operand, b: Operand): Expr => binary('shr_u', a, b);
export const divU = (a: Operand, b: Operand): Expr => binary('div_u', a, b);
export const remU = (a: Operand, b: Operand): Expr => binary('rem_u', a, b);
export const fma = (a: Operand, b: Operand, c: Operand): Expr => ternary('fma', a, b, c);
export const select = (mask: Expr, a: Operand, b: Operand): Expr => ternary('select', mask, a, b);
