import { expect, test } from 'vitest';
import * as b from '../ir/build.ts';
import { InterpreterTarget } from '../target/interpreter/index.ts';
import { compileGraph } from './compile.ts';
import { explain } from './explain.ts';

test('a program tells its graph, its calls and its kernels', async () => {
  const x = b.input(0, 'x', 'f32', [3, 5]);
  const target = new InterpreterTarget();
  const doubled = b.mul(b.add(x, x), b.full('f32', [3, 5], 1));
  using program = await compileGraph({ inputs: [x], outputs: [b.reduceSum(doubled, [1])] }, target, { name: 'sums' });
  const text = explain(program.report, { kernels: true });
  expect(text).toContain('# program sums\n\n1 kernel call of 1 kernel, 0 barriers');
  expect(text).toContain('after decompose, packed-views, fold-constants, simplify, common-subexpressions: 3 values');
  expect(text).toMatch(/## graph\n\n%0 = input[\s\S]*mul[\s\S]*## graph after the passes/);
  expect(text.split('## graph after the passes')[1]).not.toContain('mul');
  expect(text).toMatch(/ 0 {2}reduce +reduce_sum_add_\w+ {2}-> reduce_sum f32\[3\]/);
  expect(text).toMatch(/## kernel reduce_sum_add_\w+\n\nkernel/);
});
