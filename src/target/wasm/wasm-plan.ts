/** Memory that plans and tensors own in WebAssembly's linear memory, and a plan made ready to run. */
import { groupsOf, scratchOf } from '../plan-groups.ts';
import { type PlanArguments, RunnablePlan } from '../runnable-plan.ts';
import { checkWindow, type DeviceBuffer, type Plan } from '../target.ts';
import { GROUP_BYTES } from './control.ts';
import type { LinearMemory } from './memory.ts';
import { type PlanTable, tableOf } from './plan-module.ts';
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
export class PlanMemory implements PlanArguments<WasmBuffer> {
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

/** A plan's code and memory. */
export class WasmPlan extends RunnablePlan<WasmBuffer> {
  readonly id: number;
  readonly exports: PlanExports;
  override readonly memory: PlanMemory;

  /** `forget` is called once, when the plan is disposed; after it no thread may be in the plan. */
  constructor(
    plan: Plan,
    id: number,
    code: { readonly bytes: number; readonly exports: PlanExports },
    memory: PlanMemory,
    forget: () => void,
  ) {
    super(plan, code.bytes, memory, forget);
    this.memory = memory;
    this.id = id;
    this.exports = code.exports;
  }
}
