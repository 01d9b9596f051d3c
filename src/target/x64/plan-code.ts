/**
 * A plan as machine code: `run(table, thread, threads)`, which all threads execute: group after group of kernel calls,
 * whose parts they share. The table says where everything lies and which groups to run now: a long plan runs in pieces.
 */
import { BitloomError } from '../../ir/error.ts';
import type { NativeHost } from '../../platform/index.ts';
import { groupsOf, meetsInside, scratchOf } from '../plan-groups.ts';
import type { Plan, PlanStep } from '../target.ts';
import { type Assembler, imm, type Label, type Memory, r32, r64 } from './assembler/index.ts';
import { CONTROL, ControlCode, DONE, GROUP_BYTES, LANDING_BYTES, PARTS_PER_THREAD, RESULT } from './control.ts';
import { writeFunction } from './entry-code.ts';

/** The table, in words of 64 bits: first the address of `run`, then the arguments' addresses, then these. */
export interface PlanTable {
  readonly arguments: number;
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

export const tableOf = ({ argumentCount }: Plan): PlanTable => {
  const after = 1 + argumentCount;
  return {
    arguments: 1,
    arena: after,
    threadScratch: after + 1,
    sharedScratch: after + 2,
    counters: after + 3,
    from: after + 4,
    to: after + 5,
    run: after + 6,
    words: after + 7,
  };
};

const [RAX, RCX, RDX, RBX, RSP, RSI] = [0, 1, 2, 3, 4, 6];
const WORD = 8;
const at = (base: number, displacement: number): Memory => ({ kind: 'mem', base, displacement });

/** What `run` keeps in its frame, as words behind the kernels' arguments. */
const STATE = ['table', 'thread', 'threads', 'parts', 'first', 'last', 'from', 'count', 'part'] as const;
type State = (typeof STATE)[number];

/** Writes a plan's `run` and its routines. */
export class PlanCode {
  readonly #out: Assembler;
  readonly #host: NativeHost;
  readonly #plan: Plan;
  readonly #table: PlanTable;
  readonly #threadBytes: number;
  readonly #addresses: ReadonlyMap<string, number>;
  readonly #control: number | undefined;
  readonly #stateAt: number;
  readonly #labels: { readonly finish: Label; readonly join: Label; readonly leave: Label; readonly landing: Label };

  /** `addresses` are those of the kernels by name; `control` that of the control block, undefined for one thread. */
  constructor(
    out: Assembler,
    host: NativeHost,
    plan: Plan,
    addresses: ReadonlyMap<string, number>,
    control: number | undefined,
  ) {
    this.#out = out;
    this.#host = host;
    this.#plan = plan;
    this.#table = tableOf(plan);
    this.#threadBytes = scratchOf(plan).threadBytes;
    this.#addresses = addresses;
    this.#control = control;
    // At least 64 bytes, which functions of the system may use.
    const most = Math.max(8, ...plan.steps.map(({ kernel }) => kernel.buffers.length + 4));
    this.#stateAt = WORD * most;
    this.#labels = { finish: out.label(), join: out.label(), leave: out.label(), landing: out.label() };
  }

  /** Bytes of `run`'s frame. */
  get #frameBytes(): number {
    return Math.ceil((this.#stateAt + WORD * STATE.length) / 64) * 64;
  }

  #state(name: State): Memory {
    return at(RSP, this.#stateAt + WORD * STATE.indexOf(name));
  }

  write(): void {
    const [out, control] = [this.#out, this.#control];
    writeFunction(out, this.#host.convention, this.#frameBytes, ([table, thread, threads]) => {
      out.emit('mov', this.#state('table'), table!);
      out.emit('mov', this.#state('thread'), thread!);
      out.emit('mov', this.#state('threads'), threads!);
      this.#begin();
      for (const [number, group] of groupsOf(this.#plan).entries()) {
        const next = out.label();
        out.emit('mov', r32(RAX), imm(number));
        out.emit('sub', r32(RAX), this.#state('from'));
        out.emit('cmp', r32(RAX), this.#state('count'));
        out.emit('jae', next);
        if (control === undefined) for (const step of group) this.#call(step, 'thread', 'threads');
        else this.#share(number, group);
        out.bind(next);
      }
      out.emit('mov', r32(RAX), imm(RESULT.done));
      if (control !== undefined) {
        const end = out.label();
        out.emit('jmp', end);
        out.bind(this.#labels.landing);
        out.emit('mov', r32(RAX), imm(RESULT.lost));
        out.bind(this.#labels.leave);
        out.bind(end);
      }
    });
    if (control === undefined) return;
    const routines = new ControlCode(out, this.#host, control);
    routines.writeFinish(this.#labels.finish);
    routines.writeJoin(this.#labels.join);
  }

  /** Reads the table once: which run this is, then which groups it takes. A late thread may read an old `to`: then there is nothing to do. */
  #begin(): void {
    const [out, table] = [this.#out, this.#table];
    const natural = out.label();
    out.emit('mov', r64(RBX), this.#state('table'));
    if (this.#control !== undefined) {
      out.emit('mov', r32(RAX), this.#state('threads'));
      out.emit('imul', r32(RAX), r32(RAX), imm(PARTS_PER_THREAD));
      out.emit('mov', this.#state('parts'), r64(RAX));
      out.emit('mov', r32(RCX), at(RBX, WORD * table.run));
      out.emit('imul', r32(RCX), r32(RAX));
      out.emit('mov', this.#state('last'), r64(RCX));
      out.emit('sub', r32(RCX), r32(RAX));
      out.emit('mov', this.#state('first'), r64(RCX));
    }
    out.emit('mov', r32(RAX), at(RBX, WORD * table.from));
    out.emit('mov', this.#state('from'), r64(RAX));
    out.emit('mov', r32(RCX), at(RBX, WORD * table.to));
    out.emit('sub', r32(RCX), r32(RAX));
    out.emit('jns', natural);
    out.emit('xor', r32(RCX), r32(RCX));
    out.bind(natural);
    out.emit('mov', this.#state('count'), r64(RCX));
  }

  /** Puts the address of a group's counters into rbx. */
  #counters(number: number): void {
    const out = this.#out;
    out.emit('mov', r64(RBX), this.#state('table'));
    out.emit('mov', r64(RBX), at(RBX, WORD * this.#table.counters));
    if (number > 0) out.emit('add', r64(RBX), imm(number * GROUP_BYTES));
  }

  #finish(number: number, parts: number): void {
    this.#counters(number);
    this.#out.emit('mov', r32(RCX), imm(parts));
    this.#out.emit('call', this.#labels.finish);
  }

  /** The code by which threads share one group. */
  #share(number: number, group: readonly PlanStep[]): void {
    const out = this.#out;
    const [wait, done] = [out.label(), out.label()];
    if (group.some(({ kernel }) => meetsInside(kernel))) this.#together(number, group);
    else this.#parts(number, group);
    out.bind(wait);
    this.#counters(number);
    out.emit('mov', r32(13), this.#state('last'));
    out.emit('call', this.#labels.join);
    out.emit('cmp', r32(RAX), imm(1));
    out.emit('je', done);
    out.emit('ja', this.#labels.landing);
    out.emit('cmp.d', this.#state('thread'), imm(0));
    out.emit('jne', wait);
    out.emit('mov', r32(RAX), imm(RESULT.long));
    out.emit('jmp', this.#labels.leave);
    out.bind(done);
  }

  /** Claims parts of a group until none is left, and runs them. */
  #parts(number: number, group: readonly PlanStep[]): void {
    const out = this.#out;
    const [again, retry, none] = [out.label(), out.label(), out.label()];
    out.bind(again);
    this.#counters(number);
    out.emit('mov', r32(RAX), at(RBX, 0));
    out.bind(retry);
    out.emit('mov', r32(RCX), r32(RAX));
    out.emit('sub', r32(RCX), this.#state('first'));
    out.emit('cmp', r32(RCX), this.#state('parts'));
    out.emit('jae', none);
    out.emit('lea', r32(RDX), at(RAX, 1));
    out.emit('lock cmpxchg', at(RBX, 0), r32(RDX));
    out.emit('jne', retry);
    out.emit('mov', this.#state('part'), r64(RCX));
    for (const step of group) this.#call(step, 'part', 'parts');
    this.#finish(number, 1);
    out.emit('jmp', again);
    out.bind(none);
  }

  /** A group in which threads meet: each runs its own part, once. A thread that was late for another job may have been here already. */
  #together(number: number, group: readonly PlanStep[]): void {
    const out = this.#out;
    const past = out.label();
    this.#counters(number);
    out.emit('mov', r32(RAX), at(RBX, DONE));
    out.emit('sub', r32(RAX), this.#state('last'));
    out.emit('jns', past);
    out.emit('movabs', r64(RSI), imm(this.#control!));
    out.emit('mov', r64(RCX), this.#state('thread'));
    out.emit('imul', r32(RCX), r32(RCX), imm(LANDING_BYTES));
    out.emit('lea', r64(RSI), { kind: 'mem', base: RSI, index: RCX, scale: 1, displacement: CONTROL.landings });
    out.emit('mov', at(RSI, 0), r64(RSP));
    out.emit('lea', r64(RAX), this.#labels.landing);
    out.emit('mov', at(RSI, 8), r64(RAX));
    for (const step of group) this.#call(step, 'thread', 'threads');
    this.#finish(number, PARTS_PER_THREAD);
    out.bind(past);
  }

  /** Calls a step's kernel as thread `part` of `parts`; scratch is the real thread's. */
  #call({ kernel, slots }: PlanStep, part: State, parts: State): void {
    const [out, table, plan] = [this.#out, this.#table, this.#plan];
    if (slots.length !== kernel.buffers.length) {
      const message = `plan ${plan.name} gives kernel ${kernel.name} ${slots.length} buffers; it takes ${kernel.buffers.length}`;
      throw new BitloomError('INVALID_GRAPH', message, { plan: plan.name, kernel: kernel.name });
    }
    let place = 0;
    const put = (): void => out.emit('mov', at(RSP, WORD * place++), r64(RAX));
    out.emit('mov', r64(RBX), this.#state('table'));
    for (const index of slots) {
      const slot = plan.slots[index]!;
      const word = slot.kind === 'arena' ? table.arena : table.arguments + slot.index;
      out.emit('mov', r64(RAX), at(RBX, WORD * word));
      if (slot.byteOffset !== 0) this.#addOffset(slot.byteOffset);
      put();
    }
    for (const name of [part, parts]) {
      out.emit('mov', r64(RAX), this.#state(name));
      put();
    }
    out.emit('mov', r64(RAX), at(RBX, WORD * table.threadScratch));
    if (this.#threadBytes > 0) {
      out.emit('mov', r64(RCX), this.#state('thread'));
      out.emit('imul', r64(RCX), r64(RCX), imm(this.#threadBytes));
      out.emit('add', r64(RAX), r64(RCX));
    }
    put();
    out.emit('mov', r64(RAX), at(RBX, WORD * table.sharedScratch));
    put();
    out.emit('movabs', r64(RAX), imm(this.#addresses.get(kernel.name)!));
    out.emit('call', r64(RAX));
  }

  #addOffset(byteOffset: number): void {
    const out = this.#out;
    if (byteOffset < 2 ** 31) out.emit('add', r64(RAX), imm(byteOffset));
    else {
      out.emit('movabs', r64(RCX), imm(byteOffset));
      out.emit('add', r64(RAX), r64(RCX));
    }
  }
}
