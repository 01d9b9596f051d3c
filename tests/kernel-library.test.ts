/** Every hot kernel on every target against its op's meaning: all cases are the steps of one plan. */
import { describe, expect, it } from 'vitest';
import { typeName } from '../src/ir/op/rule.ts';
import { byteLength } from '../src/ir/shape.ts';
import type { Kernel } from '../src/kernel/language.ts';
import { type CaseData, caseData, caseError } from '../src/kernel/library/case-data.ts';
import { type KernelCase, kernelCases, kernelLibrary } from '../src/kernel/library/index.ts';
import type { Machine } from '../src/kernel/machine.ts';
import type { Plan, Target } from '../src/target/target.ts';
import { WasmTarget } from '../src/target/wasm/index.ts';
import { X64Target } from '../src/target/x64/index.ts';
import { whyNotLevel } from '../src/target/x64/levels.fixture.ts';

function kernelFor({ op, inputs, attrs, epilogue }: KernelCase, data: CaseData, machine: Machine): Kernel {
  const types = inputs.map(({ dtype, shape }) => ({ dtype, shape }));
  const request = { inputs: types, output: data.output, attrs, machine, ...(epilogue && { epilogue }) };
  const template = kernelLibrary.find((t) => t.op === op.name && t.supports(request))!;
  return template.build(request, template.schedules(request)[0]!);
}

/** Kernels one after the other; each has arguments of its own, in order. */
function planOf(kernels: readonly Kernel[]): Plan {
  let count = 0;
  const steps = kernels.map((kernel) => ({ kernel, slots: kernel.buffers.map(() => count++), barrier: false }));
  const slots = Array.from({ length: count }, (_, index) => ({ kind: 'argument' as const, index, byteOffset: 0 }));
  return { name: 'all hot kernels', steps, slots, argumentCount: count, arenaBytes: 0 };
}

/** Runs all cases; gives each one's result. */
async function runCases(
  cases: readonly KernelCase[],
  data: readonly CaseData[],
  target: Target,
): Promise<Uint8Array[]> {
  const contents = data.map(({ inputs, operands, output }) =>
    [...inputs, ...operands].map((t) => t.bytes).concat(new Uint8Array(byteLength(output)).fill(0xff)),
  );
  const buffers = contents.flat().map((bytes) => {
    const buffer = target.allocate(bytes.length);
    target.bytes(buffer).set(bytes);
    return buffer;
  });
  const compiled = await target.compile(planOf(cases.map((c, i) => kernelFor(c, data[i]!, target.machine))));
  await target.run(compiled, buffers);
  const ends = contents.map((_, i) => contents.slice(0, i + 1).flat().length);
  const results = ends.map((end) => target.bytes(buffers[end - 1]!).slice());
  for (const owned of [...buffers, compiled]) owned.dispose();
  return results;
}

/** Cases with their operands and results, made once for all targets of as many lanes. */
const made = new Map<string, { readonly cases: readonly KernelCase[]; readonly data: readonly CaseData[] }>();

function casesFor(machine: Machine): { readonly cases: readonly KernelCase[]; readonly data: readonly CaseData[] } {
  const key = `${machine.lanes} ${machine.hasExpand} ${machine.tiles}`;
  const known = made.get(key);
  if (known) return known;
  const cases = kernelCases(machine);
  const all = { cases, data: cases.map(caseData) };
  made.set(key, all);
  return all;
}

async function check(target: Target): Promise<void> {
  const { cases, data } = casesFor(target.machine);
  const results = await runCases(cases, data, target);
  results.forEach((bytes, i) => {
    const { template, inputs, bound } = cases[i]!;
    const error = caseError({ type: data[i]!.output, bytes }, data[i]!.expected);
    const name = [template, ...inputs.map(typeName)].join(' ');
    expect.soft(error.nmse, name).toBeLessThanOrEqual(bound.nmse);
    expect.soft(error.worst, name).toBeLessThanOrEqual(bound.worst);
  });
  expect(target.liveBytes).toBe(0);
  target.dispose();
}

describe('hot kernels on wasm', () => {
  it.each([
    ['two threads', { threads: 2 }],
    ['one thread without relaxed SIMD', { threads: 1, without: ['relaxedSimd'] as const }],
  ])('are right with %s', async (_, options) => check(await WasmTarget.create(options)));
});

describe('hot kernels on x64', () => {
  for (const [level, threads] of [
    ['avx2', 2],
    ['avx512', 1],
    ['avx512', 2],
    ['amx', 2],
  ] as const) {
    const why = whyNotLevel(level);
    it.skipIf(why !== '')(`are right on ${level} with ${threads} threads, and stay in their buffers${why}`, async () =>
      check(await X64Target.create({ level, threads, isGuarded: true })),
    );
  }

  const why = whyNotLevel('avx512');
  it.skipIf(why !== '')(`are right with emulated tiles${why}`, async () =>
    check(await X64Target.create({ level: 'avx512', threads: 2, isGuarded: true, emulatesTiles: true })),
  );
});
