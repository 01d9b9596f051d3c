/**
 * Turns the expressions of a kernel into closures over a thread's frame: plain numbers for scalars, typed arrays
 * for vectors. The expression half of the kernel interpreter.
 */
import { BitloomError } from '../ir/error.ts';
import { type Expr, MEMORY_BYTES, type MemoryType, type Type } from './expression.ts';
import type { Kernel } from './language.ts';
import {
  BINARY_F32,
  BINARY_I32,
  BINARY_MASK,
  meaningOf,
  TERNARY,
  UNARY_F32,
  UNARY_I32,
  UNARY_MASK,
} from './semantics.ts';

export type Lanes = Float32Array | Int32Array;

/** What one thread sees. Scalars live in `scalars`, vectors in `vectors`, both by variable id. */
export interface Frame {
  readonly thread: number;
  readonly threads: number;
  readonly scalars: number[];
  readonly vectors: Lanes[];
  /** By tile id, rows one after the other. */
  readonly tiles: readonly Uint8Array[];
  /** By buffer index; scratch follows the kernel's own buffers. */
  readonly views: readonly DataView[];
}

export type Scalar = (frame: Frame) => number;
export type Vector = (frame: Frame) => Lanes;

const UNARY = { f32: UNARY_F32, i32: UNARY_I32, mask: UNARY_MASK };
const BINARY = { f32: BINARY_F32, i32: BINARY_I32, mask: BINARY_MASK };

/** A zeroed register of a type. */
export const newLanes = ({ element, lanes }: Type): Lanes =>
  element === 'f32' ? new Float32Array(lanes) : new Int32Array(lanes);

const READ: Readonly<Record<MemoryType, (view: DataView, at: number) => number>> = {
  f32: (v, at) => v.getFloat32(at, true),
  i32: (v, at) => v.getInt32(at, true),
  i16: (v, at) => v.getInt16(at, true),
  u16: (v, at) => v.getUint16(at, true),
  i8: (v, at) => v.getInt8(at),
  u8: (v, at) => v.getUint8(at),
};

/** Expressions of one kernel. */
export class Evaluator {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  scalar(e: Expr): Scalar {
    switch (e.kind) {
      case 'const':
        return constantly(e.value);
      case 'var':
        return scalarOf(e.id);
      case 'thread':
        return (f) => f.thread;
      case 'threads':
        return (f) => f.threads;
      case 'unary':
        return e.op.startsWith('reduce_') ? this.#reduction(e.op, e.a) : this.#unaryScalar(e);
      case 'binary': {
        const f = meaningOf(e.op, e.a.type.element, BINARY);
        const [a, b] = [this.scalar(e.a), this.scalar(e.b)];
        return (frame) => f(a(frame), b(frame));
      }
      case 'ternary': {
        const f = TERNARY[e.op];
        const [a, b, c] = [this.scalar(e.a), this.scalar(e.b), this.scalar(e.c)];
        return (frame) => f(a(frame), b(frame), c(frame));
      }
      case 'load': {
        const [read, at, view] = [READ[e.memory], this.scalar(e.byteOffset), this.slot(e.buffer.index)];
        const check = this.bounds(e.buffer.name, MEMORY_BYTES[e.memory]);
        return (frame) => read(frame.views[view]!, check(frame.views[view]!, at(frame)));
      }
      case 'extract': {
        const [a, lane] = [this.vector(e.a), e.lane];
        return (frame) => a(frame)[lane]!;
      }
      case 'expand':
      case 'shuffle':
      case 'lookup':
      case 'halves':
      case 'pack8': {
        const all = this.vector(e);
        return (frame) => all(frame)[0]!;
      }
    }
  }

  #unaryScalar(e: Expr & { kind: 'unary' }): Scalar {
    const a = this.scalar(e.a);
    if (e.op === 'splat') return a;
    const f = meaningOf(e.op, e.a.type.element, UNARY);
    return (frame) => f(a(frame));
  }

  #reduction(op: string, operand: Expr): Scalar {
    const f = meaningOf(op.slice('reduce_'.length), operand.type.element, BINARY);
    const a = this.lanesOf(operand);
    const folded = newLanes(operand.type);
    return (frame) => {
      folded.set(a(frame));
      for (let half = folded.length >> 1; half > 0; half >>= 1) {
        for (let i = 0; i < half; i++) folded[i] = f(folded[i]!, folded[i + half]!);
      }
      return folded[0]!;
    };
  }

  /** A value of any lanes as an array. */
  lanesOf(e: Expr): Vector {
    if (e.type.lanes > 1) return this.vector(e);
    const [value, out] = [this.scalar(e), newLanes(e.type)];
    return (frame) => {
      out[0] = value(frame);
      return out;
    };
  }

  /** Results are rewritten by the next evaluation of the same node: copy what must stay. */
  vector(e: Expr): Vector {
    const out = newLanes(e.type);
    switch (e.kind) {
      case 'const': {
        out.fill(e.value);
        return () => out;
      }
      case 'var':
        return vectorOf(e.id);
      case 'unary':
        if (e.op === 'splat') return repeat(out, this.scalar(e.a));
        return mapLanes(out, meaningOf(e.op, e.a.type.element, UNARY), this.lanesOf(e.a));
      case 'binary':
        return this.#binaryVector(e, out);
      case 'ternary':
        return mapLanes(out, TERNARY[e.op], this.lanesOf(e.a), this.lanesOf(e.b), this.lanesOf(e.c));
      case 'load':
        return this.#loadVector(e, out);
      case 'expand':
        return this.#expand(e, out);
      case 'shuffle':
        return shuffleLanes(out, e.pattern, this.lanesOf(e.a), this.lanesOf(e.b));
      case 'lookup':
        return mapLanes(out, lookUpBytes(e.table), this.lanesOf(e.indices));
      case 'halves':
        return unpackHalves(out, e.part === 'low' ? 0 : out.length, this.lanesOf(e.a));
      case 'pack8':
        return packBytes(
          out,
          e.parts.map((p) => this.lanesOf(p)),
        );
      default:
        throw new BitloomError('INVALID_GRAPH', `${e.kind} has one lane, not ${e.type.lanes}`);
    }
  }

  #loadVector(e: Expr & { kind: 'load' }, out: Lanes): Vector {
    const [read, at, view] = [READ[e.memory], this.scalar(e.byteOffset), this.slot(e.buffer.index)];
    const size = MEMORY_BYTES[e.memory];
    const check = this.bounds(e.buffer.name, size * e.type.lanes);
    return (frame) => {
      const from = check(frame.views[view]!, at(frame));
      for (let i = 0; i < out.length; i++) out[i] = read(frame.views[view]!, from + i * size);
      return out;
    };
  }

  #expand(e: Expr & { kind: 'expand' }, out: Lanes): Vector {
    const { name, index } = e.buffer;
    const [read, at, view, mask] = [READ[e.memory], this.scalar(e.byteOffset), this.slot(index), this.scalar(e.mask)];
    const size = MEMORY_BYTES[e.memory];
    const places = e.memory === 'u16' ? 2 * out.length : out.length;
    const checks = Array.from({ length: places + 1 }, (_, count) => this.bounds(name, size * count));
    return (frame) => {
      const [memory, bits] = [frame.views[view]!, mask(frame)];
      const isSet = (i: number): boolean => ((bits >>> i) & 1) === 1;
      const count = Array.from({ length: places }, (_, i) => i).filter(isSet).length;
      out.fill(0);
      if (count === 0) return out;
      let from = checks[count]!(memory, at(frame));
      for (let i = 0; i < places; i++) {
        if (!isSet(i)) continue;
        const element = read(memory, from);
        if (e.memory !== 'u16') out[i] = element;
        else out[i >> 1]! |= element << (16 * (i & 1));
        from += size;
      }
      return out;
    };
  }

  #binaryVector(e: Expr & { kind: 'binary' }, out: Lanes): Vector {
    const f = meaningOf(e.op, e.a.type.element, BINARY);
    const a = this.lanesOf(e.a);
    if (e.b.type.lanes > 1) return mapLanes(out, f, a, this.lanesOf(e.b));
    const amount = this.scalar(e.b); // shifts take one amount for all lanes
    return (frame) => {
      const [x, by] = [a(frame), amount(frame)];
      for (let i = 0; i < out.length; i++) out[i] = f(x[i]!, by);
      return out;
    };
  }

  /** Place of a buffer in `Frame.views`: scratch indices -1 and -2 lie behind the kernel's own buffers. */
  slot(index: number): number {
    return index >= 0 ? index : this.#kernel.buffers.length - 1 - index;
  }

  /** Checks an access of `bytes` bytes. Throws INVALID_GRAPH naming the buffer. */
  bounds(name: string, bytes: number): (view: DataView, at: number) => number {
    return (view, at) => {
      const offset = at >>> 0;
      if (offset + bytes <= view.byteLength) return offset;
      const message = `kernel ${this.#kernel.name} reaches bytes ${offset}..${offset + bytes} of buffer ${name}, which has ${view.byteLength}`;
      throw new BitloomError('INVALID_GRAPH', message, { kernel: this.#kernel.name, buffer: name, offset });
    };
  }
}

const constantly =
  (value: number): Scalar =>
  () =>
    value;
const scalarOf =
  (id: number): Scalar =>
  (frame) =>
    frame.scalars[id]!;
const vectorOf =
  (id: number): Vector =>
  (frame) =>
    frame.vectors[id]!;
const repeat =
  (out: Lanes, value: Scalar): Vector =>
  (frame) =>
    out.fill(value(frame));

/** Lane-wise application; a lane's meaning takes one to three operands. */
function mapLanes(out: Lanes, f: (...lanes: number[]) => number, ...operands: Vector[]): Vector {
  const [a, b, c] = operands as [Vector, Vector?, Vector?];
  if (c && b) {
    return (frame) => {
      const [x, y, z] = [a(frame), b(frame), c(frame)];
      for (let i = 0; i < out.length; i++) out[i] = f(x[i]!, y[i]!, z[i]!);
      return out;
    };
  }
  if (b) {
    return (frame) => {
      const [x, y] = [a(frame), b(frame)];
      for (let i = 0; i < out.length; i++) out[i] = f(x[i]!, y[i]!);
      return out;
    };
  }
  return (frame) => {
    const x = a(frame);
    for (let i = 0; i < out.length; i++) out[i] = f(x[i]!);
    return out;
  };
}

function shuffleLanes(out: Lanes, pattern: readonly number[], a: Vector, b: Vector): Vector {
  return (frame) => {
    const [x, y] = [a(frame), b(frame)];
    for (let i = 0; i < out.length; i++) out[i] = pattern[i]! < x.length ? x[pattern[i]!]! : y[pattern[i]! - x.length]!;
    return out;
  };
}

function lookUpBytes(table: readonly number[]): (word: number) => number {
  const pick = (word: number, shift: number): number => (table[(word >>> shift) & 15]! & 0xff) << shift;
  return (word) => pick(word, 0) | pick(word, 8) | pick(word, 16) | pick(word, 24);
}

/** As many 16-bit numbers as there are lanes, from number `first` on, two to a word. */
function unpackHalves(out: Lanes, first: number, a: Vector): Vector {
  return (frame) => {
    const words = a(frame);
    for (let i = 0; i < out.length; i++) out[i] = (words[(first + i) >> 1]! >>> (16 * ((first + i) & 1))) & 0xffff;
    return out;
  };
}

function packBytes(out: Lanes, parts: readonly Vector[]): Vector {
  const saturated = (x: number): number => Math.min(127, Math.max(-128, x)) & 0xff;
  return (frame) => {
    const bytes = parts.flatMap((part) => Array.from(part(frame), saturated));
    for (let i = 0; i < out.length; i++) {
      out[i] = bytes[4 * i]! | (bytes[4 * i + 1]! << 8) | (bytes[4 * i + 2]! << 16) | (bytes[4 * i + 3]! << 24);
    }
    return out;
  };
}
