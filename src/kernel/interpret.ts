/**
 * Runs kernels in plain TypeScript over bytes: the law that every lowering is held to. Expressions
 * become closures, threads become generators that yield at barriers. Every access is bounds-checked.
 */
import { BitloomError } from '../ir/error.ts';
import { Evaluator, type Frame, newLanes } from './evaluate.ts';
import { MEMORY_BYTES, type MemoryType } from './expression.ts';
import { interpretTiles, newTile } from './interpret-tiles.ts';
import type { Kernel, Statement } from './language.ts';

type Run = (frame: Frame) => void;
type RunToBarrier = (frame: Frame) => Generator<void, void, void>;

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
  const { name } = kernel;
  if (buffers.length !== kernel.buffers.length) {
    const message = `kernel ${name} takes ${kernel.buffers.length} buffers, not ${buffers.length}`;
    throw new BitloomError('INVALID_ARGUMENT', message, { kernel: name });
  }
  const run = new StatementRunner(kernel).threadBody();
  const views = buffers.map((b) => new DataView(b.buffer, b.byteOffset, b.byteLength));
  const scratch = (bytes: number) => new DataView(new Uint8Array(bytes).fill(0xff).buffer);
  const shared = scratch(kernel.sharedScratchBytes);
  let active = Array.from({ length: threads }, (_, thread) => {
    const own = [...views, scratch(kernel.threadScratchBytes), shared];
    const vectors = kernel.registers.map(newLanes);
    const tiles = kernel.tiles.map(newTile);
    return run({ thread, threads, views: own, vectors, tiles, scalars: kernel.registers.map(() => 0) });
  });
  while (active.length > 0) {
    // Every phase runs the threads in the other order, so that code which relies on one order fails.
    active.reverse();
    const waiting = active.filter((thread) => !thread.next().done);
    if (waiting.length > 0 && waiting.length < active.length) {
      throw new BitloomError('INVALID_GRAPH', `kernel ${name}: only some threads reach a barrier`, { kernel: name });
    }
    active = waiting;
  }
}

/** Turns one kernel's statements into closures. */
class StatementRunner {
  readonly #kernel: Kernel;
  readonly #values: Evaluator;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#values = new Evaluator(kernel);
  }

  threadBody(): RunToBarrier {
    return this.#resumable(this.#kernel.body);
  }

  #block(statements: readonly Statement[]): Run {
    const steps = statements.map((s) => this.#statement(s));
    return (frame) => {
      for (const step of steps) step(frame);
    };
  }

  #statement(s: Statement): Run {
    const values = this.#values;
    switch (s.kind) {
      case 'assign':
        return this.#assign(s);
      case 'store':
        return this.#store(s);
      case 'loop': {
        const [start, end, body] = [values.scalar(s.start), values.scalar(s.end), this.#block(s.body)];
        return (f) => {
          const last = end(f);
          for (let i = start(f); i < last; i += s.step) {
            f.scalars[s.index.id] = i;
            body(f);
          }
        };
      }
      case 'while': {
        const [condition, body] = [values.scalar(s.condition), this.#block(s.body)];
        return (f) => {
          while (condition(f)) body(f);
        };
      }
      case 'if': {
        const [condition, then, otherwise] = [
          values.scalar(s.condition),
          this.#block(s.then),
          this.#block(s.otherwise),
        ];
        return (f) => (condition(f) ? then(f) : otherwise(f));
      }
      case 'prefetch':
        return () => {};
      case 'barrier':
        throw new BitloomError('INVALID_GRAPH', 'a barrier must be compiled as resumable');
      default:
        return interpretTiles(s, values);
    }
  }

  #assign({ target: { id, type }, value }: Statement & { kind: 'assign' }): Run {
    if (type.lanes > 1) {
      const vector = this.#values.vector(value);
      return (f) => f.vectors[id]!.set(vector(f));
    }
    const scalar = this.#values.scalar(value);
    return (f) => {
      f.scalars[id] = scalar(f);
    };
  }

  #store({ memory, buffer, byteOffset, value }: Statement & { kind: 'store' }): Run {
    const { access, name, index } = buffer;
    if (access === 'read') {
      throw new BitloomError('INVALID_GRAPH', `kernel ${this.#kernel.name} stores to ${name}, which it only reads`);
    }
    const [write, size, slot] = [WRITE[memory], MEMORY_BYTES[memory], this.#values.slot(index)];
    const [at, lanesOf] = [this.#values.scalar(byteOffset), this.#values.lanesOf(value)];
    const check = this.#values.bounds(name, size * value.type.lanes);
    return (frame) => {
      const view = frame.views[slot]!;
      const from = check(view, at(frame));
      const lanes = lanesOf(frame);
      for (let i = 0; i < lanes.length; i++) write(view, from + i * size, lanes[i]!);
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
    const values = this.#values;
    if (s.kind === 'barrier') {
      return function* () {
        yield;
      };
    }
    if (s.kind === 'if') {
      const [then, otherwise] = [this.#resumable(s.then), this.#resumable(s.otherwise)];
      const condition = values.scalar(s.condition);
      return (f) => (condition(f) ? then(f) : otherwise(f));
    }
    if (s.kind === 'loop') {
      const [start, end, body] = [values.scalar(s.start), values.scalar(s.end), this.#resumable(s.body)];
      return function* (f) {
        const last = end(f);
        for (let i = start(f); i < last; i += s.step) {
          f.scalars[s.index.id] = i;
          yield* body(f);
        }
      };
    }
    if (s.kind !== 'while') throw new BitloomError('INVALID_GRAPH', `${s.kind} holds no barrier`);
    const [condition, body] = [values.scalar(s.condition), this.#resumable(s.body)];
    return function* (f) {
      while (condition(f)) yield* body(f);
    };
  }
}

function hasBarrier(s: Statement): boolean {
  if (s.kind === 'barrier') return true;
  if (s.kind === 'loop' || s.kind === 'while') return s.body.some(hasBarrier);
  return s.kind === 'if' && (s.then.some(hasBarrier) || s.otherwise.some(hasBarrier));
}
