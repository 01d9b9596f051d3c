/** Hot kernels in tile registers against the interpreter, bit for bit, between pages that nobody may touch. */
import { describe, expect, it } from 'vitest';
import { byteLength } from '../../ir/shape.ts';
import { caseData } from '../../kernel/library/case-data.ts';
import { type KernelCase, kernelLibrary } from '../../kernel/library/index.ts';
import { tileRegisterCases } from '../../kernel/library/tile-register-cases.ts';
import { AMX, type Machine } from '../../kernel/machine.ts';
import type { KernelRequest } from '../../kernel/template.ts';
import { Bench, lawful, nativeHost } from './lower.fixture.ts';
import { TILE_SETS } from './tiles.fixture.ts';

/** A machine whose caches cut even small products into pieces. */
const SMALL: Machine = { ...AMX, name: 'amx, small caches', threads: 2, l1Bytes: 4096, l2Bytes: 32 << 10 };

/** The best kernel with tiles for each machine. */
function kernelsOf({ op, inputs, attrs, epilogue }: KernelCase, output: KernelRequest['output']) {
  return [AMX, SMALL].map((machine) => {
    const types = inputs.map(({ dtype, shape }) => ({ dtype, shape }));
    const request: KernelRequest = { inputs: types, output, attrs, machine, ...(epilogue && { epilogue }) };
    const template = kernelLibrary.find((t) => t.op === op.name && t.supports(request))!;
    const kernels = template.schedules(request).map((schedule) => () => template.build(request, schedule));
    for (const build of kernels) {
      const kernel = build();
      if (kernel.tiles.length > 0) return kernel;
    }
    throw new Error(`no kernel for ${template.name} has tiles`);
  });
}

describe.each(TILE_SETS)('kernels in $name', ({ features, why }) => {
  describe.skipIf(why !== undefined)(
    why === undefined ? 'leave what the interpreter leaves' : `(skipped: ${why})`,
    () => {
      it.each(tileRegisterCases().map((c, i) => [`${i}: ${c.template}`, c] as const))('%s', async (_, kernelCase) => {
        const data = caseData(kernelCase);
        const buffers = [
          ...[...data.inputs, ...data.operands].map((t) => t.bytes),
          new Uint8Array(byteLength(data.output)).fill(0xff),
        ];
        for (const [i, kernel] of kernelsOf(kernelCase, data.output).entries()) {
          const lengths = buffers.map((b) => b.length);
          const bench = new Bench(await nativeHost(), lengths, Math.max(64, kernel.threadScratchBytes));
          const [found, wanted] = [bench.run({ kernel, features }, buffers, i + 1), lawful(kernel, buffers, i + 1)];
          expect(found.at(-1), kernel.name).toEqual(wanted.at(-1));
          bench.dispose();
        }
      });
    },
  );
});
