import { describe, it } from 'vitest';
import { type Machine, SIMD128 } from '../machine.ts';
import { caseName, checkCase } from './case-check.fixture.ts';
import { caseData } from './case-data.ts';
import { kernelCases } from './index.ts';

const withSmallCaches = (machine: Machine, l2Bytes: number): Machine => ({
  ...machine,
  threads: 2,
  l1Bytes: 4096,
  l2Bytes,
  name: `${machine.name}, small caches`,
});

// Wider machines: tests/kernel-library.test.ts on machine code, library.long.test.ts on the interpreter with all schedules.
describe('hot kernels against their ops', () => {
  const small = withSmallCaches(SIMD128, 16384);
  it.each(kernelCases(SIMD128).map((c) => [caseName(c), c] as const))('%s', (_, kernelCase) => {
    const data = caseData(kernelCase);
    checkCase(kernelCase, data, SIMD128, 1);
    checkCase(kernelCase, data, small, 5);
  });
});
