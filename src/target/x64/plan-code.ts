/**
 * A plan as machine code: `run(table, thread, threads)`, which all threads execute: group after group of kernel calls,
 * whose parts they share. The table says where everything lies and which groups to run now: a long plan runs in pieces.
 * The code is the same for all groups; which kernels they call with what is data behind it, made in no time.
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

const [RAX, RCX, RDX, RBX, RSP, RSI, RDI] = [0, 1, 2, 3, 4, 6, 7];
const WORD = 8;
const at = (base: number, displacement: number): Memory => ({ kind: 'mem', base, displacement });

/** What `run` keeps in its frame, as words behind the kernels' arguments. */
const STATE = [
  'table',
  'thread',
  'threads',
  'parts',
  'first',
  'last',
  'from',
  'count',
  'part',
  'group',
  'step',
  'left',
] as const;
type State = (typeof STATE)[number];

/** A group in the data: where its steps begin (bytes from the data's start), how many there are, whether threads meet in them. */
const GROUP = { steps: 0, count: 4, meets: 8, bytes: 16 } as const;
/** A step: its kernel's address and how many slots follow, each a place in the table and what to add to the address there. */
const STEP = { kernel: 0, slots: 8, bytes: 16 } as const;
const SLOT = { place: 0, offset: 8, bytes: 16 } as const;

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
  readonly #data: Label;
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
    this.#data = out.constant(this.#groups(), GROUP.bytes);
    this.#labels = { finish: out.label(), join: out.label(), leave: out.label(), landing: out.label() };
  }

  /** The groups, then their steps. */
  #groups(): Uint8Array {
    const groups = groupsOf(this.#plan);
    const slots = this.#plan.steps.reduce((sum, step) => sum + step.slots.length, 0);
    const size = GROUP.bytes * groups.length + STEP.bytes * this.#plan.steps.length + SLOT.bytes * slots;
    const data = new DataView(new ArrayBuffer(Math.max(size, GROUP.bytes)));
    let at = GROUP.bytes * groups.length;
    for (const [number, group] of groups.entries()) {
      const place = GROUP.bytes * number;
      data.setUint32(place + GROUP.steps, at, true);
      data.setUint32(place + GROUP.count, group.length, true);
      data.setUint32(place + GROUP.meets, group.some(({ kernel }) => meetsInside(kernel)) ? 1 : 0, true);
      for (const step of group) at = this.#step(data, at, step);
    }
    return new Uint8Array(data.buffer);
  }

  /** Writes a step at a place of the data; returns the place behind it. */
  #step(data: DataView, start: number, { kernel, slots }: PlanStep): number {
    const [table, plan] = [this.#table, this.#plan];
    if (slots.length !== kernel.buffers.length) {
      const message = `plan ${plan.name} gives kernel ${kernel.name} ${slots.length} buffers; it takes ${kernel.buffers.length}`;
      throw new BitloomError('INVALID_GRAPH', message, { plan: plan.name, kernel: kernel.name });
    }
    setWord(data, start + STEP.kernel, this.#addresses.get(kernel.name)!);
    setWord(data, start + STEP.slots, slots.length);
    let at = start + STEP.bytes;
    for (const index of slots) {
      const slot = plan.slots[index]!;
      setWord(data, at + SLOT.place, WORD * (slot.kind === 'arena' ? table.arena : table.arguments + slot.index));
      setWord(data, at + SLOT.offset, slot.byteOffset);
      at += SLOT.bytes;
    }
    return at;
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
      const [next, done, end] = [out.label(), out.label(), out.label()];
      out.emit('mov', this.#state('table'), table!);
      out.emit('mov', this.#state('thread'), thread!);
      out.emit('mov', this.#state('threads'), threads!);
      this.#begin();
      out.bind(next);
      out.emit('mov', r32(RAX), this.#state('group'));
      out.emit('sub', r32(RAX), this.#state('from'));
      out.emit('cmp', r32(RAX), this.#state('count'));
      out.emit('jae', done);
      if (control === undefined) this.#steps('thread', 'threads');
      else this.#share();
      out.emit('mov', r32(RAX), this.#state('group'));
      out.emit('inc', r32(RAX));
      out.emit('mov', this.#state('group'), r64(RAX));
      out.emit('jmp', next);
      if (control !== undefined) {
        out.bind(this.#labels.landing);
        out.emit('mov', r32(RAX), imm(RESULT.lost));
        out.bind(this.#labels.leave);
        out.emit('jmp', end);
      }
      out.bind(done);
      out.emit('mov', r32(RAX), imm(RESULT.done));
      out.bind(end);
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
    out.emit('mov', this.#state('group'), r64(RAX));
    out.emit('mov', r32(RCX), at(RBX, WORD * table.to));
    out.emit('sub', r32(RCX), r32(RAX));
    out.emit('jns', natural);
    out.emit('xor', r32(RCX), r32(RCX));
    out.bind(natural);
    out.emit('mov', this.#state('count'), r64(RCX));
  }

  /** Puts the address of the group's counters into rbx. Changes rax. */
  #counters(): void {
    const out = this.#out;
    out.emit('mov', r32(RAX), this.#state('group'));
    out.emit('imul', r64(RAX), r64(RAX), imm(GROUP_BYTES));
    out.emit('mov', r64(RBX), this.#state('table'));
    out.emit('mov', r64(RBX), at(RBX, WORD * this.#table.counters));
    out.emit('add', r64(RBX), r64(RAX));
  }

  /** Puts the address of the group's data into rsi. Changes rax. */
  #group(): void {
    const out = this.#out;
    out.emit('mov', r32(RAX), this.#state('group'));
    out.emit('imul', r64(RAX), r64(RAX), imm(GROUP.bytes));
    out.emit('lea', r64(RSI), { kind: 'mem', label: this.#data });
    out.emit('add', r64(RSI), r64(RAX));
  }

  #finish(parts: number): void {
    this.#counters();
    this.#out.emit('mov', r32(RCX), imm(parts));
    this.#out.emit('call', this.#labels.finish);
  }

  /** The code by which threads share a group. */
  #share(): void {
    const out = this.#out;
    const [together, wait, done] = [out.label(), out.label(), out.label()];
    this.#group();
    out.emit('cmp.d', at(RSI, GROUP.meets), imm(0));
    out.emit('jne', together);
    this.#parts();
    out.emit('jmp', wait);
    out.bind(together);
    this.#together();
    out.bind(wait);
    this.#counters();
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

  /** Claims parts of the group until none is left, and runs them. */
  #parts(): void {
    const out = this.#out;
    const [again, retry, none] = [out.label(), out.label(), out.label()];
    out.bind(again);
    this.#counters();
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
    this.#steps('part', 'parts');
    this.#finish(1);
    out.emit('jmp', again);
    out.bind(none);
  }

  /** A group in which threads meet: each runs its own part, once. A thread that was late for another job may have been here already. */
  #together(): void {
    const out = this.#out;
    const past = out.label();
    this.#counters();
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
    this.#steps('thread', 'threads');
    this.#finish(PARTS_PER_THREAD);
    out.bind(past);
  }

  /** Calls the group's kernels one after the other as thread `part` of `parts`; scratch is the real thread's. */
  #steps(part: State, parts: State): void {
    const [out, table] = [this.#out, this.#table];
    const [again, put, given] = [out.label(), out.label(), out.label()];
    this.#group();
    out.emit('mov', r32(RCX), at(RSI, GROUP.count));
    out.emit('mov', this.#state('left'), r64(RCX));
    out.emit('mov', r32(RAX), at(RSI, GROUP.steps));
    out.emit('lea', r64(RSI), { kind: 'mem', label: this.#data });
    out.emit('add', r64(RSI), r64(RAX));
    out.emit('mov', this.#state('step'), r64(RSI));
    out.bind(again);
    out.emit('mov', r64(RSI), this.#state('step'));
    out.emit('mov', r64(RBX), this.#state('table'));
    out.emit('mov', r32(RCX), at(RSI, STEP.slots));
    out.emit('lea', r64(RDX), at(RSI, STEP.bytes));
    out.emit('mov', r64(RDI), r64(RSP));
    out.emit('test', r32(RCX), r32(RCX));
    out.emit('je', given);
    out.bind(put);
    out.emit('mov', r64(RAX), at(RDX, SLOT.place));
    out.emit('mov', r64(RAX), { kind: 'mem', base: RBX, index: RAX, scale: 1 });
    out.emit('add', r64(RAX), at(RDX, SLOT.offset));
    out.emit('mov', at(RDI, 0), r64(RAX));
    out.emit('add', r64(RDX), imm(SLOT.bytes));
    out.emit('add', r64(RDI), imm(WORD));
    out.emit('dec', r32(RCX));
    out.emit('jne', put);
    out.bind(given);
    out.emit('mov', this.#state('step'), r64(RDX)); // the next step begins where this one's slots end
    for (const [i, name] of [part, parts].entries()) {
      out.emit('mov', r64(RAX), this.#state(name));
      out.emit('mov', at(RDI, WORD * i), r64(RAX));
    }
    out.emit('mov', r64(RAX), at(RBX, WORD * table.threadScratch));
    if (this.#threadBytes > 0) {
      out.emit('mov', r64(RCX), this.#state('thread'));
      out.emit('imul', r64(RCX), r64(RCX), imm(this.#threadBytes));
      out.emit('add', r64(RAX), r64(RCX));
    }
    out.emit('mov', at(RDI, WORD * 2), r64(RAX));
    out.emit('mov', r64(RAX), at(RBX, WORD * table.sharedScratch));
    out.emit('mov', at(RDI, WORD * 3), r64(RAX));
    out.emit('call', at(RSI, STEP.kernel));
    out.emit('mov', r32(RAX), this.#state('left'));
    out.emit('dec', r32(RAX));
    out.emit('mov', this.#state('left'), r64(RAX));
    out.emit('jne', again);
  }
}

/** A word of 64 bits from a number below 2^53. */
function setWord(data: DataView, byteOffset: number, value: number): void {
  data.setUint32(byteOffset, value >>> 0, true);
  data.setUint32(byteOffset + 4, Math.floor(value / 2 ** 32), true);
}
