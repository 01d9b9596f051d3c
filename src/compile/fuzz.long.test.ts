/** The long fuzz: 20,000 programs, guided by what the compiler decides. */
import { describe, expect, test } from 'vitest';
import { InterpreterTarget } from '../target/interpreter/index.ts';
import type { Target } from '../target/target.ts';
import { WasmTarget } from '../target/wasm/index.ts';
import { attempt, type Candidate, GuidedFuzzer } from './testing/index.ts';

const targets: readonly { name: string; runs: number; seed: number; create: () => Promise<Target> }[] = [
  {
    name: 'the kernel interpreter, 3 threads',
    runs: 4000,
    seed: 1,
    create: async () => new InterpreterTarget({ threads: 3 }),
  },
  { name: 'wasm, 1 thread', runs: 10_000, seed: 2, create: () => WasmTarget.create({ threads: 1 }) },
  { name: 'wasm, 2 threads', runs: 6000, seed: 3, create: () => WasmTarget.create({ threads: 2 }) },
];

/** Fewer ops and more zeros, as long as the failure stays. */
async function reduced(target: Target, candidate: Candidate): Promise<Candidate> {
  const fails = (c: Candidate): Promise<boolean> =>
    attempt(target, c).then(
      () => false,
      () => true,
    );
  let smallest = candidate;
  while (smallest.opCount > 1 && (await fails({ ...smallest, opCount: smallest.opCount - 1 }))) {
    smallest = { ...smallest, opCount: smallest.opCount - 1 };
  }
  for (let i = 0; i < smallest.program.length; i++) {
    const simpler = { ...smallest, program: smallest.program.with(i, 0) };
    if (smallest.program[i] !== 0 && (await fails(simpler))) smallest = simpler;
  }
  return smallest;
}

describe.each(targets)('guided fuzzing on $name', ({ runs, seed, create }) => {
  test('agrees with the reference', { timeout: 3_600_000 }, async () => {
    const target = await create();
    const fuzzer = new GuidedFuzzer(seed);
    for (let run = 0; run < runs; run++) {
      const candidate = fuzzer.draw();
      try {
        fuzzer.learn(candidate, await attempt(target, candidate));
      } catch {
        const small = await reduced(target, candidate);
        await attempt(target, small).catch((error: Error) => {
          throw new Error(`run ${run}, ${JSON.stringify(small)}: ${error.message}`, { cause: error });
        });
      }
    }
    expect(fuzzer.coverage).toBeGreaterThan(300);
    expect(target.liveBytes).toBe(0);
    target.dispose();
  });
});
