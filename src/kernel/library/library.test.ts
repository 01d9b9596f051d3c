import { describe, it } from 'vitest';
import { AVX2, AVX512, type Machine, SIMD128 } from '../machine.ts';
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

describe('hot kernels against their ops', () => {
  const small = withSmallCaches(SIMD128, 16384);
  it.each(kernelCases(SIMD128).map((c) => [caseName(c), c] as const))('%s', (_, kernelCase) => {
    const data = caseData(kernelCase);
    checkCase(kernelCase, data, SIMD128, 1);
    checkCase(kernelCase, data, small, 5);
  });
});

// With all schedules and small caches, too: library.long.test.ts. On machine code: tests/kernel-library.test.ts.
describe.each([AVX2, AVX512])('hot kernels for $lanes lanes against their ops', (machine) => {
  it.each(kernelCases(machine).map((c) => [caseName(c), c] as const))('%s', (_, kernelCase) =>
    checkCase(kernelCase, caseData(kernelCase), machine, 1),
  );
});
