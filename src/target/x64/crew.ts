/**
 * The threads that run plans together: threads of the operating system in generated code, with the caller as the first. They
 * start in microseconds and hold nothing of JavaScript's.
 */
import { BitloomError } from '../../ir/error.ts';
import type { NativeCode, NativeFunction, NativeHost, NativeMemory, NativeThread } from '../../platform/index.ts';
import type { Crew } from '../runnable-plan.ts';
import { Assembler } from './assembler/index.ts';
import { CONTROL, ControlCode, controlBytes, RESULT } from './control.ts';
import type { X64Plan } from './x64-plan.ts';

const word = (byteOffset: number): number => byteOffset >> 2;

export class NativeCrew implements Crew<X64Plan> {
  readonly threads: number;
  /** Address of the control block. */
  readonly control: number;
  /** A function of a plan's table. */
  readonly lead: NativeFunction;
  readonly #memory: NativeMemory;
  readonly #words: Int32Array;
  readonly #code: NativeCode;
  readonly #dismiss: NativeFunction;
  readonly #workers: NativeThread[] = [];

  /** Starts `threads - 1` workers. Throws NO_DEVICE where the system refuses, with none left running. */
  constructor(host: NativeHost, threads: number) {
    this.threads = threads;
    this.#memory = host.allocate(controlBytes(threads));
    this.control = this.#memory.address;
    this.#words = new Int32Array(this.#memory.bytes.buffer, this.#memory.bytes.byteOffset, word(controlBytes(threads)));
    const out = new Assembler();
    const [worker, lead, dismiss] = [out.label('worker'), out.label('lead'), out.label('dismiss')];
    const routines = new ControlCode(out, host, this.control);
    routines.writeWorker(worker, threads);
    routines.writeLead(lead, threads);
    routines.writeDismiss(dismiss);
    this.#code = host.mapCode(out.finish());
    const address = (label: typeof worker): number => this.#code.address + out.offsetOf(label);
    this.lead = host.function(address(lead), 1);
    this.#dismiss = host.function(address(dismiss), 0);
    try {
      for (let thread = 1; thread < threads; thread++) this.#workers.push(host.startThread(address(worker), thread));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Throws NO_DEVICE once a worker ended. */
  runPiece(plan: X64Plan): Promise<void> | void {
    const result = plan.call(plan.memory.address);
    if (result !== RESULT.done) return this.#waitLong(plan, result);
  }

  /** Goes on waiting for others who take very long, with the event loop's turn in between. */
  async #waitLong(plan: X64Plan, first: number): Promise<void> {
    for (let result = first; result !== RESULT.done; result = plan.call(plan.memory.address)) {
      if (result === RESULT.lost) {
        throw new BitloomError(
          'NO_DEVICE',
          'a worker thread of the x64 device ended while a plan ran; dispose what runs on this device and begin anew',
        );
      }
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  leave(plan: X64Plan): void {
    this.forget(plan.memory.address);
  }

  /** Takes a plan's table from the workers; returns when none is in it. */
  forget(table: number): void {
    const words = this.#words;
    const place = word(CONTROL.plan);
    const [low, high] = [table >>> 0, Math.floor(table / 2 ** 32)];
    if (words[place]! >>> 0 === low && words[place + 1] === high) {
      Atomics.store(words, place, 0);
      Atomics.store(words, place + 1, 0);
    }
    while (Atomics.load(words, word(CONTROL.busy)) > 0 && Atomics.load(words, word(CONTROL.ended)) === 0) {
      // Short: a worker that is still in a plan of the past finds no work in it.
    }
  }

  /** Ends the workers. */
  dispose(): void {
    this.#dismiss();
    for (const worker of this.#workers) worker.join();
    this.#workers.length = 0;
    this.#code.dispose();
    this.#memory.dispose();
  }
}
