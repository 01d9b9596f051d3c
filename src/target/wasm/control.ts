/**
 * The words in shared memory by which threads meet, and the code that waits on them: first by
 * spinning, then asleep. A meeting costs 0.3 us while both spin; waking a sleeper 10 to 30 us.
 */
import type { FunctionBuilder, ModuleBuilder } from './encoder.ts';

/** Byte addresses. Words that different threads write lie on cache lines of their own. */
export const CONTROL = {
  /** Threads that reached the current barrier. */
  arrived: 64,
  /** Grows by one as a barrier opens. */
  generation: 128,
  /** Threads that sleep, or are about to. */
  sleepers: 192,
  /** 1 once a thread failed: barriers then trap instead of waiting for it. */
  aborted: 256,
  /** Grows by one with each job; workers wait for it to change. */
  job: 320,
  /** The plan that the current job runs. */
  plan: 384,
  /** Grows by one to call workers back to their messages. */
  epoch: 448,
  /** Plans that workers finished or failed in, all workers together. */
  returned: 512,
  /** Length of the first failure's text, then the text. */
  failureLength: 576,
  failureText: 580,
  failureCapacity: 1024,
} as const;

/**
 * Iterations of the spinning part: some 50 us at half a nanosecond each. Steps of a plan differ less
 * between threads; between plans the caller computes longer, and a spinning core is taken from others.
 */
const SPINS = 100_000;

/** Adds `wait(address, value)`: returns once the word at `address` is not `value`. */
export function addWait(module: ModuleBuilder): FunctionBuilder {
  const f = module.function('wait', ['i32', 'i32']);
  const [address, value] = [0, 1];
  const spins = f.local('i32');
  const isSame = () => f.get(address).op('i32.atomic.load').get(value).op('i32.eq');
  const changed = f.block();
  f.i32(SPINS).set(spins);
  const spin = f.loop();
  isSame().op('i32.eqz').brIf(changed);
  f.get(spins).i32(1).op('i32.sub').tee(spins).brIf(spin).end();
  // The waker changes the word before it reads `sleepers`, so one of the two sees the other.
  f.i32(0).i32(1).op('i32.atomic.rmw.add', CONTROL.sleepers).drop();
  const sleep = f.loop();
  f.get(address).get(value).i64(-1n).op('memory.atomic.wait32').drop();
  isSame().brIf(sleep).end();
  f.i32(0).i32(1).op('i32.atomic.rmw.sub', CONTROL.sleepers).drop();
  f.end();
  return f;
}

/** Adds `barrier(threads)`: returns when that many have called it; traps once a thread has failed. */
export function addBarrier(module: ModuleBuilder, wait: FunctionBuilder): FunctionBuilder {
  const f = module.function('barrier', ['i32']);
  const generation = f.local('i32');
  const trapIfAborted = () => {
    f.i32(0).op('i32.atomic.load', CONTROL.aborted).if();
    f.op('unreachable').end();
  };
  f.i32(0).op('i32.atomic.load', CONTROL.generation).set(generation);
  trapIfAborted();
  f.i32(0).i32(1).op('i32.atomic.rmw.add', CONTROL.arrived).i32(1).op('i32.add').get(0).op('i32.eq').if();
  f.i32(0).i32(0).op('i32.atomic.store', CONTROL.arrived);
  f.i32(0).i32(1).op('i32.atomic.rmw.add', CONTROL.generation).drop();
  f.i32(0).op('i32.atomic.load', CONTROL.sleepers).if();
  f.i32(0).i32(-1).op('memory.atomic.notify', CONTROL.generation).drop().end();
  f.else();
  f.i32(CONTROL.generation).get(generation).call(wait.index);
  trapIfAborted();
  f.end();
  return f;
}
