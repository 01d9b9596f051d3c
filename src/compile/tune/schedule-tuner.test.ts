/** Tuning against a clock that the test moves: what is measured, what is taken, and when it stops. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KernelBuilder } from '../../kernel/language.ts';
import { SIMD128 } from '../../kernel/machine.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../../kernel/template.ts';
import { InterpreterTarget } from '../../target/interpreter/index.ts';
import type { CompiledPlan, DeviceBuffer } from '../../target/target.ts';
import { emptyRecord, readRecord, ScheduleTuner } from './index.ts';

let now = 0;
beforeEach(() => {
  now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => void vi.restoreAllMocks());

const candidates: Schedule[] = [{ tile: 1 }, { tile: 2 }, { tile: 3 }];

/** A template whose kernels say their schedule in their name. */
const template: KernelTemplate = {
  op: 'linear',
  name: 'timed',
  supports: () => true,
  schedules: () => candidates,
  build(_, { tile }) {
    const k = new KernelBuilder(`tile ${tile}`, 4);
    k.buffer('x', 'read');
    k.buffer('output', 'write');
    return k.finish();
  },
};

const request = (size: number): KernelRequest => ({
  inputs: [{ dtype: 'f32', shape: [size] }],
  output: { dtype: 'f32', shape: [size] },
  attrs: {},
  machine: SIMD128,
});

/** Runs take as long as `times` says of their kernel. */
class TimedTarget extends InterpreterTarget {
  readonly #times: Readonly<Record<string, number>>;
  readonly measured: string[] = [];

  constructor(times: Readonly<Record<string, number>>) {
    super();
    this.#times = times;
  }

  override async run({ plan }: CompiledPlan, _: readonly DeviceBuffer[]): Promise<void> {
    const { name } = plan.steps[0]!.kernel;
    this.measured.push(name);
    now += this.#times[name]!;
  }
}

const LARGE = 8 << 20; // one copy of the operands

test('the fastest is taken, kept as data, and everything is given back', async () => {
  const record = emptyRecord();
  const tuner = new ScheduleTuner(record);
  const target = new TimedTarget({ 'tile 1': 3, 'tile 2': 2, 'tile 3': 5 });
  expect(tuner.choose(template, request(LARGE), candidates)).toEqual({ tile: 1 });
  expect(tuner.openCount).toBe(1);
  expect(await tuner.tune(target)).toEqual({ measured: 1, changed: 1, left: 0 });
  expect(tuner.choose(template, request(LARGE), candidates)).toEqual({ tile: 2 });
  expect(target.liveBytes).toBe(0);
  const later = new ScheduleTuner(readRecord(JSON.stringify(record)));
  expect(later.choose(template, request(LARGE), candidates)).toEqual({ tile: 2 });
  expect(later.openCount).toBe(0);
});

test('a gain within the noise changes nothing, but is not measured again', async () => {
  const tuner = new ScheduleTuner(emptyRecord());
  tuner.choose(template, request(LARGE), candidates);
  const target = new TimedTarget({ 'tile 1': 100, 'tile 2': 99, 'tile 3': 98 });
  expect(await tuner.tune(target)).toEqual({ measured: 1, changed: 0, left: 0 });
  expect(tuner.choose(template, request(LARGE), candidates)).toEqual({ tile: 1 });
  expect(tuner.openCount).toBe(0);
});

test('the budget ends it between kernels, the most used first', async () => {
  const tuner = new ScheduleTuner(emptyRecord());
  for (const size of [LARGE, LARGE + 4, LARGE + 4]) tuner.choose(template, request(size), candidates);
  const target = new TimedTarget({ 'tile 1': 30, 'tile 2': 10, 'tile 3': 50 });
  expect(await tuner.tune(target, { budgetMs: 100 })).toEqual({ measured: 1, changed: 1, left: 1 });
  expect(tuner.choose(template, request(LARGE + 4), candidates)).toEqual({ tile: 2 });
  expect(tuner.choose(template, request(LARGE), candidates)).toEqual({ tile: 1 });
});

test('a signal ends it, and pauses come between measurements', async () => {
  const tuner = new ScheduleTuner(emptyRecord());
  for (const size of [LARGE, LARGE + 4]) tuner.choose(template, request(size), candidates);
  const abort = new AbortController();
  const target = new TimedTarget({ 'tile 1': 1, 'tile 2': 1, 'tile 3': 1 });
  const pause = vi.fn(() => abort.abort());
  expect(await tuner.tune(target, { signal: abort.signal, pause })).toMatchObject({ measured: 1, left: 1 });
  expect(pause).toHaveBeenCalled();
});

test('small operands are copied, so that they do not stay in a cache', async () => {
  const tuner = new ScheduleTuner(emptyRecord());
  tuner.choose(template, request(16), candidates);
  const target = new TimedTarget({ 'tile 1': 1, 'tile 2': 1, 'tile 3': 1 });
  await tuner.tune(target);
  expect(target.measured.length).toBe(8 * 3 * 5);
});

test('only tiles of the same algorithm are measured, so that no result changes', async () => {
  const tuner = new ScheduleTuner(emptyRecord());
  const mixed = [{ tile: 1, split: 1 }, { rows: 2 }, { tile: 3, split: 1 }, { tile: 4, split: 2 }];
  const other: KernelTemplate = { ...template, sumsBy: ['split'], schedules: () => mixed };
  tuner.choose(other, request(LARGE), mixed);
  const target = new TimedTarget({ 'tile 1': 9, 'tile undefined': 1, 'tile 3': 5, 'tile 4': 1 });
  expect(await tuner.tune(target)).toMatchObject({ changed: 1 });
  expect(new Set(target.measured)).toEqual(new Set(['tile 1', 'tile 3']));
  expect(tuner.choose(other, request(LARGE), mixed)).toEqual({ tile: 3, split: 1 });
});

test('a schedule that is no candidate any more is not taken', () => {
  const record = readRecord(JSON.stringify({ ...emptyRecord(), schedules: {} }));
  const tuner = new ScheduleTuner(record);
  tuner.choose(template, request(16), candidates);
  const [key] = [...Object.keys(record.schedules), 'none'];
  record.schedules[key!] = { tile: 9 };
  expect(tuner.choose(template, request(16), candidates)).toEqual({ tile: 1 });
});

test.each([
  undefined,
  '',
  '{',
  'null',
  '[]',
  '{"version":0,"schedules":{}}',
  '{"version":1,"schedules":{"a":{"tile":"x"}}}',
  '{"version":1,"rates":{"nearBytes":null},"schedules":{}}',
])('a record that is none is empty: %s', (text) => {
  expect(readRecord(text)).toEqual(emptyRecord());
});
