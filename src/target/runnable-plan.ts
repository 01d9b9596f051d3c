/** A compiled plan as targets with threads run it: in pieces of whole groups of steps, with pauses between them. */
import { BitloomError } from '../ir/error.ts';
import { Pace } from './pace.ts';
import { groupsOf } from './plan-groups.ts';
import type { CompiledPlan, Pause, Plan } from './target.ts';

/** Where generated code finds what a run is about. */
export interface PlanArguments<Buffer> {
  /** Begins a run: its arguments, and no groups yet. */
  begin(args: readonly Buffer[]): void;
  /** Says which groups of steps run next. */
  choose(from: number, to: number): void;
  /** Forgets how far runs came: after one that failed half way. No thread may be in the plan. */
  forgetRuns(): void;
  dispose(): void;
}

/** The threads that run plans. */
export interface Crew<P> {
  /** Runs the groups of steps that were chosen. */
  runPiece(plan: P): Promise<void> | void;
  /** Returns when no thread is in a plan, nor will look into it. */
  leave(plan: P): void;
}

/** A plan's code and memory. */
export class RunnablePlan<Buffer> implements CompiledPlan {
  readonly plan: Plan;
  readonly codeBytes: number;
  readonly memory: PlanArguments<Buffer>;
  readonly #nGroups: number;
  readonly #pace: Pace;
  readonly #forget: () => void;
  #isRunning = false;
  #isDisposed = false;

  /** `forget` is called once, when the plan is disposed; after it no thread may be in the plan. */
  constructor(plan: Plan, codeBytes: number, memory: PlanArguments<Buffer>, forget: () => void) {
    this.plan = plan;
    this.codeBytes = codeBytes;
    this.memory = memory;
    this.#nGroups = groupsOf(plan).length;
    this.#pace = new Pace(this.#nGroups);
    this.#forget = forget;
  }

  /**
   * Runs all groups of steps: at once, or in pieces with pauses between them. Throws what `pause` throws; DISPOSED for a
   * plan that was disposed before or in a pause; INVALID_ARGUMENT for a wrong number of buffers, or while it runs already.
   */
  async run(args: readonly Buffer[], crew: Crew<this>, pause?: Pause): Promise<void> {
    const { name, argumentCount } = this.plan;
    if (this.#isDisposed) throw new BitloomError('DISPOSED', `plan ${name} was used after dispose()`);
    if (args.length !== argumentCount) {
      const message = `plan ${name} takes ${argumentCount} buffers, not ${args.length}`;
      throw new BitloomError('INVALID_ARGUMENT', message, { plan: name });
    }
    if (this.#isRunning)
      throw new BitloomError('INVALID_ARGUMENT', `plan ${name} is running; await that run before the next`);
    this.#isRunning = true;
    try {
      this.memory.begin(args);
      for (let from = 0; from < this.#nGroups; ) {
        const to = pause ? this.#pace.end(from) : this.#nGroups;
        this.memory.choose(from, to);
        const began = performance.now();
        await crew.runPiece(this);
        this.#pace.took(to - from, performance.now() - began);
        from = to;
        if (from < this.#nGroups) await pause?.();
        if (this.#isDisposed) throw new BitloomError('DISPOSED', `plan ${name} was disposed while it ran`);
      }
    } catch (error) {
      if (!this.#isDisposed) {
        crew.leave(this);
        this.memory.forgetRuns(); // counters of groups that did not run lag behind the others'
      }
      throw error;
    } finally {
      this.#isRunning = false;
    }
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#forget();
    this.memory.dispose();
  }
}
