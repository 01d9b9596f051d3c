/** What is fused and what is stored, told by the calls of the plan. */
import { describe, expect, test } from 'vitest';
import * as b from '../../ir/build.ts';
import * as composite from '../../ir/composites.ts';
import type { Value } from '../../ir/graph.ts';
import { kernelLibrary } from '../../kernel/library/index.ts';
import { SIMD128 } from '../../kernel/machine.ts';
import { printKernel } from '../../kernel/printer.ts';
import { linear } from '../../quant/index.ts';
import { planGraph } from '../plan.ts';

/** Kinds and result ops of a plan's calls. */
function callsOf(outputs: Value[], inputs: Value[]): string[] {
  const { steps } = planGraph({ inputs, outputs }, SIMD128, { templates: kernelLibrary, check: true });
  return steps.map(({ kind, root, epilogue }) => `${kind} ${root?.op.name ?? ''}${epilogue ? ' with epilogue' : ''}`);
}

const x = b.input(0, 'x', 'f32', [6, 40]);
const row = b.input(1, 'row', 'f32', [40]);
const column = b.input(1, 'column', 'f32', [6]);

describe('loops', () => {
  test('views cost no kernel of their own', () => {
    const turned = b.reverse(b.reshape(b.transpose(x, [1, 0]), [5, 8, 6]), [0]);
    expect(callsOf([b.neg(b.sliceAxis(turned, 0, 1, 4))], [x])).toEqual(['loop neg']);
  });

  test('an expensive value with two users is computed once', () => {
    const powers = b.exp(x);
    expect(callsOf([b.add(powers, x), b.mul(b.transpose(powers, [1, 0]), b.transpose(x, [1, 0]))], [x])).toEqual([
      'loop exp',
      'loop add',
      'loop mul',
    ]);
  });

  test('an expensive value is not repeated along rows, but hoisted out of columns', () => {
    const alongRows = b.mul(x, b.broadcast(b.exp(row), [6, 40], [1]));
    expect(callsOf([alongRows], [x, row])).toEqual(['loop exp', 'loop mul']);
    const alongColumns = b.mul(x, b.broadcast(b.exp(column), [6, 40], [0]));
    expect(callsOf([alongColumns], [x, column])).toEqual(['loop mul']);
  });

  test('reductions take their producers in', () => {
    expect(callsOf([b.reduceSum(b.mul(b.exp(x), x), [1])], [x])).toEqual(['reduce reduce_sum']);
  });

  test('windows of a convolution are strided reads, not gathers', () => {
    const image = b.input(0, 'image', 'f32', [1, 3, 20, 20]);
    const filter = b.input(1, 'filter', 'f32', [4, 3, 3, 3]);
    const { plan } = planGraph({ inputs: [image, filter], outputs: [b.conv(image, filter)] }, SIMD128, { check: true });
    expect(plan.steps.map((s) => s.kernel.buffers.length)).toEqual([3]);
    expect(printKernel(plan.steps[0]!.kernel)).toMatch(/f32x4/);
  });

  test('a reshape that no affine map follows is given memory, not arithmetic', () => {
    const odd = b.reshape(b.sliceAxis(x, 1, 0, 35), [7, 30]);
    expect(callsOf([b.neg(odd)], [x])).toEqual(['loop slice', 'loop neg']);
  });
});

describe('memory without kernels', () => {
  test('reshapes, bit casts and leading slices of stored values are aliases', () => {
    const sorted = b.sort(x, 1);
    const last = b.reshape(b.sliceAxis(sorted, 0, 5, 6), [40]);
    expect(callsOf([b.sort(last, 0), b.cumsum(b.bitcast(sorted, 'i32'), 0)], [x])).toEqual([
      'direct sort',
      'direct sort',
      'direct cumsum',
    ]);
  });
});

describe('templates', () => {
  const w = b.input(2, 'w', 'f16', [24, 40]);
  const v = b.input(3, 'v', 'f16', [24, 40]);
  const residual = b.input(1, 'residual', 'f32', [6, 24]);

  test('elementwise work behind a product becomes its epilogue', () => {
    const bias = b.input(1, 'bias', 'f32', [24]);
    const biased = b.add(linear(x, w), b.broadcast(bias, [6, 24], [1]));
    expect(callsOf([composite.gelu(biased, 'tanh')], [x, bias, w])).toEqual(['template mul with epilogue']);
    expect(callsOf([b.add(residual, linear(x, w))], [x, residual, w])).toEqual(['template add with epilogue']);
  });

  test('a gate takes one of its products in and reads the other', () => {
    const gated = composite.swiglu(linear(x, w), linear(x, v));
    expect(callsOf([gated], [x, residual, w, v])).toEqual(['template linear', 'template mul with epilogue']);
  });

  test('a product that others read too is stored', () => {
    const product = linear(x, w);
    expect(callsOf([b.exp(product), b.reduceSum(product, [0])], [x, residual, w])).toEqual([
      'template linear',
      'loop exp',
      'reduce reduce_sum',
    ]);
  });

  test('a transposing reader is no epilogue', () => {
    expect(callsOf([b.neg(b.transpose(linear(x, w), [1, 0]))], [x, residual, w])).toEqual([
      'template linear',
      'loop neg',
    ]);
  });
});

test('equal layers share their kernels, and one barrier serves what does not depend on each other', () => {
  const model = (layers: number) => {
    const inputs = [x];
    let state: Value = x;
    for (let layer = 0; layer < layers; layer++) {
      const weights = [0, 1, 2].map((i) => b.input(inputs.length + i, 'w', 'f16', [40, 40]));
      inputs.push(...weights);
      const [p, q, r] = weights.map((w) => linear(state, w)) as [Value, Value, Value];
      state = b.sort(b.add(b.sort(p, 1), b.mul(b.sort(q, 1), b.sort(r, 1))), 1);
    }
    return planGraph({ inputs, outputs: [state] }, { ...SIMD128, threads: 2 }, { templates: kernelLibrary });
  };
  const [one, many] = [model(1), model(5)];
  const kernels = (plan: typeof one): number => new Set(plan.plan.steps.map((s) => s.kernel)).size;
  expect(kernels(many)).toBe(kernels(one));
  const barriers = many.steps.filter((s) => s.barrier).length;
  expect(barriers).toBe(5 * 4 - 1);
});
