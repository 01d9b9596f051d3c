/**
 * The words in shared memory by which threads share work and meet, and the code around them. A thread
 * waits first by spinning, then asleep: a meeting costs 0.3 us while both spin, waking a sleeper 10 to 30 us.
 *
 * A plan's steps between two barriers are a group, cut into parts. Threads claim parts one by one, and a
 * group is done when its parts are: a thread that the system keeps from running holds nobody up. Each group
 * has two counters that only grow, so nothing is reset between runs: in run number n of a plan, parts are
 * the counts from (n - 1) * parts on, and all are done at n * parts.
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
  /** The plan that the current job runs; 0 where it is gone. */
  plan: 384,
  /** Grows by one to call workers back to their messages. */
  epoch: 448,
  /** Workers that are inside a plan, or about to look which one is to be run. */
  busy: 512,
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

/** Parts of a group's work for each thread: more even out threads that run at unequal speed. */
export const PARTS_PER_THREAD = 2;

/** Bytes from one group's counters to the next's: parts claimed, and `DONE` bytes on parts done. */
export const GROUP_BYTES = 64;
export const DONE = 4;

/** A sleeper looks this often whether a thread failed, which nobody wakes it for. */
const SLEEP_NS = 5_000_000n;

/** After so many looks the first thread goes back to its caller, who hears there whether a thread died, and comes again. */
const PATIENCE = 200;

/** Adds `claim(counters, first, parts)`: the next part that nobody has, or -1. `first`: the count before this run. */
export function addClaim(module: ModuleBuilder): FunctionBuilder {
  const f = module.function('claim', ['i32', 'i32', 'i32'], ['i32']);
  const [counters, first, parts] = [0, 1, 2];
  const count = f.local('i32');
  const again = f.loop();
  f.get(counters).op('i32.atomic.load').tee(count).get(first).op('i32.sub').get(parts).op('i32.ge_u').if();
  f.i32(-1).return().end();
  f.get(counters).get(count).get(count).i32(1).op('i32.add').op('i32.atomic.rmw.cmpxchg');
  f.get(count).op('i32.ne').brIf(again).end();
  f.get(count).get(first).op('i32.sub');
  return f;
}

/** Adds `finish(counters, parts)`: counts parts as done and wakes those who wait for them. */
export function addFinish(module: ModuleBuilder): FunctionBuilder {
  const f = module.function('finish', ['i32', 'i32']);
  const [counters, parts] = [0, 1];
  f.get(counters).get(parts).op('i32.atomic.rmw.add', DONE).drop();
  f.i32(0).op('i32.atomic.load', CONTROL.sleepers).if();
  f.get(counters).i32(-1).op('memory.atomic.notify', DONE).drop().end();
  return f;
}

/**
 * Adds `join(counters, last)`: returns 1 when `last` parts are done, or 0 when that takes very long; traps once a
 * thread has failed.
 */
export function addJoin(module: ModuleBuilder): FunctionBuilder {
  const f = module.function('join', ['i32', 'i32'], ['i32']);
  const [counters, last] = [0, 1];
  const [spins, done, looks] = [f.local('i32'), f.local('i32'), f.local('i32')];
  const finished = f.block();
  const leaveIfDone = () =>
    f.get(counters).op('i32.atomic.load', DONE).tee(done).get(last).op('i32.sub').i32(0).op('i32.ge_s').brIf(finished);
  f.i32(SPINS).set(spins);
  const spin = f.loop();
  leaveIfDone();
  f.get(spins).i32(1).op('i32.sub').tee(spins).brIf(spin).end();
  f.i32(0).i32(1).op('i32.atomic.rmw.add', CONTROL.sleepers).drop();
  const asleep = f.block();
  const sleep = f.loop();
  f.get(counters).op('i32.atomic.load', DONE).tee(done).get(last).op('i32.sub').i32(0).op('i32.ge_s').brIf(asleep);
  f.i32(0).op('i32.atomic.load', CONTROL.aborted).if();
  f.i32(0).i32(1).op('i32.atomic.rmw.sub', CONTROL.sleepers).drop().op('unreachable').end();
  f.get(counters).get(done).i64(SLEEP_NS).op('memory.atomic.wait32', DONE).drop();
  f.get(looks).i32(1).op('i32.add').tee(looks).i32(PATIENCE).op('i32.lt_s').brIf(sleep).end();
  f.i32(0).i32(1).op('i32.atomic.rmw.sub', CONTROL.sleepers).drop().i32(0).return();
  f.end();
  f.i32(0).i32(1).op('i32.atomic.rmw.sub', CONTROL.sleepers).drop();
  f.end().i32(1);
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
