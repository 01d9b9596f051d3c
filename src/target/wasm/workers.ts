/**
 * The threads that run plans together. Where the caller may block it is thread 0 and works along; a
 * page's main thread may not, so there all threads are workers and the first tells when a job ends.
 */
import { BitloomError } from '../../ir/error.ts';
import type { HostThread, WasmHost } from '../../platform/index.ts';
import type { Crew } from '../runnable-plan.ts';
import type { Pause } from '../target.ts';
import { CONTROL } from './control.ts';
import type { WasmBuffer, WasmPlan } from './wasm-plan.ts';
import { threadProgram, type WorkerMessage, type WorkerReply } from './worker-program.ts';

/** What a plan's module exports to the calling thread. */
export interface PlanExports {
  /** Returns 0, or 1 to the first thread where others take very long: it is to be called again. */
  run(args: number, thread: number, threads: number): number;
}

const word = (address: number): number => address >> 2;

export class Workers implements Crew<WasmPlan> {
  /** Threads that run a plan, the caller included where it works along. */
  readonly threads: number;
  readonly #host: WasmHost;
  readonly #memory: WebAssembly.Memory;
  readonly #control: Int32Array;
  readonly #callerWorks: boolean;
  readonly #workers: HostThread[] = [];
  readonly #started: Promise<unknown>;
  #startFailure: unknown;
  /** Set once a thread died: work that it had is not done, so nothing runs any more. */
  #loss: BitloomError | undefined;
  #isInLoop = false;
  /** The last job where callers do not wait by themselves: jobs run one after the other. */
  #lastJob: Promise<unknown> = Promise.resolve();

  /** Starts the threads; `started` waits for them. */
  constructor(host: WasmHost, memory: WebAssembly.Memory, threads: number) {
    this.threads = threads;
    this.#host = host;
    this.#memory = memory;
    this.#control = new Int32Array(memory.buffer, 0, 1024);
    this.#callerWorks = host.mayBlock();
    this.#started = Promise.all(this.#startAll());
    this.#started.catch((failure: unknown) => {
      this.#startFailure = failure; // reported by `ready`, whenever it is asked
    });
  }

  #startAll(): Promise<unknown>[] {
    const ready: Promise<unknown>[] = [];
    for (let thread = this.#callerWorks ? 1 : 0; thread < this.threads; thread++) {
      const worker = this.#host.startThread(threadProgram, `bitloom-thread-${thread}`);
      ready.push(worker.receive());
      worker.onEnd((why) => this.#lose(thread, why));
      this.#workers.push(worker);
      this.#post(worker, { kind: 'start', memory: this.#memory, thread, threads: this.threads, at: CONTROL });
    }
    return ready;
  }

  /**
   * Resolves when plans can run: where the caller works along, it can begin before the others are up,
   * unless `all` must be. Throws NO_DEVICE when a thread could not be started.
   */
  async ready(all: boolean): Promise<void> {
    if (all || !this.#callerWorks) await this.#started.catch(() => {});
    if (this.#startFailure === undefined) return;
    const cause = this.#startFailure as Error;
    throw new BitloomError(
      'NO_DEVICE',
      `a worker thread did not start: ${cause.message}. Try threads: 1.`,
      {},
      { cause },
    );
  }

  #lose(thread: number, cause: Error): void {
    const message = `worker thread ${thread} ended: ${cause.message}; dispose what runs on this device and begin anew`;
    this.#loss ??= new BitloomError('NO_DEVICE', message, { thread }, { cause });
    this.#trapWaiters();
  }

  /** Lets all threads trap where they next wait. */
  #trapWaiters(): void {
    const control = this.#control;
    Atomics.store(control, word(CONTROL.aborted), 1);
    Atomics.add(control, word(CONTROL.generation), 1);
    Atomics.notify(control, word(CONTROL.generation));
  }

  #post(worker: HostThread, message: WorkerMessage): void {
    worker.post(message);
  }

  /** Calls the workers back to their messages, and sends one. */
  #tell(message: WorkerMessage): void {
    if (this.#isInLoop) {
      Atomics.add(this.#control, word(CONTROL.epoch), 1);
      this.#wakeForJob();
      this.#isInLoop = false;
    }
    for (const worker of this.#workers) this.#post(worker, message);
  }

  #wakeForJob(): void {
    Atomics.add(this.#control, word(CONTROL.job), 1);
    if (Atomics.load(this.#control, word(CONTROL.sleepers)) > 0) Atomics.notify(this.#control, word(CONTROL.job));
  }

  /** Gives all workers a plan's module. `args` is the address of its table. */
  add(plan: number, module: WebAssembly.Module, args: number): void {
    this.#tell({ kind: 'add', plan, module, args });
  }

  /** Takes a plan from all workers; returns when none is in it. */
  drop(plan: number): void {
    this.#leave(plan);
    this.#tell({ kind: 'drop', plan });
  }

  leave({ id }: WasmPlan): void {
    this.#leave(id);
  }

  #leave(plan: number): void {
    const control = this.#control;
    Atomics.compareExchange(control, word(CONTROL.plan), plan, 0);
    while (this.#isBusy() && !this.#loss) {
      // Short: a worker that is still in a plan of the past finds no work in it.
    }
  }

  /**
   * Runs a plan on all threads, to its end. Where the caller works along, it runs while this is called and
   * between pauses. Throws INVALID_GRAPH when generated code traps in any thread; the threads can be used again.
   * Throws NO_DEVICE once a thread died.
   */
  run(plan: WasmPlan, args: readonly WasmBuffer[], pause?: Pause): Promise<void> {
    if (this.#callerWorks) return plan.run(args, this, pause);
    const job = this.#lastJob.then(() => plan.run(args, this, pause));
    this.#lastJob = job.catch(() => {});
    return job;
  }

  runPiece(plan: WasmPlan): Promise<void> | void {
    if (this.#loss) throw this.#loss;
    this.#enterLoop();
    Atomics.store(this.#control, word(CONTROL.plan), plan.id);
    return this.#callerWorks ? this.#runAlong(plan) : this.#runInWorkers();
  }

  #enterLoop(): void {
    if (this.#isInLoop) return;
    const job = Atomics.load(this.#control, word(CONTROL.job));
    const epoch = Atomics.load(this.#control, word(CONTROL.epoch));
    this.#isInLoop = true;
    this.#workers.forEach((worker, i) => {
      this.#post(worker, { kind: 'enter', job, epoch, tells: !this.#callerWorks && i === 0 });
    });
  }

  #runAlong(plan: WasmPlan): Promise<void> | void {
    this.#wakeForJob();
    if (this.#callPlan(plan) !== 0) return this.#waitLong(plan);
  }

  #callPlan({ exports, memory }: WasmPlan): number {
    try {
      return exports.run(memory.address, 0, this.threads);
    } catch (cause) {
      const control = this.#control;
      this.#trapWaiters();
      while (this.#isBusy()) Atomics.wait(control, word(CONTROL.busy), Atomics.load(control, word(CONTROL.busy)), 1);
      return this.#throwFailure(cause);
    }
  }

  /** Goes on waiting for others who take very long, and hears in between whether one died. */
  async #waitLong(plan: WasmPlan): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve));
      if (this.#loss) throw this.#loss;
    } while (this.#callPlan(plan) !== 0);
  }

  async #runInWorkers(): Promise<void> {
    const reply = this.#workers[0]!.receive().catch(() => 'failed') as Promise<WorkerReply>;
    this.#wakeForJob();
    if ((await reply) !== 'failed') return;
    // The others trap where they next wait; let them, without blocking the page.
    while (this.#isBusy() && !this.#loss) await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.#loss) throw this.#loss;
    this.#throwFailure(undefined);
  }

  #isBusy(): boolean {
    return Atomics.load(this.#control, word(CONTROL.busy)) > 0;
  }

  #throwFailure(cause: unknown): never {
    const control = this.#control;
    const length = Atomics.exchange(control, word(CONTROL.failureLength), 0);
    const text = new TextDecoder().decode(new Uint8Array(this.#memory.buffer, CONTROL.failureText, length).slice());
    Atomics.store(control, word(CONTROL.arrived), 0);
    Atomics.store(control, word(CONTROL.aborted), 0);
    const why = text || (cause instanceof Error ? cause.message : String(cause));
    throw new BitloomError('INVALID_GRAPH', `generated code failed: ${why}`, { why }, { cause });
  }

  /** Ends the threads. */
  dispose(): void {
    for (const worker of this.#workers) worker.terminate();
    this.#workers.length = 0;
  }
}
