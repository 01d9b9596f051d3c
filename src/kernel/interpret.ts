/**
 * Runs kernels in plain TypeScript over bytes: the law that every lowering is held to. Expressions
 * become closures, threads become generators that yield at barriers. Every access is bounds-checked.
 */
import { BitloomError } from '../ir/error.ts';
import { type Expr, MEMORY_BYTES, type MemoryType, type Type } from './expression.ts';
import type { Kernel, Statement } from './language.ts';
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

type Lanes = Float32Array | Int32Array;

/** What one thread sees. Scalars live in `scalars`, vectors in `vectors`, both by variable id. */
interface Frame {
  readonly thread: number;
  readonly threads: number;
  readonly scalars: number[];
  readonly vectors: Lanes[];
  /** By buffer index; scratch follows the kernel's own buffers. */
  readonly views: readonly DataView[];
}

type Scalar = (frame: Frame) => number;
type Vector = (frame: Frame) => Lanes;
type Run = (frame: Frame) => void;
type RunToBarrier = (frame: Frame) => Generator<void, void, void>;

const UNARY = { f32: UNARY_F32, i32: UNARY_I32, mask: UNARY_MASK };
const BINARY = { f32: BINARY_F32, i32: BINARY_I32, mask: BINARY_MASK };

const newLanes = ({ element, lanes }: Type): Lanes =>
  element === 'f32' ? new Float32Array(lanes) : new Int32Array(lanes);

const READ: Readonly<Record<MemoryType, (view: DataView, at: number) => number>> = {
  f32: (v, at) => v.getFloat32(at, true),
  i32: (v, at) => v.getInt32(at, true),
  i16: (v, at) => v.getInt16(at, true),
  u16: (v, at) => v.getUint16(at, true),
  i8: (v, at) => v.getInt8(at),
  u8: (v, at) => v.getUint8(at),
};

const WRITE: Readonly<Record<MemoryType, (view: DataView, at: number, value: number) => void>> = {
  f32: (v, at, x) => v.setFloat32(at, x, true),
  i32: (v, at, x) => v.setInt32(at, x, true),
  i16: (v, at, x) => v.setInt16(at, x, true),
  u16: (v, at, x) => v.setUint16(at, x, true),
  i8: (v, at, x) => v.setInt8(at, x),
  u8: (v, at, x) => v.setUint8(at, x),
};

/**
 * Runs a kernel to its end on `threads` threads that take turns. `buffers` are in the kernel's
 * order. Scratch starts as 0xff bytes (NaN), so that reads before writes show.
 * Throws INVALID_GRAPH for accesses out of bounds and barriers that not all threads reach.
 */
export function runKernel(kernel: Kernel, buffers: readonly Uint8Array[], threads = 1): void {
  if (buffers.length !== kernel.buffers.length) {
    throw new BitloomError(
      'INVALID_ARGUMENT',
      `kernel ${kernel.name} takes ${kernel.buffers.length} buffers, not ${buffers.length}`,
    );
  }
  const compiler = new KernelCompiler(kernel);
  const run = compiler.threadBody();
  const views = buffers.map((b) => new DataView(b.buffer, b.byteOffset, b.byteLength));
  const scratch = (bytes: number) => new DataView(new Uint8Array(bytes).fill(0xff).buffer);
  const shared = scratch(kernel.sharedScratchBytes);
  let active = Array.from({ length: threads }, (_, thread) => {
    const own = [...views, scratch(kernel.threadScratchBytes), shared];
    const vectors = kernel.registers.map(newLanes);
    return run({ thread, threads, views: own, vectors, scalars: kernel.registers.map(() => 0) });
  });
  while (active.length > 0) {
    // Every phase runs the threads in the other order, so that code which relies on one order fails.
    active.reverse();
    const waiting = active.filter((thread) => !thread.next().done);
    if (waiting.length > 0 && waiting.length < active.length) {
      throw new BitloomError('INVALID_GRAPH', `kernel ${kernel.name}: only some threads reach a barrier`, {
        kernel: kernel.name,
      });
    }
    active = waiting;
  }
}

/** Turns one kernel's expressions and statements into closures. */
class KernelCompiler {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  threadBody(): RunToBarrier {
    return this.#resumable(this.#kernel.body);
  }

  #scalar(e: Expr): Scalar {
    switch (e.kind) {
      case 'const':
        return constantly(e.value);
      case 'var':
        return (
          (id) => (f: Frame) =>
            f.scalars[id]!
        )(e.id);
      case 'thread':
        return (f) => f.thread;
      case 'threads':
        return (f) => f.threads;
      case 'unary':
        return e.op.startsWith('reduce_') ? this.#reduction(e.op, e.a) : this.#unaryScalar(e);
      case 'binary': {
        const f = meaningOf(e.op, e.a.type.element, BINARY);
        const [a, b] = [this.#scalar(e.a), this.#scalar(e.b)];
        return (frame) => f(a(frame), b(frame));
      }
      case 'ternary': {
        const f = TERNARY[e.op];
        const [a, b, c] = [this.#scalar(e.a), this.#scalar(e.b), this.#scalar(e.c)];
        return (frame) => f(a(frame), b(frame), c(frame));
      }
      case 'load': {
        const [read, at, view] = [READ[e.memory], this.#scalar(e.byteOffset), this.#slot(e.buffer.index)];
        const check = this.#bounds(e.buffer.name, MEMORY_BYTES[e.memory]);
        return (frame) => read(frame.views[view]!, check(frame.views[view]!, at(frame)));
      }
      case 'extract': {
        const [a, lane] = [this.#vector(e.a), e.lane];
        return (frame) => a(frame)[lane]!;
      }
      case 'shuffle':
      case 'lookup':
      case 'pack8': {
        const all = this.#vector(e);
        return (frame) => all(frame)[0]!;
      }
    }
  }

  #unaryScalar(e: Expr & { kind: 'unary' }): Scalar {
    const a = this.#scalar(e.a);
    if (e.op === 'splat') return a;
    const f = meaningOf(e.op, e.a.type.element, UNARY);
    return (frame) => f(a(frame));
  }

  #reduction(op: string, operand: Expr): Scalar {
    const f = meaningOf(op.slice('reduce_'.length), operand.type.element, BINARY);
    const a = this.#lanesOf(operand);
    return (frame) => {
      const lanes = a(frame);
      let total = lanes[0]!;
      for (let i = 1; i < lanes.length; i++) total = f(total, lanes[i]!);
      return total;
    };
  }

  /** A value of any lanes as an array. */
  #lanesOf(e: Expr): Vector {
    if (e.type.lanes > 1) return this.#vector(e);
    const [value, out] = [this.#scalar(e), newLanes(e.type)];
    return (frame) => {
      out[0] = value(frame);
      return out;
    };
  }

  /** Results are rewritten by the next evaluation of the same node: copy what must stay. */
  #vector(e: Expr): Vector {
    const out = newLanes(e.type);
    switch (e.kind) {
      case 'const': {
        out.fill(e.value);
        return () => out;
      }
      case 'var':
        return (
          (id) => (f: Frame) =>
            f.vectors[id]!
        )(e.id);
      case 'unary': {
        if (e.op === 'splat')
          return (
            (a) => (frame: Frame) =>
              out.fill(a(frame))
          )(this.#scalar(e.a));
        return mapLanes(out, meaningOf(e.op, e.a.type.element, UNARY), this.#lanesOf(e.a));
      }
      case 'binary':
        return this.#binaryVector(e, out);
      case 'ternary':
        return mapLanes(out, TERNARY[e.op], this.#lanesOf(e.a), this.#lanesOf(e.b), this.#lanesOf(e.c));
      case 'load': {
        const [read, at, view] = [READ[e.memory], this.#scalar(e.byteOffset), this.#slot(e.buffer.index)];
        const size = MEMORY_BYTES[e.memory];
        const check = this.#bounds(e.buffer.name, size * e.type.lanes);
        return (frame) => {
          const from = check(frame.views[view]!, at(frame));
          for (let i = 0; i < out.length; i++) out[i] = read(frame.views[view]!, from + i * size);
          return out;
        };
      }
      case 'shuffle': {
        const [a, b, { pattern }] = [this.#lanesOf(e.a), this.#lanesOf(e.b), e];
        return (frame) => {
          const [x, y] = [a(frame), b(frame)];
          for (let i = 0; i < out.length; i++)
            out[i] = pattern[i]! < x.length ? x[pattern[i]!]! : y[pattern[i]! - x.length]!;
          return out;
        };
      }
      case 'lookup': {
        const [indices, { table }] = [this.#lanesOf(e.indices), e];
        const pick = (word: number, shift: number) => (table[(word >>> shift) & 15]! & 0xff) << shift;
        return mapLanes(out, (w) => pick(w, 0) | pick(w, 8) | pick(w, 16) | pick(w, 24), indices);
      }
      case 'pack8': {
        const parts = e.parts.map((p) => this.#lanesOf(p));
        return (frame) => {
          const values = parts.flatMap((p) => Array.from(p(frame), (x) => Math.min(127, Math.max(-128, x)) & 0xff));
          for (let i = 0; i < out.length; i++) {
            out[i] =
              values[4 * i]! | (values[4 * i + 1]! << 8) | (values[4 * i + 2]! << 16) | (values[4 * i + 3]! << 24);
          }
          return out;
        };
      }
      default:
        throw new BitloomError('INVALID_GRAPH', `${e.kind} has one lane, not ${e.type.lanes}`);
    }
  }

  #binaryVector(e: Expr & { kind: 'binary' }, out: Lanes): Vector {
    const f = meaningOf(e.op, e.a.type.element, BINARY);
    const a = this.#lanesOf(e.a);
    if (e.b.type.lanes > 1) return mapLanes(out, f, a, this.#lanesOf(e.b));
    const amount = this.#scalar(e.b); // shifts take one amount for all lanes
    return (frame) => {
      const [x, by] = [a(frame), amount(frame)];
      for (let i = 0; i < out.length; i++) out[i] = f(x[i]!, by);
      return out;
    };
  }

  /** Scratch indices -1 and -2 lie behind the kernel's own buffers. */
  #slot(index: number): number {
    return index >= 0 ? index : this.#kernel.buffers.length - 1 - index;
  }

  #bounds(name: string, bytes: number): (view: DataView, at: number) => number {
    return (view, at) => {
      const offset = at >>> 0;
      if (offset + bytes <= view.byteLength) return offset;
      const message = `kernel ${this.#kernel.name} reaches bytes ${offset}..${offset + bytes} of buffer ${name}, which has ${view.byteLength}`;
      throw new BitloomError('INVALID_GRAPH', message, { kernel: this.#kernel.name, buffer: name, offset });
    };
  }

  #block(statements: readonly Statement[]): Run {
    const steps = statements.map((s) => this.#statement(s));
    return (frame) => {
      for (const step of steps) step(frame);
    };
  }

  #statement(s: Statement): Run {
    switch (s.kind) {
      case 'assign': {
        const { id, type } = s.target;
        if (type.lanes > 1)
          return (
            (value) => (f: Frame) =>
              f.vectors[id]!.set(value(f))
          )(this.#vector(s.value));
        return (
          (value) => (f: Frame) =>
            void (f.scalars[id] = value(f))
        )(this.#scalar(s.value));
      }
      case 'store':
        return this.#store(s);
      case 'loop': {
        const [start, end, body] = [this.#scalar(s.start), this.#scalar(s.end), this.#block(s.body)];
        return (f) => {
          const last = end(f);
          for (let i = start(f); i < last; i += s.step) {
            f.scalars[s.index.id] = i;
            body(f);
          }
        };
      }
      case 'while': {
        const [condition, body] = [this.#scalar(s.condition), this.#block(s.body)];
        return (f) => {
          while (condition(f)) body(f);
        };
      }
      case 'if': {
        const [condition, then, otherwise] = [this.#scalar(s.condition), this.#block(s.then), this.#block(s.otherwise)];
        return (f) => (condition(f) ? then(f) : otherwise(f));
      }
      case 'barrier':
        throw new BitloomError('INVALID_GRAPH', 'a barrier must be compiled as resumable');
    }
  }

  #store(s: Statement & { kind: 'store' }): Run {
    const { access, name, index } = s.buffer;
    if (access === 'read')
      throw new BitloomError('INVALID_GRAPH', `kernel ${this.#kernel.name} stores to ${name}, which it only reads`);
    const [write, at, value, view] = [
      WRITE[s.memory],
      this.#scalar(s.byteOffset),
      this.#lanesOf(s.value),
      this.#slot(index),
    ];
    const size = MEMORY_BYTES[s.memory];
    const check = this.#bounds(name, size * s.value.type.lanes);
    return (frame) => {
      const from = check(frame.views[view]!, at(frame));
      const lanes = value(frame);
      for (let i = 0; i < lanes.length; i++) write(frame.views[view]!, from + i * size, lanes[i]!);
    };
  }

  /** A block that may stop at barriers; parts without one run as plain closures. */
  #resumable(statements: readonly Statement[]): RunToBarrier {
    const steps = statements.map((s) =>
      hasBarrier(s) ? { resume: this.#resumableStatement(s) } : { run: this.#statement(s) },
    );
    return function* (frame) {
      for (const step of steps) {
        if ('run' in step) step.run!(frame);
        else yield* step.resume(frame);
      }
    };
  }

  #resumableStatement(s: Statement): RunToBarrier {
    if (s.kind === 'barrier') {
      return function* () {
        yield;
      };
    }
    if (s.kind === 'if') {
      const [condition, then, otherwise] = [
        this.#scalar(s.condition),
        this.#resumable(s.then),
        this.#resumable(s.otherwise),
      ];
      return (f) => (condition(f) ? then(f) : otherwise(f));
    }
    if (s.kind === 'loop') {
      const [start, end, body] = [this.#scalar(s.start), this.#scalar(s.end), this.#resumable(s.body)];
      return function* (f) {
        const last = end(f);
        for (let i = start(f); i < last; i += s.step) {
          f.scalars[s.index.id] = i;
          yield* body(f);
        }
      };
    }
    if (s.kind !== 'while') throw new BitloomError('INVALID_GRAPH', `${s.kind} holds no barrier`);
    const [condition, body] = [this.#scalar(s.condition), this.#resumable(s.body)];
    return function* (f) {
      while (condition(f)) yield* body(f);
    };
  }
}

const constantly =
  (value: number): Scalar =>
  () =>
    value;

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

function hasBarrier(s: Statement): boolean {
  if (s.kind === 'barrier') return true;
  if (s.kind === 'loop' || s.kind === 'while') return s.body.some(hasBarrier);
  return s.kind === 'if' && (s.then.some(hasBarrier) || s.otherwise.some(hasBarrier));
}
