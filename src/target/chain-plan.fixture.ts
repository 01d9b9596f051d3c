/** For tests: a small plan whose steps depend on each other, and what every target has to do with it. */
import { afterAll, describe, expect, it } from 'vitest';
import { add, fma, mul, threadIndex } from '../kernel/expression.ts';
import { runKernel } from '../kernel/interpret.ts';
import { type Kernel, KernelBuilder } from '../kernel/language.ts';
import type { BufferSlot, DeviceBuffer, Plan, Target } from './target.ts';

/** Elements of its buffers. */
export const N = 61;

/** out = a * 2 + b, elementwise. */
function axpy(): Kernel {
  const k = new KernelBuilder(`axpy ${N}`, 4);
  const [a, b, out] = [k.buffer('a', 'read'), k.buffer('b', 'read'), k.buffer('out', 'write')];
  k.parallelRange(N, 4, (begin, end) =>
    k.vectorLoop(begin, end, (i, lanes) => {
      k.storeAt(out, 'f32', i, fma(k.loadAt(a, 'f32', i, lanes), 2, k.loadAt(b, 'f32', i, lanes)));
    }),
  );
  return k.finish();
}

/** out[i] = sum of a, through a partial sum of each thread in shared scratch. */
function total(threads: number): Kernel {
  const k = new KernelBuilder(`total ${N}`, 4);
  const [a, out] = [k.buffer('a', 'read'), k.buffer('out', 'write')];
  const { buffer: partial, byteOffset } = k.sharedScratch(4 * threads);
  const { buffer: own, byteOffset: at } = k.threadScratch(4);
  k.store(own, 'f32', at, mul(k.loadAt(a, 'f32', 0), 0));
  k.parallelLoop(N, 1, (i) => k.store(own, 'f32', at, add(k.load(own, 'f32', at), k.loadAt(a, 'f32', i))));
  k.store(partial, 'f32', add(mul(threadIndex, 4), byteOffset), k.load(own, 'f32', at));
  k.barrier();
  const sum = k.variable(mul(k.loadAt(a, 'f32', 0), 0));
  k.loop(0, threads, 1, (t) => k.set(sum, add(sum, k.load(partial, 'f32', add(mul(t, 4), byteOffset)))));
  k.parallelLoop(N, 1, (i) => k.storeAt(out, 'f32', i, sum));
  return k.finish();
}

const slots: BufferSlot[] = [
  { kind: 'argument', index: 0, byteOffset: 0 },
  { kind: 'argument', index: 1, byteOffset: 4 },
  { kind: 'argument', index: 2, byteOffset: 0 },
  { kind: 'arena', byteOffset: 64 },
  { kind: 'arena', byteOffset: 512 },
];

/** t = 2a + b; s = 2t + t; out = total(s): each step reads what all threads wrote before. */
export function chainPlan(threads: number): Plan {
  const kernel = axpy();
  return {
    name: 'chain',
    slots,
    argumentCount: 3,
    arenaBytes: 1024,
    steps: [
      { kernel, slots: [0, 1, 3], barrier: true },
      { kernel, slots: [3, 3, 4], barrier: true },
      { kernel: total(threads), slots: [4, 2], barrier: false },
    ],
  };
}

export const values = Float32Array.from({ length: N + 1 }, (_, i) => (i % 7) - 2);
const bytesOf = (a: Float32Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

export function lawOf({ steps }: Plan, threads: number): Float32Array {
  const [t, s, out] = [0, 0, 0].map(() => new Uint8Array(N * 4));
  const [a, b] = [bytesOf(values).slice(0, N * 4), bytesOf(values).slice(4)];
  runKernel(steps[0]!.kernel, [a, b, t!]);
  runKernel(steps[1]!.kernel, [t!, t!, s!]);
  runKernel(steps[2]!.kernel, [s!, out!], threads);
  return new Float32Array(out!.buffer);
}

export function filled(target: Target, data: Float32Array): DeviceBuffer {
  const buffer = target.allocate(data.byteLength);
  target.bytes(buffer).set(bytesOf(data));
  return buffer;
}

export const read = (target: Target, buffer: DeviceBuffer): Float32Array =>
  new Float32Array(target.bytes(buffer).slice().buffer);

/** Holds a target to what all of them do. */
export function describeTarget(name: string, create: (threads: number) => Promise<Target>): void {
  const targets: Target[] = [];
  const makeTarget = async (threads: number): Promise<Target> => {
    const target = await create(threads);
    targets.push(target);
    return target;
  };
  afterAll(() => {
    for (const target of targets) target.dispose();
  });

  describe.each([1, 2, 3])(`${name} with %i threads`, (threads) => {
    it('runs plans many times, also after others were compiled', async () => {
      const target = await makeTarget(threads);
      expect(target.threads).toBe(threads);
      const [a, out] = [filled(target, values), target.allocate(N * 4)];
      const law = lawOf(chainPlan(threads), threads);
      for (let round = 0; round < 4; round++) {
        const compiled = await target.compile(chainPlan(threads));
        for (let i = 0; i < 50; i++) {
          target.bytes(out).fill(255);
          await target.run(compiled, [a, a, out]);
          expect(read(target, out)).toEqual(law);
        }
        if (round % 2 === 1) await new Promise((resolve) => setTimeout(resolve, 5)); // workers fall asleep
        if (round > 0) compiled.dispose();
      }
    });

    it('pauses between steps, and leaves the rest undone where a pause throws', async () => {
      const target = await makeTarget(threads);
      const law = lawOf(chainPlan(threads), threads);
      const [a, out] = [filled(target, values), target.allocate(N * 4)];
      for (let stopAt = 1; stopAt <= 2; stopAt++) {
        const compiled = await target.compile(chainPlan(threads)); // a new plan pauses after its first step
        target.bytes(out).fill(0);
        let pauses = 0;
        const pause = async (): Promise<void> => {
          expect(read(target, out).every((x) => x === 0)).toBe(true);
          await new Promise(setImmediate);
          if (++pauses === stopAt) throw new Error(`stopped at ${stopAt}`);
        };
        const running = target.run(compiled, [a, a, out], pause);
        await expect(target.run(compiled, [a, a, out])).rejects.toThrow(/is running/);
        if (stopAt === 1) await expect(running).rejects.toThrow(`stopped at ${stopAt}`);
        else await running;
        if (stopAt === 1) expect(read(target, out).every((x) => x === 0)).toBe(true);
        for (let i = 0; i < 4; i++) {
          target.bytes(out).fill(255);
          await target.run(compiled, [a, a, out], async () => {});
          expect(read(target, out)).toEqual(law);
        }
      }
    });

    it('survives a plan disposed, and another run, in its pauses', async () => {
      const target = await makeTarget(threads);
      const [a, out] = [filled(target, values), target.allocate(N * 4)];
      const [compiled, other] = [await target.compile(chainPlan(threads)), await target.compile(chainPlan(threads))];
      const between = async (): Promise<void> => {
        await target.run(other, [a, a, out]);
        (await target.compile(chainPlan(threads))).dispose();
      };
      await target.run(compiled, [a, a, out], between);
      expect(read(target, out)).toEqual(lawOf(chainPlan(threads), threads));
      const fresh = await target.compile(chainPlan(threads));
      const run = target.run(fresh, [a, a, out], () => fresh.dispose());
      await expect(run).rejects.toMatchObject({ code: 'DISPOSED' });
    });
  });

  describe(`${name}: memory and misuse`, () => {
    it('gives everything back', async () => {
      const target = await makeTarget(2);
      const compiled = await target.compile(chainPlan(2));
      const buffer = target.allocate(100);
      expect(target.liveBytes).toBeGreaterThan(1024 + 100);
      compiled.dispose();
      compiled.dispose();
      buffer.dispose();
      buffer.dispose();
      expect(target.liveBytes).toBe(0);
      expect(() => target.bytes(buffer)).toThrow(/after dispose/);
      await expect(target.run(compiled, [])).rejects.toMatchObject({ code: 'DISPOSED' });
    });

    it('refuses wrong numbers of buffers and plans whose slots do not fit', async () => {
      const target = await makeTarget(1);
      const compiled = await target.compile(chainPlan(1));
      await expect(target.run(compiled, [])).rejects.toThrow(/takes 3 buffers, not 0/);
      const wrong = { ...chainPlan(1), steps: [{ kernel: axpy(), slots: [0], barrier: true }] };
      await expect(target.compile(wrong)).rejects.toThrow(/takes 3/);
    });
  });
}
