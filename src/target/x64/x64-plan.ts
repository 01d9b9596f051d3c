/** A plan made ready to run on machine code: its memory, and the table through which `run` finds it. */
import type { NativeCode, NativeFunction } from '../../platform/index.ts';
import { groupsOf, scratchOf } from '../plan-groups.ts';
import { type PlanArguments, RunnablePlan } from '../runnable-plan.ts';
import type { Plan } from '../target.ts';
import { GROUP_BYTES } from './control.ts';
import type { NativeBuffer, NativePool } from './native-pool.ts';
import { type PlanTable, tableOf } from './plan-code.ts';

/** A plan's memory: arena, scratch, counters, and the table of their addresses. */
export class X64PlanMemory implements PlanArguments<NativeBuffer> {
  readonly #buffers: NativeBuffer[] = [];
  readonly #table: PlanTable;
  readonly #words: Uint32Array;
  readonly #counters: Uint8Array;
  /** The table's address: the argument of `run`. */
  readonly address: number;
  #nRuns = 0;

  /** Throws OUT_OF_MEMORY, with nothing left allocated. */
  constructor(pool: NativePool, plan: Plan, threads: number) {
    const { threadBytes, sharedBytes } = scratchOf(plan);
    const table = tableOf(plan);
    const counterBytes = GROUP_BYTES * groupsOf(plan).length;
    try {
      for (const byteLength of [plan.arenaBytes, threadBytes * threads, sharedBytes, counterBytes, 8 * table.words])
        this.#buffers.push(pool.allocate(byteLength));
    } catch (error) {
      this.dispose();
      throw error;
    }
    const [arena, threadScratch, sharedScratch, counters, words] = this.#buffers as [
      NativeBuffer,
      NativeBuffer,
      NativeBuffer,
      NativeBuffer,
      NativeBuffer,
    ];
    this.#table = table;
    this.address = words.address;
    const bytes = words.bytes();
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, 2 * table.words).fill(0);
    this.#counters = counters.bytes();
    this.#set(table.arena, arena.address);
    this.#set(table.threadScratch, threadScratch.address);
    this.#set(table.sharedScratch, sharedScratch.address);
    this.#set(table.counters, counters.address);
    this.forgetRuns();
  }

  /** Writes a word of 64 bits. */
  #set(word: number, value: number): void {
    this.#words[2 * word] = value >>> 0;
    this.#words[2 * word + 1] = Math.floor(value / 2 ** 32);
  }

  /** Tells where the plan's `run` lies. */
  setRun(address: number): void {
    this.#set(0, address);
  }

  forgetRuns(): void {
    this.#nRuns = 0;
    this.#set(this.#table.run, 0);
    this.#counters.fill(0);
  }

  begin(args: readonly NativeBuffer[]): void {
    for (let i = 0; i < args.length; i++) this.#set(this.#table.arguments + i, args[i]!.address);
    this.choose(0, 0);
    // After all else: a thread that is late from the run before may start on this one at once.
    Atomics.store(this.#words, 2 * this.#table.run, ++this.#nRuns);
  }

  choose(from: number, to: number): void {
    Atomics.store(this.#words, 2 * this.#table.from, from);
    Atomics.store(this.#words, 2 * this.#table.to, to);
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose();
  }
}

export class X64Plan extends RunnablePlan<NativeBuffer> {
  override readonly memory: X64PlanMemory;
  /** Runs a piece of the plan as the first thread, or as the only one. */
  readonly call: NativeFunction;

  /** `forget` is called once, when the plan is disposed; after it no thread may be in the plan. */
  constructor(plan: Plan, code: NativeCode, call: NativeFunction, memory: X64PlanMemory, forget: () => void) {
    super(plan, code.byteLength, memory, () => {
      forget();
      code.dispose();
    });
    this.memory = memory;
    this.call = call;
  }
}
