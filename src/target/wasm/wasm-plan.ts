/** Memory that plans and tensors own in WebAssembly's linear memory, and a plan made ready to run. */
import { BitloomError } from '../../ir/error.ts';
import { type CompiledPlan, checkWindow, type DeviceBuffer, type Pause, type Plan } from '../target.ts';
import { GROUP_BYTES } from './control.ts';
import type { LinearMemory } from './memory.ts';
import { Pace } from './pace.ts';
import { groupsOf, type PlanTable, scratchOf, tableOf } from './plan-module.ts';
import type { PlanExports } from './workers.ts';

/** An allocation, freed once by `dispose`, or a window of one. */
export class WasmBuffer implements DeviceBuffer {
  readonly byteLength: number;
  readonly address: number;
  readonly #whole: WasmBuffer | undefined;
  readonly #free: () => void;
  #isDisposed = false;

  private constructor(address: number, byteLength: number, free: () => void, whole?: WasmBuffer) {
    this.address = address;
    this.byteLength = byteLength;
    this.#free = free;
    this.#whole = whole;
  }

  /** Throws OUT_OF_MEMORY. */
  static allocate(memory: LinearMemory, byteLength: number): WasmBuffer {
    const address = memory.allocate(byteLength);
    return new WasmBuffer(address, byteLength, () => memory.free(address));
  }

  get isDisposed(): boolean {
    return this.#isDisposed || (this.#whole?.isDisposed ?? false);
  }

  slice(byteOffset: number, byteLength: number): WasmBuffer {
    checkWindow(this, byteOffset, byteLength);
    return new WasmBuffer(this.address + byteOffset, byteLength, () => {}, this);
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#free();
  }
}

/** A plan's memory: arena, scratch, and the table through which `run` finds them and its arguments. */
export class PlanMemory {
  readonly #memory: LinearMemory;
  readonly #buffers: WasmBuffer[] = [];
  readonly #table: PlanTable;
  readonly #tableAddress: number;
  readonly #countersAddress: number;
  readonly #counterWords: number;
  #words: Uint32Array;
  #nRuns = 0;

  /** Throws OUT_OF_MEMORY, with nothing left allocated. */
  constructor(memory: LinearMemory, plan: Plan, threads: number) {
    const { threadBytes, sharedBytes } = scratchOf(plan);
    const table = tableOf(plan);
    this.#memory = memory;
    const counterBytes = GROUP_BYTES * groupsOf(plan).length;
    const [arena, threadScratch, sharedScratch, counters, tableAddress] = [
      plan.arenaBytes,
      threadBytes * threads,
      sharedBytes,
      counterBytes,
      table.words * 4,
    ].map((byteLength) => this.#allocate(byteLength)) as [number, number, number, number, number];
    this.#table = table;
    this.#tableAddress = tableAddress;
    this.#countersAddress = counters;
    this.#counterWords = counterBytes / 4;
    this.#words = new Uint32Array(memory.memory.buffer, tableAddress, table.words);
    this.#words[table.arena] = arena;
    this.#words[table.threadScratch] = threadScratch;
    this.#words[table.sharedScratch] = sharedScratch;
    this.#words[table.counters] = counters;
    this.forgetRuns();
  }

  /** Sets the counters back to none: at first, and after a run that failed half way. No thread may be in the plan. */
  forgetRuns(): void {
    this.#nRuns = 0;
    Atomics.store(this.#words, this.#table.run, 0);
    new Uint32Array(this.#memory.memory.buffer, this.#countersAddress, this.#counterWords).fill(0);
  }

  #allocate(byteLength: number): number {
    try {
      const buffer = WasmBuffer.allocate(this.#memory, byteLength);
      this.#buffers.push(buffer);
      return buffer.address;
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** The argument of the plan's `run`. */
  get address(): number {
    return this.#tableAddress;
  }

  /** Begins a run: writes the arguments' addresses and the run's number into the table. */
  begin(args: readonly WasmBuffer[]): void {
    const words = this.#view();
    for (let i = 0; i < args.length; i++) words[i] = args[i]!.address;
    this.choose(0, 0);
    // After all else: a thread that is late from the run before may start on this one at once.
    Atomics.store(words, this.#table.run, ++this.#nRuns);
  }

  /** Says which groups of steps run next. */
  choose(from: number, to: number): void {
    const words = this.#view();
    Atomics.store(words, this.#table.from, from);
    Atomics.store(words, this.#table.to, to);
  }

  /** Memory that is not shared gets a new ArrayBuffer when it grows; views of the old one are empty. */
  #view(): Uint32Array {
    if (this.#words.length === 0)
      this.#words = new Uint32Array(this.#memory.memory.buffer, this.#tableAddress, this.#table.words);
    return this.#words;
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose();
  }
}

/** The threads that run plans. */
export interface Crew {
  /** Runs the groups of steps that the plan's memory names. */
  runPiece(plan: WasmPlan): Promise<void> | void;
  /** Returns when no thread is in a plan, nor will look into it. */
  leave(plan: number): void;
}

/** A plan's code and memory. */
export class WasmPlan implements CompiledPlan {
  readonly plan: Plan;
  readonly codeBytes: number;
  readonly id: number;
  readonly exports: PlanExports;
  readonly memory: PlanMemory;
  readonly #nGroups: number;
  readonly #pace: Pace;
  readonly #forget: () => void;
  #isRunning = false;
  #isDisposed = false;

  /** `forget` is called once, when the plan is disposed; after it no thread may be in the plan. */
  constructor(
    plan: Plan,
    id: number,
    code: { readonly bytes: number; readonly exports: PlanExports },
    memory: PlanMemory,
    forget: () => void,
  ) {
    this.plan = plan;
    this.id = id;
    this.codeBytes = code.bytes;
    this.exports = code.exports;
    this.memory = memory;
    this.#nGroups = groupsOf(plan).length;
    this.#pace = new Pace(this.#nGroups);
    this.#forget = forget;
  }

  /**
   * Runs all groups of steps: at once, or in pieces with pauses between them. Throws what `pause` throws, and
   * DISPOSED or INVALID_ARGUMENT where a pause was used to dispose the plan or to run it again.
   */
  async run(args: readonly WasmBuffer[], crew: Crew, pause?: Pause): Promise<void> {
    const { name } = this.plan;
    if (this.#isRunning)
      throw new BitloomError('INVALID_ARGUMENT', `plan ${name} is running; await that run before the next`);
    this.#isRunning = true;
    try {
      this.memory.begin(args);
      for (let from = 0; from < this.#nGroups; ) {
        const to = pause ? this.#pace.end(from) : this.#nGroups;
        this.memory.choose(from, to);
        const began = performance.now();
        await crew.runPiece(this);
        this.#pace.took(to - from, performance.now() - began);
        from = to;
        if (from < this.#nGroups) await pause?.();
        if (this.#isDisposed) throw new BitloomError('DISPOSED', `plan ${name} was disposed while it ran`);
      }
    } catch (error) {
      if (!this.#isDisposed) {
        crew.leave(this.id);
        this.memory.forgetRuns(); // counters of groups that did not run lag behind the others'
      }
      throw error;
    } finally {
      this.#isRunning = false;
    }
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#forget();
    this.memory.dispose();
  }
}
