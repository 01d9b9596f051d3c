/** Random kernels: nested loops, branches, registers that change, addresses of many forms, against the interpreter. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { difference, isFloatBuffer, randomBuffers, randomKernel } from '../../kernel/testing/index.ts';
import { platform } from '../../platform/index.ts';
import { detectFeatures } from './features.ts';
import { lawful, lower, PLAIN, RELAXED } from './lower.fixture.ts';

// Switches relaxed SIMD on where the engine hides it.
beforeAll(() => detectFeatures(platform.wasm));

describe('random kernels', () => {
  it.each([PLAIN, RELAXED])('leave the same memory as the interpreter with %o', async (features) => {
    let nLoops = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(9999), { minLength: 20, maxLength: 800, size: 'max' }), async (tape) => {
        const { kernel } = randomKernel(tape, 4);
        nLoops += kernel.body.filter((s) => s.kind === 'loop').length;
        const buffers = randomBuffers(tape.length);
        const run = await lower(kernel, features);
        expect(difference(run(buffers), lawful(kernel, buffers), isFloatBuffer)).toBeUndefined();
      }),
      { numRuns: 150 },
    );
    expect(nLoops).toBeGreaterThan(20);
  });
});
