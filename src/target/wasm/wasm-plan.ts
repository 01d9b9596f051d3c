/** Memory that plans and tensors own in WebAssembly's linear memory, and a plan made ready to run. */
import type { CompiledPlan, DeviceBuffer, Plan } from '../target.ts';
import type { LinearMemory } from './memory.ts';
import { scratchOf, tableOf } from './plan-module.ts';
import type { PlanExports } from './workers.ts';

/** An allocation, freed once by `dispose`. */
export class WasmBuffer implements DeviceBuffer {
  readonly byteLength: number;
  readonly address: number;
  readonly #memory: LinearMemory;
  #isDisposed = false;

  constructor(memory: LinearMemory, byteLength: number) {
    this.#memory = memory;
    this.byteLength = byteLength;
    this.address = memory.allocate(byteLength);
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#memory.free(this.address);
  }
}

/** A plan's memory: arena, scratch, and the table through which `run` finds them and its arguments. */
export class PlanMemory {
  readonly #memory: LinearMemory;
  readonly #buffers: WasmBuffer[] = [];
  readonly #tableAddress: number;
  #words: Uint32Array;

  /** Throws OUT_OF_MEMORY, with nothing left allocated. */
  constructor(memory: LinearMemory, plan: Plan, threads: number) {
    const { threadBytes, sharedBytes } = scratchOf(plan);
    const table = tableOf(plan);
    this.#memory = memory;
    const [arena, threadScratch, sharedScratch, tableAddress] = [
      plan.arenaBytes,
      threadBytes * threads,
      sharedBytes,
      table.words * 4,
    ].map((byteLength) => this.#allocate(byteLength));
    this.#tableAddress = tableAddress!;
    this.#words = new Uint32Array(memory.memory.buffer, tableAddress, table.words);
    this.#words[table.arena] = arena!;
    this.#words[table.threadScratch] = threadScratch!;
    this.#words[table.sharedScratch] = sharedScratch!;
  }

  #allocate(byteLength: number): number {
    try {
      const buffer = new WasmBuffer(this.#memory, byteLength);
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

  /** Writes the arguments' addresses into the table. */
  setArguments(args: readonly WasmBuffer[]): void {
    // Memory that is not shared gets a new ArrayBuffer when it grows; views of the old one are empty.
    if (this.#words.length === 0)
      this.#words = new Uint32Array(this.#memory.memory.buffer, this.#tableAddress, args.length);
    for (let i = 0; i < args.length; i++) this.#words[i] = args[i]!.address;
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose();
  }
}

/** A plan's code and memory. */
export class WasmPlan implements CompiledPlan {
  readonly plan: Plan;
  readonly codeBytes: number;
  readonly id: number;
  readonly exports: PlanExports;
  readonly memory: PlanMemory;
  readonly #forget: () => void;
  #isDisposed = false;

  /** `forget` is called once, when the plan is disposed. */
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
    this.#forget = forget;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.memory.dispose();
    this.#forget();
  }
}
