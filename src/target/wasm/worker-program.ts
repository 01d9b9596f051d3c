/**
 * The program of worker threads, as source text: no bundler has to find a file for it. `port` is
 * given by the platform. A worker takes plans by message, then enters a loop in which it waits for
 * jobs in shared memory, until a new epoch calls it back to its messages.
 */
import { CONTROL } from './control.ts';

/** Messages to a worker. */
export type WorkerMessage =
  | { readonly kind: 'start'; readonly memory: WebAssembly.Memory; readonly thread: number; readonly threads: number }
  | { readonly kind: 'add'; readonly plan: number; readonly module: WebAssembly.Module; readonly args: number }
  | { readonly kind: 'drop'; readonly plan: number }
  /** Enter the job loop; `job` is the last job that is not for this worker any more. */
  | { readonly kind: 'enter'; readonly job: number; readonly epoch: number; readonly tells: boolean };

/** Messages from a worker: it started, or (where it `tells`) a job ended. */
export type WorkerReply = 'started' | 'finished' | 'failed';

export const WORKER_PROGRAM = `
const at = ${JSON.stringify(CONTROL)};
const word = (address) => address >> 2;
const plans = new Map();
let memory, control, thread, threads;
let wait = waitAsleep;

// Until a plan brings a wait that spins first.
function waitAsleep(address, value) {
  Atomics.add(control, word(at.sleepers), 1);
  while (Atomics.load(control, word(address)) === value) Atomics.wait(control, word(address), value);
  Atomics.sub(control, word(at.sleepers), 1);
}

// A view made before the memory grew stays right for the control words, which lie in its first page.
function start(message) {
  ({ memory, thread, threads } = message);
  control = new Int32Array(memory.buffer, 0, 1024);
  port.postMessage('started');
}

function add({ plan, module, args }) {
  try {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    plans.set(plan, { run: exports.run, args });
    wait = exports.wait;
  } catch (error) {
    // Told when the plan runs: the caller waits for this thread then.
    plans.set(plan, { run() { throw error; }, args });
  }
}

function fail(error) {
  const text = new TextEncoder().encode(String(error && error.message || error)).subarray(0, at.failureCapacity);
  if (Atomics.compareExchange(control, word(at.aborted), 0, 1) === 0) {
    new Uint8Array(memory.buffer, at.failureText, text.length).set(text);
    Atomics.store(control, word(at.failureLength), text.length);
  }
  Atomics.add(control, word(at.generation), 1);
  Atomics.notify(control, word(at.generation));
}

function loop({ job, epoch, tells }) {
  for (let last = job; ; ) {
    wait(at.job, last);
    if (Atomics.load(control, word(at.epoch)) !== epoch) return;
    last = Atomics.load(control, word(at.job));
    let reply = 'finished';
    // First busy, then which plan: who takes a plan away first takes its number away, then waits for the busy.
    Atomics.add(control, word(at.busy), 1);
    try {
      const plan = plans.get(Atomics.load(control, word(at.plan)));
      if (plan) plan.run(plan.args, thread, threads);
    } catch (error) {
      fail(error);
      reply = 'failed';
    }
    Atomics.sub(control, word(at.busy), 1);
    if (tells) port.postMessage(reply);
  }
}

port.onmessage = ({ data }) => {
  if (data.kind === 'start') start(data);
  else if (data.kind === 'add') add(data);
  else if (data.kind === 'drop') plans.delete(data.plan);
  else loop(data);
};
`;
