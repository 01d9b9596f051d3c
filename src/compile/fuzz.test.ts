/** Random programs, compiled in random ways, against the reference interpreter. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InterpreterTarget } from '../target/interpreter/index.ts';
import type { Target } from '../target/target.ts';
import { WasmTarget } from '../target/wasm/index.ts';
import { attempt, type Candidate } from './testing/index.ts';

const candidates: fc.Arbitrary<Candidate> = fc.record({
  program: fc.array(fc.nat(0xffff), { minLength: 30, maxLength: 80 }),
  opCount: fc.integer({ min: 1, max: 6 }),
  options: fc.array(fc.nat(0xffff), { maxLength: 12 }),
});

const targets: readonly { name: string; runs: number; create: () => Promise<Target> }[] = [
  { name: 'the kernel interpreter, 2 threads', runs: 80, create: async () => new InterpreterTarget({ threads: 2 }) },
  { name: 'wasm, 1 thread', runs: 200, create: () => WasmTarget.create({ threads: 1 }) },
  { name: 'wasm, 2 threads', runs: 80, create: () => WasmTarget.create({ threads: 2 }) },
];

describe.each(targets)('random programs on $name', ({ runs, create }) => {
  let target: Target;
  beforeAll(async () => {
    target = await create();
  });
  afterAll(() => target.dispose());

  test('agree with the reference', async () => {
    await fc.assert(
      fc.asyncProperty(candidates, (candidate) => attempt(target, candidate).then(() => {})),
      { numRuns: runs, seed: 20260101 },
    );
    expect(target.liveBytes).toBe(0);
  });
});
