/**
 * Coverage-guided joint fuzzing of programs and of how they are compiled: what shows the compiler a new
 * decision is kept and changed further, now the program, now the passes (after Tzer: Liu et al.,
 * "Coverage-guided tensor compiler fuzzing with joint IR-pass mutation", OOPSLA 2022).
 */
import { topologicalOrder } from '../../ir/graph.ts';
import { numbersFrom } from '../../kernel/testing/index.ts';
import type { CompileReport } from '../report.ts';

/** A program and the way to compile it, as the numbers that decide them. */
export interface Candidate {
  readonly program: readonly number[];
  readonly opCount: number;
  readonly options: readonly number[];
}

interface Seed {
  readonly candidate: Candidate;
  /** Changes of the program, and of the options, since something new was seen. */
  programFailures: number;
  optionFailures: number;
}

const MOST_PROGRAM_FAILURES = 4;
const LEAST_POOL = 10;
const PROGRAM_NUMBERS = 120;
const OPTION_NUMBERS = 12;
const MOST_OPS = 14;

/** What a compilation decided, as short texts: kinds of kernels, what was fused, where results went. */
export function decisionsOf({ steps, passes }: CompileReport): string[] {
  const sizes = passes.map(({ graph }) => topologicalOrder(graph.outputs).length);
  const shrinking = passes.map(({ pass }, i) => `${pass} ${i === 0 ? '' : Math.sign(sizes[i]! - sizes[i - 1]!)}`);
  const calls = steps.map(
    (s) =>
      `${s.kind} ${s.template ?? s.kernel.replace(/_[0-9a-z]+$/, '')} ${s.epilogue ? 'behind' : ''} ${s.isInPlace} ${s.barrier}`,
  );
  const pairs = calls.slice(1).map((call, i) => `${calls[i]!.split(' ')[0]} then ${call.split(' ')[0]}`);
  return [...shrinking, ...calls, ...pairs];
}

export class GuidedFuzzer {
  readonly #next: () => number;
  readonly #pool: Seed[] = [];
  readonly #seen = new Set<string>();
  #current: { seed: Seed | undefined; changed: 'program' | 'options' } | undefined;

  constructor(seed: number) {
    this.#next = numbersFrom(seed);
  }

  /** Distinct decisions seen so far. */
  get coverage(): number {
    return this.#seen.size;
  }

  #numbers(count: number): number[] {
    return Array.from({ length: count }, () => this.#next() % 0x10000);
  }

  /** The next candidate: a change of a kept one, or a new one. */
  draw(): Candidate {
    if (this.#pool.length < LEAST_POOL || this.#next() % 4 === 0) {
      this.#current = { seed: undefined, changed: 'program' };
      return {
        program: this.#numbers(PROGRAM_NUMBERS),
        opCount: 1 + (this.#next() % MOST_OPS),
        options: this.#numbers(OPTION_NUMBERS),
      };
    }
    const seed = this.#pool[this.#next() % this.#pool.length]!;
    const changed = seed.programFailures < MOST_PROGRAM_FAILURES ? 'program' : 'options';
    this.#current = { seed, changed };
    if (changed === 'options') return { ...seed.candidate, options: this.#numbers(OPTION_NUMBERS) };
    return { ...seed.candidate, ...this.#changed(seed.candidate) };
  }

  #changed({ program, opCount }: Candidate): Pick<Candidate, 'program' | 'opCount'> {
    const at = this.#next() % program.length;
    const number = this.#next() % 0x10000;
    switch (this.#next() % 3) {
      case 0:
        return { program: program.with(at, number), opCount };
      case 1:
        return { program: [...program.slice(0, at), number, ...program.slice(at)], opCount };
      default:
        return { program: program.toSpliced(at, 1), opCount: Math.min(MOST_OPS, opCount + 1) };
    }
  }

  /** Tells what the drawn candidate led to. */
  learn(candidate: Candidate, report: CompileReport): void {
    const isNew = decisionsOf(report).filter((d) => !this.#seen.has(d));
    for (const decision of isNew) this.#seen.add(decision);
    const { seed, changed } = this.#current!;
    if (isNew.length > 0) this.#pool.push({ candidate, programFailures: 0, optionFailures: 0 });
    else if (seed && changed === 'program') seed.programFailures++;
    else if (seed && ++seed.optionFailures > 1 && this.#pool.length > LEAST_POOL)
      this.#pool.splice(this.#pool.indexOf(seed), 1);
  }
}
