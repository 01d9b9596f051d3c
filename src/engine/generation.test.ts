/** What requests share and how they end: reused prefixes, log-probabilities, aborts, disposal, packed caches. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chat } from './chat.ts';
import { goldens, greedy } from './goldens.fixture.ts';
import { load, type Model } from './index.ts';

const [first, second] = goldens as [(typeof goldens)[0], (typeof goldens)[0]];
const fresh = { reusePrefix: false } as const;

let model: Model;
beforeAll(async () => {
  model = await load(undefined, { threads: 2 });
}, 60_000);
afterAll(() => model.dispose());

describe('requests one after the other', () => {
  test('reuse what they begin with, and give the same tokens as afresh', async () => {
    const options = { ...greedy, maxTokens: 12 };
    const one = await model.generate(first.prompt, options).result;
    expect(one.cachedTokens).toBe(0);
    const again = await model.generate(first.prompt, options).result;
    expect(again.cachedTokens).toBe(again.promptTokens - 1);
    expect(again.tokens).toEqual(first.greedy_ids.slice(0, 12));
    const other = await model.generate(second.prompt, options).result;
    const shared = second.ids.findIndex((id, i) => id !== first.ids[i]);
    expect(other.cachedTokens).toBe(shared);
    expect(other.tokens).toEqual(second.greedy_ids.slice(0, 12));
    const afresh = await model.generate(second.prompt, { ...options, ...fresh }).result;
    expect({ cached: afresh.cachedTokens, tokens: afresh.tokens }).toEqual({ cached: 0, tokens: other.tokens });
  });

  test('a conversation’s second turn reads its new tokens only', async () => {
    const options = { ...greedy, maxTokens: 16 };
    const chat = new Chat(model);
    const one = await chat.send('Tell me of a fox.', options).result;
    const two = await chat.send('And of the moon?', options).result;
    expect(two.cachedTokens).toBeGreaterThanOrEqual(one.promptTokens);
    expect(two.promptTokens - two.cachedTokens).toBeLessThan(30);
    const said = chat.messages.slice(0, 3);
    const afresh = await model.generate(said, { ...options, ...fresh }).result;
    expect(afresh.tokens).toEqual(two.tokens);
  });

  test('scores in between do no harm', async () => {
    await model.score(second.ids);
    const result = await model.generate(first.prompt, { ...greedy, maxTokens: 4 }).result;
    expect(result.tokens).toEqual(first.greedy_ids.slice(0, 4));
  });

  test('tell the log-probabilities of the model itself', async () => {
    const options = { ...greedy, temperature: 0.7, seed: 3, maxTokens: 3, logprobs: 2 };
    const generation = model.generate(first.prompt, { ...options, logitBias: { [first.greedy_ids[0]!]: -Infinity } });
    const chunks: unknown[] = [];
    for await (const { tokenId, logprob, top } of generation) chunks.push({ tokenId, logprob, top });
    const { logprobs, tokens } = await generation.result;
    expect(logprobs!.map(({ tokenId, logprob, top }) => ({ tokenId, logprob, top }))).toEqual(chunks);
    expect(tokens[0]).not.toBe(first.greedy_ids[0]);
    const [best] = logprobs![0]!.top;
    expect(best).toMatchObject({ tokenId: first.greedy_ids[0], text: model.detokenize([first.greedy_ids[0]!]) });
    const logits = await model.logits(first.ids);
    const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
    expect(best!.logprob).toBeCloseTo(logits[first.greedy_ids[0]!]! - Math.log(total), 2);
    expect(logprobs![0]!.logprob).toBeLessThan(best!.logprob);
    expect((await model.generate(first.prompt, { ...options, logprobs: 0 }).result).logprobs![0]!.top).toEqual([]);
  });

  test('refuse options that cannot be, before anything runs', async () => {
    for (const options of [{ logprobs: -1 }, { logprobs: 5000 }, { logitBias: { 4096: 1 } }, { presencePenalty: 3 }])
      await expect(model.generate('a', options).result).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(model.score(new Array<number>(600).fill(5))).rejects.toMatchObject({
      code: 'CONTEXT_OVERFLOW',
      details: { tokens: 600, contextLength: 512 },
    });
  });
});

describe('requests that end early', () => {
  const long = { raw: true, ...greedy, maxTokens: 4 };
  const prompt = 'a fox and the moon '.repeat(48);

  test('a signal is heard while a prompt is read, and what was read till then is good', async () => {
    const length = model.tokenize(prompt, { raw: true }).length;
    expect(length).toBeGreaterThan(256);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 1);
    const aborted = model.generate(prompt, { ...long, signal: controller.signal }).result;
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    const after = await model.generate(prompt, long).result;
    expect(after.cachedTokens).toBeLessThanOrEqual(128);
    expect(after.tokens).toEqual((await model.generate(prompt, { ...long, ...fresh }).result).tokens);
  });

  test('a signal is heard while others wait, who then go on', async () => {
    const controller = new AbortController();
    const running = model.generate(first.prompt, { ...greedy, maxTokens: 8 }).result;
    const waiting = model.generate(second.prompt, { ...greedy, signal: controller.signal }).result;
    const behind = model.generate(second.prompt, { ...greedy, maxTokens: 8 }).result;
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await running).tokens).toEqual(first.greedy_ids.slice(0, 8));
    expect((await behind).tokens).toEqual(second.greedy_ids.slice(0, 8));
  });
});

describe('a q8_0 cache', () => {
  test('takes little more than half of f16’s memory, and changes logits little', async () => {
    const packed = await load(undefined, { threads: 1, kvCacheType: 'q8_0' });
    expect(packed.info.cacheBytes / model.info.cacheBytes).toBe(36 / 64);
    const logits = await packed.logits(first.ids);
    first.top10_ids.forEach((id, i) => expect(Math.abs(logits[id]! - first.top10_logits[i]!)).toBeLessThan(0.2));
    const result = await packed.generate(first.prompt, { ...greedy, maxTokens: 12 }).result;
    expect(result.tokens).toEqual(first.greedy_ids.slice(0, 12));

    // Dispose ends what nobody reads on, and what waits behind it.
    const unread = packed.generate(first.prompt)[Symbol.asyncIterator]();
    await unread.next();
    const waiting = expect(packed.generate('a').result).rejects.toMatchObject({ code: 'DISPOSED' });
    await packed.dispose();
    await waiting;
    await expect(unread.next()).rejects.toMatchObject({ code: 'DISPOSED' });
    await expect(packed.logits([1])).rejects.toMatchObject({ code: 'DISPOSED' });
  }, 60_000);

  test('needs heads of whole blocks, and a name that exists', async () => {
    const { writeSmallModel } = await import('./small-checkpoint.fixture.ts');
    const small = await writeSmallModel();
    try {
      const q8 = load(small.folder, { kvCacheType: 'q8_0', threads: 1 });
      await expect(q8).rejects.toMatchObject({ code: 'UNSUPPORTED_DTYPE', details: { headDim: 16, blockSize: 32 } });
      const unknown = load(small.folder, { kvCacheType: 'q2' as 'f16', threads: 1 });
      await expect(unknown).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    } finally {
      small.remove();
    }
  });
});
