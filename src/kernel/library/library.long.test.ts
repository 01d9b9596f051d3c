/** Every schedule of every hot kernel on machines of all widths, with large caches and with small ones. */
import { describe, it } from 'vitest';
import { AVX2, AVX512, type Machine, SIMD128 } from '../machine.ts';
import { caseName, checkCase } from './case-check.fixture.ts';
import { caseData } from './case-data.ts';
import { kernelCases } from './index.ts';

const withSmallCaches = (machine: Machine): Machine => ({
  ...machine,
  threads: 2,
  l1Bytes: 4096,
  l2Bytes: 4096,
  name: `${machine.name}, small caches`,
});

describe.each([SIMD128, AVX2, AVX512])('all schedules for $lanes lanes', (machine) => {
  it.each(kernelCases(machine).map((c) => [caseName(c), c] as const))('%s', (_, kernelCase) => {
    const data = caseData(kernelCase);
    for (const each of [machine, withSmallCaches(machine)]) checkCase(kernelCase, data, each, 64);
  });
});
