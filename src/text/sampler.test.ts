import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSampler, logProbabilities, type SamplerOptions } from './index.ts';
import { selectTop } from './top-selection.ts';

const logitsOf = (probabilities: readonly number[]): Float32Array => Float32Array.from(probabilities, Math.log);

/** Tokens that a sampler can choose: at a huge temperature it draws evenly from all that truncation keeps. */
function keptSet(logits: Float32Array, options: SamplerOptions, drawsPerToken = 40): number[] {
  const sampler = createSampler({ ...options, temperature: 1e9, seed: 7 });
  const seen = new Set<number>();
  for (let i = 0; i < drawsPerToken * logits.length; i++) seen.add(sampler.sample(logits));
  return [...seen].sort((a, b) => a - b);
}

/** The same set by sorting everything. */
function expectedSet(logits: Float32Array, { topK = 0, topP = 1, minP = 0 }: SamplerOptions): number[] {
  const sorted = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const peak = logits[sorted[0]!]!;
  const weight = (id: number): number => Math.exp(logits[id]! - peak);
  const top = sorted.slice(0, topK || logits.length);
  const total = top.reduce((sum, id) => sum + weight(id), 0);
  let sum = 0;
  const nucleus = top.filter((id) => {
    const isNeeded = sum < topP * total || sum === 0;
    sum += weight(id);
    return isNeeded;
  });
  return nucleus.filter((id) => weight(id) >= minP).sort((a, b) => a - b);
}

describe('truncation', () => {
  const someLogits = fc
    .array(fc.integer({ min: -12, max: 12 }), { minLength: 1, maxLength: 14 })
    .map((values) => Float32Array.from(values, (value) => value / 4));

  test('keeps exactly the tokens that top-k, top-p and min-p together ask for', () => {
    const topK = fc.constantFrom(0, 2, 3, 5, 100);
    const topP = fc.constantFrom(1, 0.9, 0.5, 0.1, 0);
    const minP = fc.constantFrom(0, 0.05, 0.3, 1);
    fc.assert(
      fc.property(someLogits, topK, topP, minP, (logits, topK, topP, minP) => {
        expect(keptSet(logits, { topK, topP, minP })).toEqual(expectedSet(logits, { topK, topP, minP }));
      }),
      { numRuns: 300 },
    );
  });

  test('top-p alone reaches beyond its first selection in a flat vocabulary', () => {
    const logits = Float32Array.from({ length: 200 }, (_, id) => -id * 1e-4);
    const kept = keptSet(logits, { topP: 0.6 }, 12);
    expect(kept).toEqual(expectedSet(logits, { topP: 0.6 }));
    expect(kept.length).toBeGreaterThan(64);
  });

  test('selectTop sorts the k best, ties by index', () => {
    fc.assert(
      fc.property(someLogits, fc.nat(13), (scores, extra) => {
        const k = Math.min(extra + 1, scores.length);
        const into = new Int32Array(k);
        selectTop(scores, k, into);
        const sorted = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
        expect([...into]).toEqual(sorted.slice(0, k));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('drawing', () => {
  const probabilities = [0.5, 0.25, 0.15, 0.1];
  const draws = 20_000;

  function shares(options: SamplerOptions, logits = logitsOf(probabilities)): number[] {
    const sampler = createSampler({ seed: 42, ...options });
    const counts = new Array<number>(logits.length).fill(0);
    for (let i = 0; i < draws; i++) counts[sampler.sample(logits)]!++;
    return counts.map((count) => count / draws);
  }

  /** Within five standard deviations of a share of so many draws. */
  function expectShares(actual: readonly number[], expected: readonly number[]): void {
    for (const [id, share] of expected.entries()) {
      expect(Math.abs(actual[id]! - share)).toBeLessThanOrEqual(5 * Math.sqrt((share * (1 - share)) / draws));
    }
  }

  test('follows the distribution', () => expectShares(shares({}), probabilities));

  test('temperature sharpens and flattens', () => {
    const sharp = probabilities.map((p) => p ** 2);
    const total = sharp.reduce((a, b) => a + b);
    expectShares(
      shares({ temperature: 0.5 }),
      sharp.map((p) => p / total),
    );
    expectShares(shares({ temperature: 1e9 }), [0.25, 0.25, 0.25, 0.25]);
    expect(shares({ temperature: 1e-30 })).toEqual([1, 0, 0, 0]);
  });

  test('what is kept shares out what is cut', () => {
    expectShares(shares({ topK: 2 }), [2 / 3, 1 / 3, 0, 0]);
    expectShares(shares({ topP: 0.6, temperature: 2 }), [0.585786, 0.414214, 0, 0]);
  });

  test('tokens of probability zero never come', () => {
    expectShares(shares({}, Float32Array.of(-Infinity, 0, -Infinity, 0)), [0, 0.5, 0, 0.5]);
    expect(shares({ topK: 3 }, Float32Array.of(-Infinity, 0, -Infinity))).toEqual([0, 1, 0]);
  });

  test('greedy takes the first of the most likely', () => {
    const logits = Float32Array.of(-3, 2, 2, -Infinity);
    expect(createSampler({ temperature: 0 }).sample(logits)).toBe(1);
    expect(createSampler({ topK: 1 }).sample(logits)).toBe(1);
  });

  test('logits stay as they were', () => {
    const logits = logitsOf(probabilities);
    const before = logits.slice();
    createSampler({ topK: 3, topP: 0.9, minP: 0.01, repetitionPenalty: 1.5 }).sample(logits, [0, 1]);
    expect(logits).toEqual(before);
  });

  test('one sampler serves vocabularies of several sizes', () => {
    const sampler = createSampler({ topP: 0.9, repetitionPenalty: 1.1, seed: 1 });
    for (const size of [3, 500, 2, 70]) expect(sampler.sample(new Float32Array(size), [0])).toBeLessThan(size);
  });
});

describe('repetition penalty', () => {
  test('divides positive logits and multiplies negative ones, once for each token', () => {
    const choose = (logits: number[], history: number[], repetitionPenalty: number): number =>
      createSampler({ temperature: 0, repetitionPenalty }).sample(Float32Array.from(logits), history);
    expect(choose([4, 3], [0], 1.3)).toBe(0);
    expect(choose([4, 3], [0], 1.4)).toBe(1);
    expect(choose([4, 3], [0, 0, 0, 0], 1.3)).toBe(0);
    expect(choose([-2, -3], [0], 1.4)).toBe(0);
    expect(choose([-2, -3], [0], 1.6)).toBe(1);
    expect(choose([4, 3], [0, 99, -1], 1.4)).toBe(1);
    expect(choose([4, 3], [1], 0.5)).toBe(1);
  });
});

describe('frequency and presence penalties', () => {
  const choose = (logits: number[], options: SamplerOptions, history: number[], generatedFrom?: number): number =>
    createSampler({ temperature: 0, ...options }).sample(Float32Array.from(logits), history, generatedFrom);

  test('frequency counts occurrences, presence does not', () => {
    expect(choose([4, 3.5], { frequencyPenalty: 0.3 }, [0])).toBe(0);
    expect(choose([4, 3.5], { frequencyPenalty: 0.3 }, [0, 0])).toBe(1);
    expect(choose([4, 3.5], { presencePenalty: 0.3 }, [0, 0, 0, 0])).toBe(0);
    expect(choose([4, 3.5], { presencePenalty: 0.6 }, [0])).toBe(1);
    expect(choose([4, 3.5], { presencePenalty: 0.3, frequencyPenalty: 0.3 }, [0])).toBe(1);
    expect(choose([4, 4.5], { presencePenalty: -1 }, [0])).toBe(0);
  });

  test('the prompt does not count', () => {
    expect(choose([4, 3.5], { frequencyPenalty: 2, presencePenalty: 2 }, [0, 0, 1], 2)).toBe(0);
    expect(choose([4, 3.5], { frequencyPenalty: 2 }, [1, 1, 0], 2)).toBe(1);
  });
});

describe('logit bias', () => {
  const logits = Float32Array.of(1, 2, 3);
  const choose = (logitBias: SamplerOptions['logitBias'], more: SamplerOptions = {}): number =>
    createSampler({ temperature: 0, logitBias, ...more }).sample(logits, [0, 1, 2]);

  test('adds to logits, bans, and comes before the penalties', () => {
    expect(choose({ 0: 2.5 })).toBe(0);
    expect(choose(new Map([[2, -Infinity]]))).toBe(1);
    expect(choose({ 2: -Infinity, 1: -1.5 })).toBe(0);
    expect(choose({ 0: 2.5 }, { repetitionPenalty: 100 })).toBe(0);
    expect(keptSet(logits, { logitBias: { 1: -Infinity } })).toEqual([0, 2]);
  });

  test.each([
    [{ '-1': 1 }, 'token -1'],
    [{ x: 1 }, 'token NaN'],
    [{ 1: Number.NaN }, 'NaN'],
    [{ 1: Infinity }, 'Infinity'],
    [new Map([[0.5, 1]]), 'token 0.5'],
    [{ 1: '2' as unknown as number }, 'token 1'],
  ])('%j is refused', (logitBias, named) => {
    const expected = { code: 'INVALID_ARGUMENT', message: expect.stringContaining(named) };
    expect(() => createSampler({ logitBias })).toThrow(expect.objectContaining(expected));
  });

  test('ids beyond the vocabulary are refused, as soon as its size is known', () => {
    const expected = { code: 'INVALID_ARGUMENT', details: { id: 3, vocabSize: 3 } };
    expect(() => createSampler({ logitBias: { 3: 1 } }, 3)).toThrow(expect.objectContaining(expected));
    expect(() => choose({ 3: 1 })).toThrow(expect.objectContaining(expected));
  });

  test('a bias that leaves nothing is the caller’s mistake', () => {
    const all = { 0: -Infinity, 1: -Infinity, 2: -Infinity };
    expect(() => choose(all)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

describe('log-probabilities', () => {
  test('are the logarithms of the softmax, likeliest first', () => {
    const { logprob, top } = logProbabilities(logitsOf([0.1, 0.5, 0.15, 0.25]), 2, 3);
    expect(logprob).toBeCloseTo(Math.log(0.15), 6);
    expect(top.map(({ tokenId }) => tokenId)).toEqual([1, 3, 2]);
    expect(top[0]!.logprob).toBeCloseTo(Math.log(0.5), 6);
    expect(logProbabilities(Float32Array.of(0, 0), 1, 9).top).toHaveLength(2);
  });

  test('hold for logits whose exponentials would not', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 12 }), (values) => {
        const { top } = logProbabilities(
          Float32Array.from(values, (x) => x * 3),
          0,
          values.length,
        );
        const sum = top.reduce((total, { logprob }) => total + Math.exp(logprob), 0);
        expect(sum).toBeCloseTo(1, 9);
        expect(top.every(({ logprob }) => logprob <= 0)).toBe(true);
      }),
    );
    expect(logProbabilities(Float32Array.of(0, -Infinity), 1, 1).logprob).toBe(-Infinity);
  });
});

describe('the seed', () => {
  const stream = (seed?: number): number[] => {
    const sampler = createSampler({ seed });
    return Array.from({ length: 24 }, () => sampler.sample(new Float32Array(1000)));
  };

  test('fixes the tokens, on every version', () => {
    expect(stream(1)).toEqual(stream(1));
    expect(stream(1).slice(0, 4)).toMatchInlineSnapshot(`
      [
        91,
        888,
        434,
        746,
      ]
    `);
    const seeds = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
    expect(new Set(seeds.map((seed) => stream(seed).join())).size).toBe(seeds.length);
  });

  test('is chosen and told where none is given', () => {
    const first = createSampler();
    const again = createSampler({ seed: first.seed });
    const flat = new Float32Array(1000);
    expect(Array.from({ length: 9 }, () => first.sample(flat))).toEqual(
      Array.from({ length: 9 }, () => again.sample(flat)),
    );
    expect(first.seed).not.toBe(createSampler().seed);
  });
});

describe('bad input', () => {
  test.each([
    ['NaN first', [Number.NaN, 1, 2]],
    ['NaN last', [1, 2, Number.NaN]],
    ['only NaN', [Number.NaN]],
    ['+Infinity', [1, Infinity, 2]],
    ['nothing finite', [-Infinity, -Infinity]],
    ['no logits', []],
  ])('%s is BAD_WEIGHTS for every way of choosing', (_, logits) => {
    for (const options of [
      { temperature: 0 },
      {},
      { topK: 2 },
      { topP: 0.5 },
      { minP: 0.1 },
      { repetitionPenalty: 2 },
    ]) {
      const sampler = createSampler(options);
      expect(() => sampler.sample(Float32Array.from(logits), [0])).toThrow(
        expect.objectContaining({ code: 'BAD_WEIGHTS' }),
      );
    }
  });

  test.each([
    [{ temperature: -1 }],
    [{ temperature: Number.NaN }],
    [{ temperature: Infinity }],
    [{ topK: -1 }],
    [{ topK: 1.5 }],
    [{ topP: 1.1 }],
    [{ topP: -0.1 }],
    [{ minP: 2 }],
    [{ minP: Number.NaN }],
    [{ repetitionPenalty: 0 }],
    [{ frequencyPenalty: 2.1 }],
    [{ presencePenalty: -3 }],
    [{ presencePenalty: Number.NaN }],
    [{ temperature: '1' as unknown as number }],
    [{ seed: -1 }],
    [{ seed: 2 ** 53 }],
    [{ seed: 0.5 }],
  ])('%j is refused', (options) => {
    expect(() => createSampler(options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
