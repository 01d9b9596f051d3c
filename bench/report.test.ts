import { describe, expect, it } from 'vitest';
import { type Contender, UNITS, type Unit } from './case.ts';
import { renderChart } from './chart.ts';
import type { CaseResult, Outcome } from './measure.ts';
import { advantage, checkGoal, mergeReports, type Report, renderCase, renderReport, roofline } from './report.ts';
import { summarize } from './statistics.ts';

const outcome = (name: string, role: Contender['role'], value: number, missing: string | null = null): Outcome => {
  const samples = Array.from({ length: missing === null ? 5 : 0 }, () => ({
    value,
    disturbedShare: 0,
    seconds: 1,
    iterations: 1,
  }));
  const contender: Contender = { name, role, adapter: 'x', options: {}, node: 'newest' };
  return { contender, note: '', missing, samples, summary: summarize(samples) };
};

const result = (unit: Unit, outcomes: readonly Outcome[]): CaseResult => ({
  task: { name: 'case', title: 'a <case>', unit, isQuick: true, contenders: outcomes.map((o) => o.contender) },
  outcomes,
});

const speed = result(UNITS.gflops, [
  outcome('bitloom', 'ours', 40),
  outcome('rival', 'peer', 20),
  outcome('gone', 'peer', 0, 'absent: not installed'),
  outcome('read ceiling', 'ceiling', 50),
  outcome('dot ceiling', 'ceiling', 80),
]);

describe('report', () => {
  it('takes the lowest ceiling as the roofline', () => {
    expect(roofline(speed)?.contender.name).toBe('read ceiling');
    expect(checkGoal(speed, { against: 'roofline', atLeast: 0.85 })).toEqual({
      text: '85 % of the roofline: 80 %',
      isMet: false,
    });
  });

  it('gives ratios that are above one where the subject is better, in either direction', () => {
    expect(advantage(speed, speed.outcomes[0]!, speed.outcomes[1]!)).toBe(2);
    const time = result(UNITS.milliseconds, [outcome('bitloom', 'ours', 10), outcome('rival', 'peer', 30)]);
    expect(advantage(time, time.outcomes[0]!, time.outcomes[1]!)).toBe(3);
  });

  it('says of a goal when its numbers are noisy', () => {
    const noisy = summarize([{ value: 30, disturbedShare: 0.5 }]);
    const busy = { ...speed, outcomes: speed.outcomes.map((o) => ({ ...o, summary: noisy })) };
    expect(checkGoal(busy, { against: 'rival', atLeast: 1 }).text).toBe('1× rival: 1.00× (noisy)');
  });

  it('takes the best peer of those that were measured', () => {
    const goal = { against: 'best peer', atLeast: 1.5 };
    const rivals = [outcome('better', 'peer', 25), outcome('broken', 'peer', 0, 'failed: x')];
    const higher = result(UNITS.tokens, [...speed.outcomes, ...rivals]);
    expect(checkGoal(higher, goal)).toEqual({ text: '1.5× the best peer, better: 1.60×', isMet: true });
    const lower = result(UNITS.milliseconds, [...speed.outcomes, ...rivals]);
    expect(checkGoal(lower, goal).text).toContain('the best peer, rival: 0.50×');
    const alone = result(UNITS.tokens, speed.outcomes.slice(0, 1));
    expect(checkGoal(alone, goal)).toEqual({ text: '1.5× the best peer: not measured', isMet: null });
  });

  it('tells bandwidth and time where it knows the bytes', () => {
    const [first] = speed.outcomes as [Outcome];
    const reading = { ...first, contender: { ...first.contender, bytesPerUnit: 5e8 } };
    expect(renderCase(result(UNITS.matrices, [reading]))).toContain('| 40.0 (40.0–40.0); 20.0 GB/s, 25.0 ms each |');
  });

  it('claims nothing about what was not measured', () => {
    expect(checkGoal(speed, { against: 'gone', atLeast: 2 }).isMet).toBeNull();
    expect(renderCase(speed)).toContain('| gone | – | – | – | – | absent: not installed |');
  });

  it('draws every contender and escapes text', () => {
    const chart = renderChart([speed]);
    expect(chart.match(/<rect /g)).toHaveLength(1 + 4);
    expect(chart).toContain('a &lt;case>');
    expect(chart).toContain('80 % of roofline');
  });
});

describe('mergeReports', () => {
  const machine = { cpu: 'a', nCpus: 2, commit: 'old' } as Report['machine'];
  const report = (startedAt: string, results: readonly CaseResult[], about = machine): Report => ({
    startedAt,
    seconds: 1,
    loadBefore: 0,
    loadAfter: 0,
    machine: about,
    results,
  });
  const named = (name: string): CaseResult => ({ ...speed, task: { ...speed.task, name } });

  it('keeps the cases that were not measured again, says of which run they are, and orders all', () => {
    const later = report('later', [named('b')], { ...machine, commit: 'new' });
    const merged = mergeReports(report('earlier', [named('c'), named('b'), named('a')]), later, ['a', 'b', 'c']);
    const kept = { startedAt: 'earlier', commit: 'old' };
    expect(merged.results.map(({ task, kept: of }) => [task.name, of])).toEqual([
      ['a', kept],
      ['b', undefined],
      ['c', kept],
    ]);
    expect(renderReport({ ...merged, machine: { ...merged.machine, nodes: {} } as Report['machine'] })).toContain(
      'Of the run of earlier, bitloom old.',
    );
    expect(mergeReports(merged, report('last', []), ['a']).results[0]!.kept).toEqual(kept);
  });

  it('refuses to mix machines', () => {
    const other = report('x', [], { ...machine, cpu: 'b' });
    expect(() => mergeReports(report('y', [named('a')]), other, ['a'])).toThrow('another machine');
  });
});
