/**
 * The program of worker threads: a function that refers to nothing outside itself, so that its text is a whole
 * program too, and no bundler has to find a file for it. A worker takes plans by message, then enters a loop in
 * which it waits for jobs in shared memory, until a new epoch calls it back to its messages.
 */
import type { ThreadPort } from '../../platform/index.ts';
import type { CONTROL } from './control.ts';

/** Messages to a worker. */
export type WorkerMessage =
  | {
      readonly kind: 'start';
      readonly memory: WebAssembly.Memory;
      readonly thread: number;
      readonly threads: number;
      /** Where the control words lie. */
      readonly at: typeof CONTROL;
    }
  | { readonly kind: 'add'; readonly plan: number; readonly module: WebAssembly.Module; readonly args: number }
  | { readonly kind: 'drop'; readonly plan: number }
  /** Enter the job loop; `job` is the last job that is not for this worker any more. */
  | { readonly kind: 'enter'; readonly job: number; readonly epoch: number; readonly tells: boolean };

/** Messages from a worker: it started, or (where it `tells`) a job ended. */
export type WorkerReply = 'started' | 'finished' | 'failed';

type Message<K extends WorkerMessage['kind']> = Extract<WorkerMessage, { kind: K }>;

/** Serves one thread on `port`. Self-contained: its text runs alone. */
export function threadProgram(port: ThreadPort): void {
  interface Part {
    run(args: number, thread: number, threads: number): number;
    readonly args: number;
  }
  const word = (address: number): number => address >> 2;
  const plans = new Map<number, Part>();
  let memory: WebAssembly.Memory;
  let control: Int32Array;
  let thread: number;
  let threads: number;
  let at: typeof CONTROL;
  let wait = waitAsleep;

  // Until a plan brings a wait that spins first.
  function waitAsleep(address: number, value: number): void {
    Atomics.add(control, word(at.sleepers), 1);
    while (Atomics.load(control, word(address)) === value) Atomics.wait(control, word(address), value);
    Atomics.sub(control, word(at.sleepers), 1);
  }

  // A view made before the memory grew stays right for the control words, which lie in its first page.
  function start(message: Message<'start'>): void {
    ({ memory, thread, threads, at } = message);
    control = new Int32Array(memory.buffer, 0, 1024);
    port.postMessage('started' satisfies WorkerReply);
  }

  function add({ plan, module, args }: Message<'add'>): void {
    try {
      const { exports } = new WebAssembly.Instance(module, { env: { memory } });
      plans.set(plan, { run: exports.run as Part['run'], args });
      wait = exports.wait as typeof waitAsleep;
    } catch (error) {
      // Told when the plan runs: the caller waits for this thread then.
      const run = (): never => {
        throw error;
      };
      plans.set(plan, { run, args });
    }
  }

  function fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const text = new TextEncoder().encode(message).subarray(0, at.failureCapacity);
    if (Atomics.compareExchange(control, word(at.aborted), 0, 1) === 0) {
      new Uint8Array(memory.buffer, at.failureText, text.length).set(text);
      Atomics.store(control, word(at.failureLength), text.length);
    }
    Atomics.add(control, word(at.generation), 1);
    Atomics.notify(control, word(at.generation));
  }

  function loop({ job, epoch, tells }: Message<'enter'>): void {
    for (let last = job; ; ) {
      wait(at.job, last);
      if (Atomics.load(control, word(at.epoch)) !== epoch) return;
      last = Atomics.load(control, word(at.job));
      let reply: WorkerReply = 'finished';
      // First busy, then which plan: who takes a plan away first takes its number away, then waits for the busy.
      Atomics.add(control, word(at.busy), 1);
      try {
        const plan = plans.get(Atomics.load(control, word(at.plan)));
        while (plan?.run(plan.args, thread, threads)) {
          // Others take very long.
        }
      } catch (error) {
        fail(error);
        reply = 'failed';
      }
      Atomics.sub(control, word(at.busy), 1);
      if (tells) port.postMessage(reply);
    }
  }

  port.onmessage = ({ data }) => {
    const message = data as WorkerMessage;
    if (message.kind === 'start') start(message);
    else if (message.kind === 'add') add(message);
    else if (message.kind === 'drop') plans.delete(message.plan);
    else loop(message);
  };
}
