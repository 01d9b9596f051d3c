import { describe, expect, it } from 'vitest';
import { typeName } from '../../ir/op/rule.ts';
import { byteLength } from '../../ir/shape.ts';
import { runKernel } from '../interpret.ts';
import { type Machine, SIMD128 } from '../machine.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { type CaseData, caseData, caseError } from './case-data.ts';
import { type KernelCase, kernelCases, kernelLibrary } from './index.ts';

const machines: Machine[] = [SIMD128, { ...SIMD128, threads: 2, l1Bytes: 4096, l2Bytes: 16384, name: 'small caches' }];

function requestFor(kernelCase: KernelCase, data: CaseData, machine: Machine): KernelRequest {
  const { inputs, attrs, epilogue } = kernelCase;
  return {
    inputs: inputs.map(({ dtype, shape }) => ({ dtype, shape })),
    output: data.output,
    attrs,
    machine,
    ...(epilogue && { epilogue }),
  };
}

const templateOf = (kernelCase: KernelCase, request: KernelRequest): KernelTemplate | undefined =>
  kernelLibrary.find((t) => t.op === kernelCase.op.name && t.supports(request));

/** Runs one candidate and checks its result against the op's meaning. */
function check(
  kernelCase: KernelCase,
  data: CaseData,
  request: KernelRequest,
  template: KernelTemplate,
  schedule: Schedule,
  threads: number,
): void {
  const kernel = template.build(request, schedule);
  const bytes = new Uint8Array(byteLength(data.output)).fill(0xff);
  runKernel(kernel, [...data.inputs, ...data.operands].map((t) => t.bytes).concat(bytes), threads);
  const error = caseError({ type: data.output, bytes }, data.expected);
  expect(error.nmse, `${kernel.name} on ${threads} threads`).toBeLessThanOrEqual(kernelCase.bound.nmse);
  expect(error.worst, `${kernel.name} on ${threads} threads`).toBeLessThanOrEqual(kernelCase.bound.worst);
}

/** At most `count` entries, from the first to the last. */
const spread = <T>(list: readonly T[], count: number): T[] =>
  list.length <= count
    ? [...list]
    : Array.from({ length: count }, (_, i) => list[Math.round((i * (list.length - 1)) / (count - 1))]!);

const nameOf = ({ template, inputs, epilogue }: KernelCase): string =>
  [template, ...inputs.map(typeName), epilogue ? `then ${epilogue.key}` : ''].join(' ');

describe('hot kernels against their ops', () => {
  it.each(kernelCases().map((c) => [nameOf(c), c] as const))('%s', (_, kernelCase) => {
    const data = caseData(kernelCase);
    machines.forEach((machine, m) => {
      const request = requestFor(kernelCase, data, machine);
      const template = templateOf(kernelCase, request);
      expect(template?.name).toBe(kernelCase.template);
      const schedules = template!.schedules(request);
      expect(schedules.length).toBeGreaterThan(0);
      expect(schedules.length).toBeLessThanOrEqual(64);
      const candidates = m === 0 ? schedules.slice(0, 1) : spread(schedules, 5);
      for (const [i, schedule] of candidates.entries()) {
        check(kernelCase, data, request, template!, schedule, m === 0 ? 1 : 1 + ((i + 1) % 3));
      }
    });
  });
});
