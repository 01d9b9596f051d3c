/** Requests to the embedded model, and a few of its goldens on every device. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeGoldens, goldens, greedy, whyNoX64 } from './goldens.fixture.ts';
import { load, type Model } from './index.ts';

// All prompts, all tokens, all devices: goldens.long.test.ts.
describeGoldens({ device: 'wasm', threads: 1 }, 2, 48);
describeGoldens({ device: 'x64', threads: 1 }, 3, 64);
describeGoldens({ device: 'x64', threads: 2 }, 2, 48);
describeGoldens({ device: 'wasm', threads: 2 }, 2, 48);
describeGoldens({ device: 'interpreter' }, 1, 2);

for (const device of ['wasm', 'x64'] as const) {
  const why = device === 'x64' ? whyNoX64 : '';
  const name = `a deterministic model on ${device} gives the same logits to the bit on any number of threads${why}`;
  test.skipIf(why !== '')(
    name,
    async () => {
      for (const length of [1, 9, 100]) {
        const logits: Float32Array[] = [];
        for (const threads of [1, 2, 3]) {
          await using model = await load(undefined, { device, threads, isDeterministic: true, contextLength: 256 });
          logits.push((await model.logits(goldens[0]!.ids.concat(goldens[1]!.ids).slice(0, length))).slice());
        }
        expect(logits[1]).toEqual(logits[0]);
        expect(logits[2]).toEqual(logits[0]);
      }
    },
    60_000,
  );
}

describe('requests', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(undefined, { threads: 1 });
  }, 30_000);
  afterAll(() => model.dispose());

  test('streamed pieces are the text, and the same seed gives it again', async () => {
    const options = { maxTokens: 24, seed: 7, temperature: 0.9, topK: 40 };
    const generation = model.generate('Write a short bedtime story.', options);
    let streamed = '';
    for await (const { text } of generation) streamed += text;
    const result = await generation.result;
    expect(streamed).toBe(result.text);
    expect((await model.generate('Write a short bedtime story.', options).result).text).toBe(streamed);
    expect(result.timings.decodeTokensPerSecond).toBeGreaterThan(0);
  });

  test('requests at once wait for each other', async () => {
    const alone = await model.generate(goldens[0]!.prompt, { ...greedy, maxTokens: 8 }).result;
    const both = await Promise.all(
      [0, 1].map((i) => model.generate(goldens[i]!.prompt, { ...greedy, maxTokens: 8 }).result),
    );
    expect(both[0]!.tokens).toEqual(alone.tokens);
    expect(both[1]!.tokens).toEqual(goldens[1]!.greedy_ids.slice(0, 8));
  });

  test('a stop text ends the reply before it', async () => {
    const whole = (await model.generate(goldens[0]!.prompt, { ...greedy, maxTokens: 20 }).result).text;
    const stop = whole.slice(10, 14);
    const result = await model.generate(goldens[0]!.prompt, { ...greedy, maxTokens: 20, stop: [stop] }).result;
    expect(result.finishReason).toBe('stop');
    expect(result.text).toBe(whole.slice(0, whole.indexOf(stop)));
  });

  test('leaving early, aborting, and what comes after', async () => {
    for await (const _ of model.generate('Tell a story.', { maxTokens: 50 })) break;
    const controller = new AbortController();
    const pending = model.generate('Tell a story.', { maxTokens: 200, signal: controller.signal });
    let count = 0;
    const reading = (async () => {
      for await (const _ of pending) if (++count === 3) controller.abort(new Error('enough'));
    })();
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    expect(count).toBe(3);
    const after = await model.generate(goldens[0]!.prompt, { ...greedy, maxTokens: 4 }).result;
    expect(after.tokens).toEqual(goldens[0]!.greedy_ids.slice(0, 4));
  });

  test('prompts that cannot be are refused by name', async () => {
    await expect(model.generate('').result).rejects.toMatchObject({ code: 'EMPTY_PROMPT' });
    await expect(model.generate([]).result).rejects.toMatchObject({ code: 'EMPTY_PROMPT' });
    await expect(model.generate('word '.repeat(3000)).result).rejects.toMatchObject({
      code: 'CONTEXT_OVERFLOW',
      details: { contextLength: 512 },
    });
    await expect(model.generate('\ud800').result).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(model.generate('a', { maxTokens: 0 }).result).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('a prompt that fills the context gets what room is left', async () => {
    const ids = model.tokenizer.encode('word '.repeat(700), { addBos: true }).slice(0, 505);
    const text = model.tokenizer.decode(ids, { skipSpecial: false });
    const result = await model.generate(text, { raw: true, ...greedy }).result;
    expect(result.finishReason).toBe('length');
    expect(result.promptTokens + result.tokens.length).toBe(513);
  });

  test('scores agree with logits', async () => {
    const ids = goldens[0]!.ids;
    const losses = await model.score(ids);
    expect(losses.length).toBe(ids.length - 1);
    const logits = await model.logits(ids.slice(0, 5));
    const peak = Math.max(...logits);
    const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - peak), 0)) + peak;
    expect(Math.abs(losses[4]! - (total - logits[ids[5]!]!))).toBeLessThan(1e-2);
  });
});
