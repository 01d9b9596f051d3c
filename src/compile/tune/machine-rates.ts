/**
 * The device model: what one core of this machine does in a cycle, measured by kernels in the kernel language, so that it
 * holds for every target. A cycle is what half of a vector multiply-add takes, as everywhere in the cost model.
 */
import { add, type Expr, fma, mul } from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import type { Machine, MachineRates } from '../../kernel/machine.ts';
import type { DeviceBuffer, Plan, Target } from '../../target/target.ts';

const MULTIPLIES_PER_CYCLE = 2;
/** Working sets: one that stays in the second-level cache, and one that stays in none. */
const NEAR_SHARE = 0.5;
const FAR_BYTES = 64 << 20;
/** The shortest time that a clock of a microsecond tells well. */
const LEAST_MS = 2;

/** Independent chains of multiply-adds in registers, `rounds` of each. */
function multiplyKernel({ lanes, vectorRegisters }: Machine, rounds: number): { kernel: Kernel; multiplies: number } {
  const chains = Math.min(24, vectorRegisters - 4);
  const k = new KernelBuilder(`rate of multiplies ${lanes} ${chains} ${rounds}`, lanes);
  const data = k.buffer('data', 'readwrite');
  const factor = k.let(k.load(data, 'f32', 0, lanes));
  const sums = Array.from({ length: chains }, (_, i) => k.variable(mul(factor, i)));
  k.loop(0, rounds, 1, () => {
    for (const sum of sums) k.set(sum, fma(factor, factor, sum));
  });
  k.store(
    data,
    'f32',
    0,
    sums.reduce<Expr>((a, b) => add(a, b), factor),
  );
  return { kernel: k.finish(), multiplies: chains * rounds };
}

/** Reads `bytes` from the start of its buffer on, `rounds` times, several streams of sums. */
function readKernel({ lanes }: Machine, bytes: number, rounds: number): Kernel {
  const k = new KernelBuilder(`rate of reads ${lanes} ${bytes} ${rounds}`, lanes);
  const [data, out] = [k.buffer('data', 'read'), k.buffer('out', 'write')];
  const step = 8 * 4 * lanes;
  const sums = Array.from({ length: 8 }, () => k.variable(k.load(data, 'f32', 0, lanes)));
  k.loop(0, rounds, 1, () =>
    k.loop(0, Math.floor(bytes / step) * step, step, (at) => {
      for (const [i, sum] of sums.entries()) k.set(sum, add(sum, k.load(data, 'f32', add(at, 4 * lanes * i), lanes)));
    }),
  );
  k.store(
    out,
    'f32',
    0,
    sums.slice(1).reduce<Expr>((a, b) => add(a, b), sums[0]!),
  );
  return k.finish();
}

/** The least time of one run, in milliseconds. */
async function time(target: Target, kernel: Kernel, buffers: readonly DeviceBuffer[]): Promise<number> {
  const slots = buffers.map((_, index) => ({ kind: 'argument' as const, index, byteOffset: 0 }));
  const steps = [{ kernel, slots: slots.map((_, i) => i), barrier: false }];
  const plan: Plan = { name: kernel.name, steps, slots, argumentCount: buffers.length, arenaBytes: 0 };
  const compiled = await target.compile(plan);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 4; i++) {
    const start = performance.now();
    await target.run(compiled, buffers);
    least = Math.min(least, performance.now() - start);
  }
  compiled.dispose();
  return least;
}

/** Measures the machine: some 100 ms. All threads run the same, so that what they share is shared. */
export async function measureRates(target: Target): Promise<MachineRates> {
  const { machine, threads } = target;
  const [data, out] = [target.allocate(FAR_BYTES), target.allocate(64 * 1024)];
  target.bytes(data).fill(0);
  try {
    let rounds = 10_000;
    let ms = 0;
    let multiplies = 0;
    for (; ms < LEAST_MS && rounds < 10 ** 8; rounds *= 4) {
      const work = multiplyKernel(machine, rounds);
      multiplies = work.multiplies;
      ms = await time(target, work.kernel, [data]);
    }
    // A target cuts work into parts, and here every part does all of it.
    const parts = (await partsOf(target, out)) / threads;
    const cyclesPerMs = (multiplies * parts) / ms / MULTIPLIES_PER_CYCLE;
    const nearBytes = Math.floor(machine.l2Bytes * NEAR_SHARE);
    const nearRounds = Math.ceil((16 << 20) / nearBytes);
    const nearMs = await time(target, readKernel(machine, nearBytes, nearRounds), [data, out]);
    const farMs = await time(target, readKernel(machine, FAR_BYTES, 1), [data, out]);
    return {
      nearBytes: (nearBytes * nearRounds * parts) / nearMs / cyclesPerMs,
      farBytes: (FAR_BYTES * parts) / farMs / cyclesPerMs,
    };
  } finally {
    data.dispose();
    out.dispose();
  }
}

/** Into how many parts a target cuts a step. */
async function partsOf(target: Target, out: DeviceBuffer): Promise<number> {
  const k = new KernelBuilder('number of parts', 4);
  const buffer = k.buffer('out', 'write');
  k.parallelLoop(4096, 1, (i) => k.storeAt(buffer, 'i32', i, { kind: 'threads', type: { element: 'i32', lanes: 1 } }));
  await time(target, k.finish(), [out]);
  return new DataView(target.bytes(out).slice(0, 4).buffer).getInt32(0, true);
}
