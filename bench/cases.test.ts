import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { allCases, EMBEDDED_MODEL } from './cases.ts';
import { modelChoice } from './generate-model.ts';
import { BYTES_PER_WEIGHT, bytesPerDecodedToken, modelCost } from './model-cost.ts';

const cases = allCases(1 << 30);
const isMachine = (name: string): boolean => name.replace('x64-', '').startsWith('machine-');

describe('the table of cases', () => {
  it('names each case once, and each contender once in its case', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    for (const { name, contenders } of cases) {
      expect(new Set(contenders.map((c) => c.name)).size, name).toBe(contenders.length);
    }
  });

  it('puts ours first, but where the machine itself is measured', () => {
    for (const { name, contenders } of cases)
      expect(contenders[0]?.role, name).toBe(isMachine(name) ? 'ceiling' : 'ours');
  });

  it('has what each goal is against', () => {
    for (const { name, contenders, goals = [] } of cases) {
      const roles = contenders.map(({ role }) => role);
      const known = [
        ...contenders.map((c) => c.name),
        ...(roles.includes('ceiling') ? ['roofline'] : []),
        ...(roles.includes('peer') ? ['best peer'] : []),
      ];
      for (const { against, atLeast } of goals) {
        expect(known, name).toContain(against);
        expect(atLeast).toBeGreaterThan(0);
      }
    }
  });

  it('runs on adapters that exist and on models that can be made', () => {
    for (const { adapter, options } of cases.flatMap(({ contenders }) => contenders)) {
      expect(existsSync(fileURLToPath(new URL(`adapters/${adapter}.ts`, import.meta.url))), adapter).toBe(true);
      if (options.model !== undefined && options.model !== EMBEDDED_MODEL) {
        const [size, format] = String(options.model).split('-');
        expect(modelChoice(size, format)).toEqual({ size, format });
      }
    }
  });

  it('measures machine code in cases that one word finds, and nowhere else', () => {
    const isNative = cases.map(({ contenders }) => contenders.some(({ options }) => options.device === 'x64'));
    for (const [i, { name }] of cases.entries()) {
      if (!isMachine(name)) expect(name.startsWith('x64-'), name).toBe(isNative[i]);
    }
    expect(isNative.filter(Boolean).length).toBeGreaterThan(30);
  });
});

describe('what a token costs', () => {
  it('is the bytes of its weights and of the cache before it', () => {
    expect(BYTES_PER_WEIGHT).toMatchObject({ F16: 2, BF16: 2, Q8_0: 34 / 32, Q4_0: 0.5625, Q2_K: 84 / 256 });
    const { decodeWeights, cacheBytesPerToken } = modelCost('1.1B');
    expect(cacheBytesPerToken).toBe(22 * 2 * 256 * 2);
    const bytes = bytesPerDecodedToken('1.1B', 'Q4_0', 100);
    expect(bytes).toBe(decodeWeights * 0.5625 + 100 * cacheBytesPerToken);
    expect(bytes / 1e6).toBeCloseTo(584, -1);
  });
});
