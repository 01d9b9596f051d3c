/**
 * The words by which threads share work and meet, and the routines around them. The scheme is that of the WebAssembly target:
 * steps between two barriers are a group, cut into parts that threads claim from a counter, so that nobody waits for a thread
 * that the system keeps from running. A thread waits first by spinning, then asleep in the system's keeping.
 */
import type { NativeHost } from '../../platform/index.ts';
import { type Assembler, imm, type Label, type Memory, r32, r64 } from './assembler/index.ts';
import { CONVENTIONS, writeFunction } from './entry-code.ts';

/** Byte offsets in the control block. Words that different threads write lie on cache lines of their own. */
export const CONTROL = {
  /** Threads that reached the current barrier. */
  arrived: 0,
  /** Grows by one as a barrier opens. */
  generation: 64,
  /** Threads that sleep, or are about to. */
  sleepers: 128,
  /** Grows by one with each job; workers wait for it to change. */
  job: 192,
  /** Address of the table of the plan that the current job runs, 64 bits; 0 where it is gone. */
  plan: 256,
  /** Workers that are inside a plan, or about to look which one is to be run. */
  busy: 320,
  /** 1 tells workers to end. */
  exit: 384,
  /** Workers that ended: others then no longer wait for them. */
  ended: 448,
  /** For each thread, where it goes on when a barrier can never open: stack pointer and address. */
  landings: 512,
} as const;

export const LANDING_BYTES = 16;
export const controlBytes = (threads: number): number => CONTROL.landings + LANDING_BYTES * threads;

/** What a plan's `run` returns. */
export const RESULT = {
  done: 0,
  /** To the first thread: others take very long; called again, it goes on waiting. */
  long: 1,
  /** A worker ended: what it had claimed will never be done. */
  lost: 2,
} as const;

/** Parts of a group's work for each thread: more even out threads that run at unequal speed. */
export const PARTS_PER_THREAD = 2;
/** Bytes from one group's counters to the next's: parts claimed, and `DONE` bytes on parts done. */
export const GROUP_BYTES = 64;
export const DONE = 4;

/** Rounds of the spinning part, of some 40 ns each: 160 us, for what a caller does between two tokens. */
const SPINS = 4000;
/** A sleeper looks this often whether a thread ended, which nobody wakes it for. */
const SLEEP_MS = 5;
/** After so many looks the first thread goes back to its caller and comes again. */
const PATIENCE = 200;

const [RAX, RCX, RDX, RBX, RSP] = [0, 1, 2, 3, 4];
const at = (base: number, displacement: number): Memory => ({ kind: 'mem', base, displacement });

/** Writes the routines of one piece of code; they are called with the stack pointer at a multiple of 64. */
export class ControlCode {
  readonly #out: Assembler;
  readonly #host: NativeHost;
  readonly #control: number;

  /** `control` is the address of the control block. */
  constructor(out: Assembler, host: NativeHost, control: number) {
    this.#out = out;
    this.#host = host;
    this.#control = control;
  }

  #loadControl(register: number): void {
    this.#out.emit('movabs', r64(register), imm(this.#control));
  }

  /**
   * Sleeps while the word at [rbx] is the one in r12d, `SLEEP_MS` at most if `isTimed`. Keeps what a callee keeps; the stack
   * pointer is a multiple of 16 and 64 bytes above it are free.
   */
  #sleep(isTimed: boolean): void {
    const [out, { sleep, convention }] = [this.#out, this.#host];
    const [p0, p1, p2, p3] = CONVENTIONS[convention].parameters as [number, number, number, number];
    if (sleep.kind === 'futex') {
      const [RSI, RDI, R10] = [6, 7, 10];
      out.emit('mov.q', at(RSP, 32), imm(0));
      out.emit('mov.q', at(RSP, 40), imm(SLEEP_MS * 1_000_000));
      out.emit('mov', r64(RDI), r64(RBX));
      out.emit('mov', r32(RSI), imm(128)); // FUTEX_WAIT, private
      out.emit('mov', r32(RDX), r32(12));
      if (isTimed) out.emit('lea', r64(R10), at(RSP, 32));
      else out.emit('xor', r32(R10), r32(R10));
      out.emit('mov', r32(RAX), imm(202));
      out.emit('syscall');
    } else if (sleep.kind === 'ulock') {
      out.emit('mov', r32(p0), imm(1));
      out.emit('mov', r64(p1), r64(RBX));
      out.emit('mov', r32(p2), r32(12));
      out.emit('mov', r32(p3), imm(isTimed ? SLEEP_MS * 1000 : 0));
      out.emit('movabs', r64(RAX), imm(sleep.wait));
      out.emit('call', r64(RAX));
    } else {
      out.emit('mov', at(RSP, 40), r32(12));
      out.emit('mov', r64(p0), r64(RBX));
      out.emit('lea', r64(p1), at(RSP, 40));
      out.emit('mov', r32(p2), imm(4));
      out.emit('mov', r32(p3), imm(isTimed ? SLEEP_MS : -1));
      out.emit('movabs', r64(RAX), imm(sleep.wait));
      out.emit('call', r64(RAX));
    }
  }

  /** Wakes all who sleep on the word at [rbx], under the same conditions. */
  #wake(): void {
    const [out, { sleep, convention }] = [this.#out, this.#host];
    const [p0, p1, p2] = CONVENTIONS[convention].parameters as [number, number, number];
    if (sleep.kind === 'futex') {
      const [RSI, RDI] = [6, 7];
      out.emit('mov', r64(RDI), r64(RBX));
      out.emit('mov', r32(RSI), imm(129)); // FUTEX_WAKE, private
      out.emit('mov', r32(RDX), imm(0x7fffffff));
      out.emit('mov', r32(RAX), imm(202));
      out.emit('syscall');
    } else if (sleep.kind === 'ulock') {
      out.emit('mov', r32(p0), imm(0x101));
      out.emit('mov', r64(p1), r64(RBX));
      out.emit('xor', r32(p2), r32(p2));
      out.emit('movabs', r64(RAX), imm(sleep.wake));
      out.emit('call', r64(RAX));
    } else {
      out.emit('mov', r64(p0), r64(RBX));
      out.emit('movabs', r64(RAX), imm(sleep.wakeAll));
      out.emit('call', r64(RAX));
    }
  }

  /** Lets another thread have this core, where a system call does that; keeps `kept`, changes rax and r11. */
  #yield(kept: number): void {
    if (this.#host.sleep.kind !== 'futex') return;
    const out = this.#out;
    out.emit('push', r64(kept));
    out.emit('mov', r32(RAX), imm(24)); // sched_yield
    out.emit('syscall');
    out.emit('pop', r64(kept));
  }

  /** Wakes the sleepers on [rbx], if any thread sleeps at all. Changes rax and what a call changes. */
  #wakeIfAny(): void {
    const out = this.#out;
    const none = out.label();
    this.#loadControl(RAX);
    out.emit('cmp.d', at(RAX, CONTROL.sleepers), imm(0));
    out.emit('je', none);
    this.#wake();
    out.bind(none);
  }

  /** `finish`: counts ecx parts of the group at rbx as done and wakes those who wait for them. */
  writeFinish(finish: Label): void {
    const out = this.#out;
    out.align(16);
    out.bind(finish);
    out.emit('sub', r64(RSP), imm(56));
    out.emit('add', r64(RBX), imm(DONE));
    out.emit('lock add', at(RBX, 0), r32(RCX));
    this.#wakeIfAny();
    out.emit('add', r64(RSP), imm(56));
    out.emit('ret');
  }

  /** `join`: waits until r13d parts of the group at rbx are done; eax then is 1, or 0 when that takes very long, or 2 once a worker ended. */
  writeJoin(join: Label): void {
    const out = this.#out;
    const [LAST, LOOKS, VALUE] = [13, 14, 12];
    const [spin, sleep, awake, done, lost, leave] = Array.from({ length: 6 }, () => out.label()) as [
      Label,
      Label,
      Label,
      Label,
      Label,
      Label,
    ];
    const look = (isDone: Label): void => {
      out.emit('mov', r32(VALUE), at(RBX, 0));
      out.emit('mov', r32(RAX), r32(VALUE));
      out.emit('sub', r32(RAX), r32(LAST));
      out.emit('jns', isDone);
    };
    out.align(16);
    out.bind(join);
    out.emit('sub', r64(RSP), imm(56));
    out.emit('add', r64(RBX), imm(DONE));
    out.emit('mov', r32(RCX), imm(SPINS));
    out.bind(spin);
    look(done);
    out.emit('pause');
    out.emit('dec', r32(RCX));
    out.emit('jne', spin);
    this.#loadControl(RAX);
    out.emit('mov', r32(RCX), imm(1));
    out.emit('lock add', at(RAX, CONTROL.sleepers), r32(RCX));
    out.emit('mov', r32(LOOKS), imm(PATIENCE));
    out.bind(sleep);
    look(awake);
    this.#loadControl(RAX);
    out.emit('cmp.d', at(RAX, CONTROL.ended), imm(0));
    out.emit('jne', lost);
    this.#sleep(true);
    out.emit('dec', r32(LOOKS));
    out.emit('jne', sleep);
    out.emit('xor', r32(RCX), r32(RCX));
    out.emit('jmp', leave);
    out.bind(lost);
    out.emit('mov', r32(RCX), imm(2));
    out.emit('jmp', leave);
    out.bind(awake);
    out.emit('mov', r32(RCX), imm(1));
    out.bind(leave);
    this.#loadControl(RAX);
    out.emit('mov', r32(RDX), imm(-1));
    out.emit('lock add', at(RAX, CONTROL.sleepers), r32(RDX));
    out.emit('mov', r32(RAX), r32(RCX));
    out.emit('add', r64(RSP), imm(56));
    out.emit('ret');
    out.bind(done);
    out.emit('mov', r32(RAX), imm(1));
    out.emit('add', r64(RSP), imm(56));
    out.emit('ret');
  }

  /**
   * `barrier`: returns when rax threads have called it; rdx is the thread's number. Keeps all other registers. Once a worker
   * ended, the thread goes on at its landing instead.
   */
  writeBarrier(barrier: Label): void {
    const out = this.#out;
    const [open, wait, spin, back, leave] = Array.from({ length: 5 }, () => out.label()) as [
      Label,
      Label,
      Label,
      Label,
      Label,
    ];
    const [SPIN, COUNT] = [6, 11];
    out.align(16);
    out.bind(barrier);
    for (const id of [RCX, RBX, SPIN, COUNT]) out.emit('push', r64(id));
    this.#loadControl(RBX);
    out.emit('mov', r32(RCX), at(RBX, CONTROL.generation));
    out.emit('mov', r32(COUNT), imm(1));
    out.emit('lock xadd', at(RBX, CONTROL.arrived), r32(COUNT));
    out.emit('inc', r32(COUNT));
    out.emit('cmp', r32(COUNT), r32(RAX));
    out.emit('je', open);
    out.bind(wait);
    out.emit('mov', r32(SPIN), imm(SPINS));
    out.bind(spin);
    out.emit('cmp.d', at(RBX, CONTROL.ended), imm(0));
    out.emit('jne', leave);
    out.emit('cmp', r32(RCX), at(RBX, CONTROL.generation));
    out.emit('jne', back);
    out.emit('pause');
    out.emit('dec', r32(SPIN));
    out.emit('jne', spin);
    this.#yield(RCX);
    out.emit('jmp', wait);
    out.bind(open);
    out.emit('mov.d', at(RBX, CONTROL.arrived), imm(0));
    out.emit('lock add', at(RBX, CONTROL.generation), r32(COUNT)); // any change will do
    out.bind(back);
    for (const id of [COUNT, SPIN, RBX, RCX]) out.emit('pop', r64(id));
    out.emit('ret');
    out.bind(leave);
    out.emit('shl', r32(RDX), imm(4));
    out.emit('lea', r64(RBX), { kind: 'mem', base: RBX, index: RDX, scale: 1, displacement: CONTROL.landings });
    out.emit('mov', r64(RSP), at(RBX, 0));
    out.emit('jmp', at(RBX, 8));
  }

  /** A worker's whole life. Its argument is the number of its thread. */
  writeWorker(worker: Label, threads: number): void {
    const out = this.#out;
    const [THREAD, LAST, VALUE] = [64, 72, 12];
    const [again, spin, sleep, awake, changed, idle, leave] = Array.from({ length: 7 }, () => out.label()) as [
      Label,
      Label,
      Label,
      Label,
      Label,
      Label,
      Label,
    ];
    const { parameters } = CONVENTIONS[this.#host.convention];
    out.align(16);
    out.bind(worker);
    writeFunction(out, this.#host.convention, 128, ([thread]) => {
      out.emit('mov', at(RSP, THREAD), thread!);
      out.emit('mov.d', at(RSP, LAST), imm(0));
      out.bind(again);
      const job = (isChanged: Label): void => {
        out.emit('mov', r32(RAX), at(RBX, 0));
        out.emit('cmp', r32(RAX), r32(VALUE));
        out.emit('jne', isChanged);
      };
      this.#loadControl(RBX);
      out.emit('add', r64(RBX), imm(CONTROL.job));
      out.emit('mov', r32(VALUE), at(RSP, LAST));
      out.emit('mov', r32(RCX), imm(SPINS));
      out.bind(spin);
      job(changed);
      out.emit('pause');
      out.emit('dec', r32(RCX));
      out.emit('jne', spin);
      // The waker changes the word before it reads `sleepers`, so one of the two sees the other.
      out.emit('mov', r32(RCX), imm(1));
      out.emit('lock add', at(RBX, CONTROL.sleepers - CONTROL.job), r32(RCX));
      out.bind(sleep);
      job(awake);
      this.#sleep(false);
      out.emit('jmp', sleep);
      out.bind(awake);
      out.emit('mov', r32(RCX), imm(-1));
      out.emit('lock add', at(RBX, CONTROL.sleepers - CONTROL.job), r32(RCX));
      out.bind(changed);
      out.emit('mov', at(RSP, LAST), r32(RAX));
      this.#loadControl(RBX);
      out.emit('cmp.d', at(RBX, CONTROL.exit), imm(0));
      out.emit('jne', leave);
      // First busy, then which plan: who takes a plan away first takes its address away, then waits for the busy.
      out.emit('mov', r32(RCX), imm(1));
      out.emit('lock add', at(RBX, CONTROL.busy), r32(RCX));
      out.emit('mov', r64(RAX), at(RBX, CONTROL.plan));
      out.emit('test', r64(RAX), r64(RAX));
      out.emit('je', idle);
      const [p0, p1, p2] = parameters as [number, number, number];
      out.emit('mov', r64(p0), r64(RAX));
      out.emit('mov', r64(p1), at(RSP, THREAD));
      out.emit('mov', r32(p2), imm(threads));
      out.emit('call', at(RAX, 0));
      out.bind(idle);
      this.#loadControl(RBX);
      out.emit('mov', r32(RCX), imm(-1));
      out.emit('lock add', at(RBX, CONTROL.busy), r32(RCX));
      out.emit('jmp', again);
      out.bind(leave);
      out.emit('mov', r32(RCX), imm(1));
      out.emit('lock add', at(RBX, CONTROL.ended), r32(RCX));
    });
  }

  /** A function of a plan's table: gives the plan to the workers, takes part, and returns what `run` returns. */
  writeLead(lead: Label, threads: number): void {
    const out = this.#out;
    const [p0, p1, p2] = CONVENTIONS[this.#host.convention].parameters as [number, number, number];
    out.align(16);
    out.bind(lead);
    writeFunction(out, this.#host.convention, 128, ([table]) => {
      out.emit('mov', at(RSP, 64), table!);
      this.#loadControl(RBX);
      out.emit('mov', at(RBX, CONTROL.plan), table!);
      out.emit('add', r64(RBX), imm(CONTROL.job));
      out.emit('mov', r32(RCX), imm(1));
      out.emit('lock add', at(RBX, 0), r32(RCX));
      this.#wakeIfAny();
      out.emit('mov', r64(p0), at(RSP, 64));
      out.emit('mov', r64(RAX), r64(p0));
      out.emit('xor', r32(p1), r32(p1));
      out.emit('mov', r32(p2), imm(threads));
      out.emit('call', at(RAX, 0));
    });
  }

  /** A function of nothing: tells the workers to end and wakes them. */
  writeDismiss(dismiss: Label): void {
    const out = this.#out;
    out.align(16);
    out.bind(dismiss);
    writeFunction(out, this.#host.convention, 64, () => {
      this.#loadControl(RBX);
      out.emit('mov.d', at(RBX, CONTROL.exit), imm(1));
      out.emit('add', r64(RBX), imm(CONTROL.job));
      out.emit('mov', r32(RCX), imm(1));
      out.emit('lock add', at(RBX, 0), r32(RCX));
      this.#wakeIfAny();
    });
  }
}
