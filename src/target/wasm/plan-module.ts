/**
 * Assembles a plan into one module: its distinct kernels, and `run(args, thread, threads)`, which all
 * threads execute: group after group of kernel calls, whose parts they share. `args` is the address of a table,
 * which also says which groups to run: a long plan runs in pieces, with pauses between them. It returns 0, or 1 to
 * the first thread where others let it wait very long: called again, it goes on waiting.
 */
import { BitloomError } from '../../ir/error.ts';
import { groupsOf, meetsInside, scratchOf } from '../plan-groups.ts';
import type { Plan, PlanStep } from '../target.ts';
import { addBarrier, addClaim, addFinish, addJoin, addWait, DONE, GROUP_BYTES, PARTS_PER_THREAD } from './control.ts';
import { type FunctionBuilder, ModuleBuilder } from './encoder.ts';
import type { CodeFeatures } from './expression-code.ts';
import { lowerKernel } from './lower.ts';

/** The table behind `args`, in words of 4 bytes: the arguments' addresses, then these. */
export interface PlanTable {
  readonly arena: number;
  readonly threadScratch: number;
  readonly sharedScratch: number;
  /** Address of the groups' counters. */
  readonly counters: number;
  /** The groups of steps to run now: number of the first, and of the one after the last. */
  readonly from: number;
  readonly to: number;
  /** Number of this run of the plan, from 1 on. Read before `from`, written after it. */
  readonly run: number;
  readonly words: number;
}

export const tableOf = ({ argumentCount }: Plan): PlanTable => ({
  arena: argumentCount,
  threadScratch: argumentCount + 1,
  sharedScratch: argumentCount + 2,
  counters: argumentCount + 3,
  from: argumentCount + 4,
  to: argumentCount + 5,
  run: argumentCount + 6,
  words: argumentCount + 7,
});

/**
 * Bytes of the module. It imports `env.memory` and exports `run`, and `wait` where memory is shared.
 * Throws INVALID_GRAPH for a step whose slots do not fit its kernel.
 */
export function planModule(plan: Plan, features: CodeFeatures, isShared: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const limits = { initialPages: 1, maximumPages: 65_536, shared: isShared };
  module.importMemory('env', 'memory', isShared ? limits : { initialPages: 1 });
  const meeting = isShared ? addMeeting(module) : undefined;
  const barrier = meeting?.barrier ?? module.function('barrier', ['i32']);
  const kernels = new Map<string, FunctionBuilder>();
  for (const { kernel } of plan.steps) {
    if (!kernels.has(kernel.name)) kernels.set(kernel.name, lowerKernel(module, kernel, features, barrier.index));
  }
  const run = module.function('run', ['i32', 'i32', 'i32'], ['i32']);
  new RunCode(run, plan, kernels).emit(meeting);
  module.exportFunction('run', run);
  return module.bytes();
}

/** The functions by which threads share work. */
interface Meeting {
  readonly barrier: FunctionBuilder;
  readonly claim: FunctionBuilder;
  readonly finish: FunctionBuilder;
  readonly join: FunctionBuilder;
}

function addMeeting(module: ModuleBuilder): Meeting {
  const wait = addWait(module);
  module.exportFunction('wait', wait);
  return {
    barrier: addBarrier(module, wait),
    claim: addClaim(module),
    finish: addFinish(module),
    join: addJoin(module),
  };
}

/** Parameters of `run`. */
const [ARGS, THREAD, THREADS] = [0, 1, 2];

class RunCode {
  readonly #code: FunctionBuilder;
  readonly #plan: Plan;
  readonly #table: PlanTable;
  readonly #threadBytes: number;
  readonly #kernels: ReadonlyMap<string, FunctionBuilder>;

  constructor(code: FunctionBuilder, plan: Plan, kernels: ReadonlyMap<string, FunctionBuilder>) {
    this.#code = code;
    this.#plan = plan;
    this.#table = tableOf(plan);
    this.#threadBytes = scratchOf(plan).threadBytes;
    this.#kernels = kernels;
  }

  /** Without a meeting there is one thread, which runs everything. */
  emit(meeting: Meeting | undefined): void {
    const word = meeting ? 'i32.atomic.load' : 'i32.load';
    const share = meeting && this.#share(meeting);
    const [from, count] = [this.#code.local('i32'), this.#code.local('i32')];
    const f = this.#code;
    f.get(ARGS)
      .op(word, 4 * this.#table.from)
      .set(from);
    f.get(ARGS)
      .op(word, 4 * this.#table.to)
      .get(from)
      .op('i32.sub')
      .set(count);
    // A late thread may read an old `to`: then there is nothing to do, and the count is negative.
    f.get(count).i32(0).op('i32.lt_s').if();
    f.i32(0).set(count).end();
    for (const [i, group] of groupsOf(this.#plan).entries()) {
      f.i32(i).get(from).op('i32.sub').get(count).op('i32.lt_u').if();
      if (share) share(i, group);
      else for (const step of group) this.#call(step, THREAD, THREADS);
      f.end();
    }
    f.i32(0);
  }

  /** Begins the code by which threads share a run; returns what adds the code of one group. */
  #share({ claim, finish, join }: Meeting): (number: number, group: readonly PlanStep[]) => void {
    const f = this.#code;
    const [counters, parts, first, last, part] = Array.from({ length: 5 }, () => f.local('i32')) as [
      number,
      number,
      number,
      number,
      number,
    ];
    f.get(THREADS).i32(PARTS_PER_THREAD).op('i32.mul').set(parts);
    f.get(ARGS)
      .op('i32.atomic.load', 4 * this.#table.run)
      .get(parts)
      .op('i32.mul')
      .tee(last);
    f.get(parts).op('i32.sub').set(first);
    return (number, group) => {
      f.get(ARGS)
        .op('i32.load', 4 * this.#table.counters)
        .i32(number * GROUP_BYTES)
        .op('i32.add')
        .set(counters);
      if (group.some(({ kernel }) => meetsInside(kernel))) {
        // Not twice: a thread that was late for another job may have been here already.
        f.get(counters).op('i32.atomic.load', DONE).get(last).op('i32.sub').i32(0).op('i32.lt_s').if();
        for (const step of group) this.#call(step, THREAD, THREADS);
        f.get(counters).i32(PARTS_PER_THREAD).call(finish.index).end();
      } else {
        const done = f.block();
        const again = f.loop();
        f.get(counters).get(first).get(parts).call(claim.index).tee(part).i32(0).op('i32.lt_s').brIf(done);
        for (const step of group) this.#call(step, part, parts);
        f.get(counters).i32(1).call(finish.index).br(again);
        f.end().end();
      }
      const waiting = f.loop();
      f.get(counters).get(last).call(join.index).op('i32.eqz').if();
      f.get(THREAD).op('i32.eqz').if();
      f.i32(1).return().end();
      f.br(waiting).end().end();
    };
  }

  /** Calls a step's kernel as thread `part` of `parts`; scratch is the real thread's. */
  #call({ kernel, slots }: PlanStep, part: number, parts: number): void {
    const [run, table, plan] = [this.#code, this.#table, this.#plan];
    if (slots.length !== kernel.buffers.length) {
      const message = `plan ${plan.name} gives kernel ${kernel.name} ${slots.length} buffers; it takes ${kernel.buffers.length}`;
      throw new BitloomError('INVALID_GRAPH', message, { plan: plan.name, kernel: kernel.name });
    }
    for (const index of slots) {
      const slot = plan.slots[index]!;
      run.get(ARGS).op('i32.load', 4 * (slot.kind === 'arena' ? table.arena : slot.index));
      if (slot.byteOffset !== 0) run.i32(slot.byteOffset).op('i32.add');
    }
    run.get(part).get(parts);
    run.get(ARGS).op('i32.load', 4 * table.threadScratch);
    if (this.#threadBytes > 0) run.get(THREAD).i32(this.#threadBytes).op('i32.mul').op('i32.add');
    run.get(ARGS).op('i32.load', 4 * table.sharedScratch);
    run.call(this.#kernels.get(kernel.name)!.index);
  }
}
