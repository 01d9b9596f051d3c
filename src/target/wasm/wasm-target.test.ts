import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { i32, mul, threadIndex } from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import { chainPlan, describeTarget, filled, lawOf, N, read, values } from '../chain-plan.fixture.ts';
import { WasmTarget } from './wasm-target.ts';

const targets: WasmTarget[] = [];
async function makeTarget(options: Parameters<typeof WasmTarget.create>[0]): Promise<WasmTarget> {
  const target = await WasmTarget.create(options);
  targets.push(target);
  return target;
}
afterAll(() => {
  for (const target of targets) target.dispose();
});

describeTarget('wasm', (threads) => WasmTarget.create({ threads }));

/** Reads far past any buffer in every thread but the first. */
function failing(): Kernel {
  const k = new KernelBuilder('failing', 4);
  const out = k.buffer('out', 'write');
  k.store(out, 'i32', mul(threadIndex, -16), i32(1));
  return k.finish();
}

describe.each([1, 2, 3])('with %i threads', (threads) => {
  it('reports a trap in any thread once, and goes on', async () => {
    const target = await makeTarget({ threads });
    const out = target.allocate(64);
    const bad = await target.compile({
      name: 'bad',
      slots: [{ kind: 'argument', index: 0, byteOffset: threads === 1 ? -(2 ** 21) : -(2 ** 20) - 2048 }],
      argumentCount: 1,
      arenaBytes: 0,
      steps: [{ kernel: failing(), slots: [0], barrier: true }],
    });
    for (let i = 0; i < 3; i++) {
      await expect(target.run(bad, [out])).rejects.toMatchObject({ code: 'INVALID_GRAPH' });
    }
    const good = await target.compile(chainPlan(threads));
    const [a, result] = [filled(target, values), target.allocate(N * 4)];
    await target.run(good, [a, a, result]);
    expect(read(target, result)).toEqual(lawOf(chainPlan(threads), threads));
  });
});

it('refuses to run once a thread died, and can still be disposed', async () => {
  const post = vi.spyOn(Worker.prototype, 'postMessage');
  const target = await WasmTarget.create({ threads: 2 });
  const compiled = await target.compile(chainPlan(2));
  const [worker] = post.mock.contexts as Worker[];
  post.mockRestore();
  await worker!.terminate();
  const run = target.run(
    compiled,
    [1, 2, 3].map(() => target.allocate(N * 4 + 4)),
  );
  await expect(run).rejects.toMatchObject({ code: 'NO_DEVICE', details: { thread: 1 } });
  compiled.dispose();
  target.dispose();
});

describe('memory', () => {
  it('keeps arguments right when memory that is not shared grows', async () => {
    const target = await makeTarget({ threads: 1 });
    const compiled = await target.compile(chainPlan(1));
    const a = filled(target, values);
    target.allocate(32 << 20);
    const out = target.allocate(N * 4);
    await target.run(compiled, [a, a, out]);
    expect(read(target, out)).toEqual(lawOf(chainPlan(1), 1));
  });
});

describe('features', () => {
  it('names each fallback once', async () => {
    const warnings: string[] = [];
    const target = await makeTarget({
      threads: 2,
      without: ['threads', 'relaxedSimd'],
      onWarning: (w) => warnings.push(w),
    });
    expect(warnings).toEqual(['one-thread: threads are not available: switched off by the caller']);
    expect(target.machine).toMatchObject({ threads: 1, dot8: 'none', hasFma: false });
  });

  it('finds relaxed SIMD in this engine', async () => {
    const target = await makeTarget({ threads: 1 });
    expect(target.features.relaxedSimd).toBe(true);
    expect(target.machine.dot8).not.toBe('none');
  });

  it('gives the same sums with and without relaxed instructions on exact values', async () => {
    const target = await makeTarget({ threads: 1, without: ['relaxedSimd'] });
    const compiled = await target.compile(chainPlan(1));
    const [a, out] = [filled(target, values), target.allocate(N * 4)];
    await target.run(compiled, [a, a, out]);
    expect(read(target, out)).toEqual(lawOf(chainPlan(1), 1));
  });
});
