/** Runs cases on the kernel interpreter as a machine's kernels, and holds them against their ops' meaning. */
import { expect } from 'vitest';
import { typeName } from '../../ir/op/rule.ts';
import { byteLength } from '../../ir/shape.ts';
import { runKernel } from '../interpret.ts';
import type { Machine } from '../machine.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { type CaseData, caseError } from './case-data.ts';
import { type KernelCase, kernelLibrary } from './index.ts';

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
function checkSchedule(
  { bound }: KernelCase,
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
  expect(error.nmse, `${kernel.name} on ${threads} threads`).toBeLessThanOrEqual(bound.nmse);
  expect(error.worst, `${kernel.name} on ${threads} threads`).toBeLessThanOrEqual(bound.worst);
}

/** At most `count` entries, from the first to the last. */
const spread = <T>(list: readonly T[], count: number): T[] =>
  list.length <= count
    ? [...list]
    : Array.from({ length: count }, (_, i) => list[Math.round((i * (list.length - 1)) / Math.max(1, count - 1))]!);

/**
 * Checks at most `count` of a machine's schedules that `filter` lets pass, the best one among them: one alone on one thread,
 * others on 1 to 3.
 */
export function checkCase(
  kernelCase: KernelCase,
  data: CaseData,
  machine: Machine,
  count: number,
  filter: (schedule: Schedule) => boolean = () => true,
): void {
  const request = requestFor(kernelCase, data, machine);
  const template = templateOf(kernelCase, request);
  expect(template?.name, machine.name).toBe(kernelCase.template);
  const schedules = template!.schedules(request).filter(filter);
  expect(schedules.length).toBeGreaterThan(0);
  expect(schedules.length).toBeLessThanOrEqual(64);
  for (const [i, schedule] of spread(schedules, count).entries())
    checkSchedule(kernelCase, data, request, template!, schedule, count === 1 ? 1 : 1 + ((i + 1) % 3));
}

export const caseName = ({ template, inputs, epilogue }: KernelCase): string =>
  [template, ...inputs.map(typeName), epilogue ? `then ${epilogue.key}` : ''].join(' ');
