/**
 * Measures the best few schedules of the kernels that programs use, and remembers which was fastest. Programs take what is
 * known when they are compiled; measuring happens later, piece by piece, when nothing else is to be done.
 * Source: the idea of measuring a model's best candidates only (Chen et al., Learning to optimize tensor programs, 2018).
 */
import { byteLength, type TensorType } from '../../ir/shape.ts';
import type { Kernel } from '../../kernel/language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../../kernel/template.ts';
import type { CompiledPlan, DeviceBuffer, Plan, Target } from '../../target/target.ts';
import type { ScheduleChoice } from '../options.ts';
import { attributesKey, typeKey } from '../structural-key.ts';
import type { TuningRecord } from './tuning-record.ts';

export interface TuneOptions {
  /** Time to spend, compiling included. Default 2000. */
  readonly budgetMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Awaited between measurements, each of which takes some milliseconds. */
  readonly pause?: (() => Promise<void> | void) | undefined;
}

export interface TuneReport {
  /** Kernels that were measured, and those of them for which another schedule than the model's was fastest. */
  readonly measured: number;
  readonly changed: number;
  /** Kernels that the budget did not reach. */
  readonly left: number;
}

/** Candidates that are measured, from the best by the cost model on, all alike. */
const FEW = 4;
/** What another schedule must gain to be taken: below this it is noise. */
const LEAST_GAIN = 0.04;
const ROUNDS = 5;
/** Operands together are made so large, by copies that runs take in turn, that they do not all stay in a cache. */
const COLD_BYTES = 24 << 20;
const MOST_COPIES = 8;
/** Larger operands are not made for a measurement. */
const MOST_BYTES = 512 << 20;

interface Question {
  readonly template: KernelTemplate;
  readonly request: KernelRequest;
  readonly candidates: readonly Schedule[];
  uses: number;
}

/** Whether two schedules are tiles of one algorithm that sum in the same order: then no result depends on which is taken. */
const isLike = ({ sumsBy = [] }: KernelTemplate, a: Schedule, b: Schedule): boolean =>
  Object.keys(a).join() === Object.keys(b).join() && sumsBy.every((name) => a[name] === b[name]);

const isSame = (a: Schedule, b: Schedule): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([name, value]) => b[name] === value);

export class ScheduleTuner {
  readonly #record: TuningRecord;
  /** What programs asked for and nobody measured, by key. */
  readonly #questions = new Map<string, Question>();

  /** The record is read, and written as measurements come in. */
  constructor(record: TuningRecord) {
    this.#record = record;
  }

  /** Kernels that programs use and that were not measured. */
  get openCount(): number {
    return this.#questions.size;
  }

  /** What was measured, else the cost model's first. */
  readonly choose: ScheduleChoice = (template, request, candidates) => {
    const first = candidates[0]!;
    if (candidates.length < 2) return first;
    const key = keyOf(template, request);
    const known = this.#record.schedules[key];
    const still = known && candidates.find((candidate) => isSame(candidate, known));
    if (still) return still;
    const question = this.#questions.get(key);
    if (question) question.uses++;
    else this.#questions.set(key, { template, request, candidates, uses: 1 });
    return first;
  };

  /** Measures open questions, the most used first, until the budget is spent or the signal fires. */
  async tune(target: Target, { budgetMs = 2000, signal, pause }: TuneOptions = {}): Promise<TuneReport> {
    const end = performance.now() + budgetMs;
    const open = [...this.#questions].sort(([, a], [, b]) => b.uses - a.uses);
    let [measured, changed] = [0, 0];
    for (const [key, question] of open) {
      if (performance.now() >= end || signal?.aborted) break;
      await pause?.();
      const best = await this.#measure(target, question, end, pause);
      this.#questions.delete(key);
      if (best === undefined) continue;
      this.#record.schedules[key] = best;
      measured++;
      if (!isSame(best, question.candidates[0]!)) changed++;
    }
    return { measured, changed, left: this.#questions.size };
  }

  /** The fastest of the best few; undefined where they cannot be measured. */
  async #measure(
    target: Target,
    { template, request, candidates }: Question,
    end: number,
    pause: TuneOptions['pause'],
  ): Promise<Schedule | undefined> {
    const operands = [...request.inputs, ...(request.epilogue?.operands ?? []), request.output];
    const bytes = operands.reduce((sum, type) => sum + byteLength(type), 0);
    if (bytes > MOST_BYTES) return undefined;
    const copies = Math.max(1, Math.min(MOST_COPIES, Math.floor(COLD_BYTES / bytes)));
    const sets: DeviceBuffer[][] = [];
    const plans: { readonly schedule: Schedule; readonly compiled: CompiledPlan; best: number }[] = [];
    try {
      for (let i = 0; i < copies; i++) sets.push(operands.map((type) => filled(target, type)));
      for (const schedule of candidates.filter((each) => isLike(template, each, candidates[0]!)).slice(0, FEW)) {
        const compiled = await target.compile(planOf(template.build(request, schedule)));
        plans.push({ schedule, compiled, best: Number.POSITIVE_INFINITY });
      }
      for (let round = 0; round < ROUNDS; round++) {
        for (const plan of plans) {
          const start = performance.now();
          for (const set of sets) await target.run(plan.compiled, set);
          plan.best = Math.min(plan.best, performance.now() - start);
        }
        await pause?.();
        if (performance.now() > end && round > 0) break;
      }
    } finally {
      for (const { compiled } of plans) compiled.dispose();
      for (const set of sets) for (const buffer of set) buffer.dispose();
    }
    const [first, ...others] = plans;
    const fastest = others.reduce((a, b) => (b.best < a.best ? b : a), first!);
    return fastest.best < first!.best * (1 - LEAST_GAIN) ? fastest.schedule : first!.schedule;
  }
}

/** Numbers that are neither zero nor extreme in any element type. */
function filled(target: Target, type: TensorType): DeviceBuffer {
  const buffer = target.allocate(byteLength(type));
  target.bytes(buffer).fill(type.dtype === 'i32' || type.dtype === 'u32' ? 0 : 0x3c);
  return buffer;
}

function planOf(kernel: Kernel): Plan {
  const slots = kernel.buffers.map((_, index) => ({ kind: 'argument' as const, index, byteOffset: 0 }));
  const steps = [{ kernel, slots: slots.map((_, i) => i), barrier: false }];
  return { name: 'tuning', steps, slots, argumentCount: slots.length, arenaBytes: 0 };
}

const keyOf = (template: KernelTemplate, { inputs, attrs, epilogue, machine }: KernelRequest): string =>
  [
    template.name,
    ...inputs.map(typeKey),
    attributesKey(attrs),
    epilogue?.key ?? '',
    machine.name,
    machine.threads,
  ].join(' ');
