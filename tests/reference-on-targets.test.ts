/** Every op and composite on each compiled device against the recorded results of NumPy and PyTorch, edge sizes and edge values included. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { composites, ops } from '../src/ir/index.ts';
import { type Bound, boundOf, differenceFrom, loadReferenceCases } from '../src/ir/reference/index.ts';
import { byteLength } from '../src/ir/shape.ts';
import { MATH_ERROR } from '../src/kernel/math.ts';
import { whyNotLevel } from '../src/target/x64/levels.fixture.ts';
import { createDevice, type Device } from '../src/tensor/index.ts';

const cases = loadReferenceCases();

/** Sums and products of up to 60 terms in f32, term by term, where the reference rounds once. */
const accumulated: Bound = { kind: 'relative', error: 60 * 2 ** -24 };
/** Where generated code may differ more from the reference than the interpreter does. */
const KERNEL_BOUNDS: Readonly<Record<string, Bound>> = {
  erf: { kind: 'ulps', ulps: MATH_ERROR.erf.ulp },
  reduce_sum: accumulated,
  reduce_prod: accumulated,
  cumsum: accumulated,
  cumprod: accumulated,
  dot_general: accumulated,
  conv: accumulated,
};

async function runOnDevice(device: Device, { graph, inputs }: (typeof cases)[number]): Promise<Uint8Array> {
  const program = await device.compile(graph);
  const buffers = inputs.map(({ bytes }) => {
    const buffer = device.allocate(bytes.length);
    device.bytes(buffer).set(bytes);
    return buffer;
  });
  const output = device.allocate(byteLength(graph.outputs[0]!.type));
  await program.run(buffers, [output]);
  const result = device.bytes(output).slice(0, output.byteLength);
  for (const buffer of [...buffers, output, program]) buffer.dispose();
  return result;
}

const devices = [
  { name: 'wasm', create: () => createDevice('wasm', { threads: 2 }), why: '' },
  {
    name: 'x64 avx512',
    create: () => createDevice('x64', { threads: 2, level: 'avx512' }),
    why: whyNotLevel('avx512'),
  },
  { name: 'x64 avx2', create: () => createDevice('x64', { threads: 1, level: 'avx2' }), why: whyNotLevel('avx2') },
] as const;

for (const { name: deviceName, create, why } of devices) {
  describe.skipIf(why !== '')(`on ${deviceName}${why}`, () => {
    let device: Device;
    beforeAll(async () => {
      device = await create();
    });
    afterAll(() => device.dispose());

    test.each([...Object.keys(ops), ...Object.keys(composites)])('%s', async (name) => {
      for (const reference of cases.filter((c) => c.op.name === name)) {
        const { type } = reference.graph.outputs[0]!;
        const result = { type, bytes: await runOnDevice(device, reference) };
        expect
          .soft(
            differenceFrom(reference.expected, result, KERNEL_BOUNDS[name] ?? boundOf(reference.op)),
            reference.name,
          )
          .toBeNull();
      }
    });
  });
}
