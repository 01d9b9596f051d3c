/**
 * The kernel language: one small staged language that every hot and every generated kernel is
 * written in. TypeScript runs at compile time and emits statements over typed registers;
 * unrolling is a TypeScript loop, specialisation a TypeScript argument. Targets lower the result.
 *
 * All threads run the same kernel (SPMD) and split its work by `parallelRange`; `barrier` waits
 * for all of them. Addresses are byte offsets from a buffer's start, in scalar i32 (unsigned).
 */
import { BitloomError } from '../ir/error.ts';
import {
  add,
  type BufferParam,
  binary,
  type Expr,
  I32,
  i32,
  MEMORY_BYTES,
  type MemoryType,
  min,
  mul,
  type Operand,
  sameType,
  sub,
  type Type,
  threadCount,
  threadIndex,
} from './expression.ts';
import { checkTile, checkTileDot, type Tile, type TileDot, type TileElement, type TileStatement } from './tile.ts';

export type Variable = Expr & { kind: 'var' };

export type Statement =
  /** Gives a register its value. `let` and loop indices are assigned once, variables at will. */
  | { readonly kind: 'assign'; readonly target: Variable; readonly value: Expr }
  | {
      readonly kind: 'store';
      readonly memory: MemoryType;
      readonly buffer: BufferParam;
      readonly byteOffset: Expr;
      readonly value: Expr;
    }
  /** for (index = start; index < end; index += step), signed compare; `step` is a positive constant. */
  | {
      readonly kind: 'loop';
      readonly index: Variable;
      readonly start: Expr;
      readonly end: Expr;
      readonly step: number;
      readonly body: readonly Statement[];
    }
  | { readonly kind: 'while'; readonly condition: Expr; readonly body: readonly Statement[] }
  | {
      readonly kind: 'if';
      readonly condition: Expr;
      readonly then: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  /** A hint that the bytes at an address will be read soon. It means nothing: the address may lie in no buffer. */
  | { readonly kind: 'prefetch'; readonly buffer: BufferParam; readonly byteOffset: Expr }
  | { readonly kind: 'barrier' }
  | TileStatement;

/** A finished kernel: what targets compile and the kernel interpreter runs. */
export interface Kernel {
  /** Names the computation, its shapes and its schedule; equal names mean equal kernels. */
  readonly name: string;
  readonly lanes: number;
  /** In calling order. */
  readonly buffers: readonly BufferParam[];
  /** Register types by variable id. */
  readonly registers: readonly Type[];
  /** By tile id; none on machines without tiles. */
  readonly tiles: readonly Tile[];
  readonly body: readonly Statement[];
  /** Bytes of scratch that each thread needs (buffer index -1), 64-byte aligned. */
  readonly threadScratchBytes: number;
  /** Bytes of scratch that all threads share (buffer index -2), 64-byte aligned. */
  readonly sharedScratchBytes: number;
}

const align64 = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Builds one kernel. Create, declare buffers, emit statements, `finish`. */
export class KernelBuilder {
  readonly name: string;
  readonly lanes: number;
  readonly #buffers: BufferParam[] = [];
  readonly #registers: Type[] = [];
  readonly #tiles: Tile[] = [];
  readonly #root: Statement[] = [];
  #block: Statement[] = this.#root;
  #threadScratch = 0;
  #sharedScratch = 0;

  constructor(name: string, lanes: number) {
    this.name = name;
    this.lanes = lanes;
  }

  buffer(name: string, access: BufferParam['access']): BufferParam {
    const param = { name, access, index: this.#buffers.length };
    this.#buffers.push(param);
    return param;
  }

  /** A region private to each thread. Returns its buffer and the byte offset where the region begins. */
  threadScratch(bytes: number): { buffer: BufferParam; byteOffset: number } {
    const byteOffset = this.#threadScratch;
    this.#threadScratch += align64(bytes);
    return { buffer: { name: 'threadScratch', access: 'readwrite', index: -1 }, byteOffset };
  }

  /** A region that all threads of the kernel see; order accesses with `barrier`. */
  sharedScratch(bytes: number): { buffer: BufferParam; byteOffset: number } {
    const byteOffset = this.#sharedScratch;
    this.#sharedScratch += align64(bytes);
    return { buffer: { name: 'sharedScratch', access: 'readwrite', index: -2 }, byteOffset };
  }

  #register(type: Type): Variable {
    this.#registers.push(type);
    return { kind: 'var', type, id: this.#registers.length - 1 };
  }

  /** Binds a value to a register, so that its expression is computed once. */
  let(value: Expr): Expr {
    if (value.kind === 'const' || value.kind === 'var') return value;
    return this.variable(value);
  }

  /** A register that `set` may change. */
  variable(initial: Expr): Variable {
    const target = this.#register(initial.type);
    this.#block.push({ kind: 'assign', target, value: initial });
    return target;
  }

  set(target: Variable, value: Expr): void {
    if (!sameType(target.type, value.type)) {
      throw new BitloomError(
        'INVALID_GRAPH',
        `kernel ${this.name} assigns ${value.type.element}x${value.type.lanes} to a register of ${target.type.element}x${target.type.lanes}`,
        { kernel: this.name },
      );
    }
    this.#block.push({ kind: 'assign', target, value });
  }

  /** Loads `lanes` consecutive elements at a byte offset; narrow integers widen to i32. */
  load(buffer: BufferParam, memory: MemoryType, byteOffset: Operand, lanes = 1): Expr {
    const type = { element: memory === 'f32' ? ('f32' as const) : ('i32' as const), lanes };
    return {
      kind: 'load',
      type,
      memory,
      buffer,
      byteOffset: typeof byteOffset === 'number' ? i32(byteOffset) : byteOffset,
    };
  }

  /** Hands out consecutive elements to the lanes whose bits `mask` has; u16 ones to halves of lanes. Vectors only. */
  expand(buffer: BufferParam, memory: 'f32' | 'i32' | 'u16', byteOffset: Expr, mask: Expr): Expr {
    const type = { element: memory === 'f32' ? ('f32' as const) : ('i32' as const), lanes: this.lanes };
    return { kind: 'expand', type, memory, buffer, byteOffset, mask };
  }

  /** Loads at an element index: byte offset = index * bytes of the memory type. */
  loadAt(buffer: BufferParam, memory: MemoryType, index: Operand, lanes = 1): Expr {
    return this.load(buffer, memory, mul(index, MEMORY_BYTES[memory]), lanes);
  }

  store(buffer: BufferParam, memory: MemoryType, byteOffset: Operand, value: Expr): void {
    const offset = typeof byteOffset === 'number' ? i32(byteOffset) : byteOffset;
    this.#block.push({ kind: 'store', memory, buffer, byteOffset: offset, value });
  }

  storeAt(buffer: BufferParam, memory: MemoryType, index: Operand, value: Expr): void {
    this.store(buffer, memory, mul(index, MEMORY_BYTES[memory]), value);
  }

  /** A tile for the whole kernel. Throws INVALID_GRAPH for a ninth, and for shapes that no machine has. */
  tile(element: TileElement, rows: number, columnBytes: number): Tile {
    const tile = { id: this.#tiles.length, element, rows, columnBytes };
    checkTile(this.name, tile);
    this.#tiles.push(tile);
    return tile;
  }

  tileZero(tile: Tile): void {
    this.#block.push({ kind: 'tileZero', tile });
  }

  /** Loads rows `rowStride` bytes apart. */
  tileLoad(tile: Tile, buffer: BufferParam, byteOffset: Operand, rowStride: number): void {
    this.#moveTile('tileLoad', tile, buffer, byteOffset, rowStride);
  }

  /** Stores rows `rowStride` bytes apart. */
  tileStore(tile: Tile, buffer: BufferParam, byteOffset: Operand, rowStride: number): void {
    this.#moveTile('tileStore', tile, buffer, byteOffset, rowStride);
  }

  #moveTile(kind: 'tileLoad' | 'tileStore', tile: Tile, buffer: BufferParam, at: Operand, rowStride: number): void {
    this.#block.push({ kind, tile, buffer, byteOffset: typeof at === 'number' ? i32(at) : at, rowStride });
  }

  /** sums += a * b. Throws INVALID_GRAPH for tiles that do not fit each other. */
  tileDot(dot: TileDot, sums: Tile, a: Tile, b: Tile): void {
    checkTileDot(this.name, dot, sums, a, b);
    this.#block.push({ kind: 'tileDot', dot, sums, a, b });
  }

  #nested(body: () => void): Statement[] {
    const outer = this.#block;
    const block: Statement[] = [];
    this.#block = block;
    body();
    this.#block = outer;
    return block;
  }

  loop(start: Operand, end: Operand, step: number, body: (index: Expr) => void): void {
    const index = this.#register(I32);
    const block = this.#nested(() => body(index));
    const lift = (x: Operand): Expr => (typeof x === 'number' ? i32(x) : x);
    this.#block.push({ kind: 'loop', index, start: lift(start), end: lift(end), step, body: block });
  }

  while(condition: Expr, body: () => void): void {
    this.#block.push({ kind: 'while', condition, body: this.#nested(body) });
  }

  if(condition: Expr, then: () => void, otherwise: () => void = () => {}): void {
    this.#block.push({ kind: 'if', condition, then: this.#nested(then), otherwise: this.#nested(otherwise) });
  }

  prefetch(buffer: BufferParam, byteOffset: Expr): void {
    this.#block.push({ kind: 'prefetch', buffer, byteOffset });
  }

  barrier(): void {
    this.#block.push({ kind: 'barrier' });
  }

  /**
   * Runs `body(index, lanes)` over [start, end): first in steps of a whole vector, then one by one.
   * The body is staged twice and must be written for either width.
   */
  vectorLoop(start: Operand, end: Operand, body: (index: Expr, lanes: number) => void): void {
    const first = this.let(typeof start === 'number' ? i32(start) : start);
    const last = this.let(typeof end === 'number' ? i32(end) : end);
    const whole = binary('and', sub(last, first), -this.lanes);
    const middle = this.let(add(first, whole));
    const isConstant = first.kind === 'const' && last.kind === 'const' && middle.kind === 'const';
    if (!isConstant || middle.value > first.value) this.loop(first, middle, this.lanes, (i) => body(i, this.lanes));
    if (!isConstant || last.value > middle.value) this.loop(middle, last, 1, (i) => body(i, 1));
  }

  /** Splits [0, extent) into pieces of `grain` and gives each thread a contiguous run [begin, end). */
  parallelRange(extent: Operand, grain: number, body: (begin: Expr, end: Expr) => void): void {
    const pieces = this.let(binary('div_u', add(extent, grain - 1), grain));
    const begin = this.let(mul(binary('div_u', mul(pieces, threadIndex), threadCount), grain));
    const limit = mul(binary('div_u', mul(pieces, add(threadIndex, 1)), threadCount), grain);
    const end = this.let(min(limit, typeof extent === 'number' ? i32(extent) : extent));
    body(begin, end);
  }

  /** A loop over [0, extent) whose iterations are divided among the threads. */
  parallelLoop(extent: Operand, step: number, body: (index: Expr) => void): void {
    this.parallelRange(extent, step, (begin, end) => this.loop(begin, end, step, body));
  }

  finish(): Kernel {
    return {
      name: this.name,
      lanes: this.lanes,
      buffers: this.#buffers,
      registers: this.#registers,
      tiles: this.#tiles,
      body: this.#root,
      threadScratchBytes: this.#threadScratch,
      sharedScratchBytes: this.#sharedScratch,
    };
  }
}
