import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type LanguageModel, type LoadProgress, load, type Model } from '../engine/index.ts';
import { BitloomError } from '../ir/error.ts';
import { type EngineWays, estimateWith, loadWith } from './load.ts';
import { serve } from './service.ts';

const TINY = fileURLToPath(new URL('../../assets/tiny', import.meta.url));
const HERE: EngineWays = { workers: [], serveHere: serve };
const OPTIONS = { threads: 1, kvCacheType: 'f32' } as const;
const GREEDY = { temperature: 0, maxTokens: 6 } as const;
const PROMPT = 'Provide synonyms for the word happy.';

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error) => (error instanceof BitloomError ? error.code : error),
  );
}

describe('a model behind a port', () => {
  let near: Model;
  let far: LanguageModel;
  const progress: LoadProgress[] = [];
  beforeAll(async () => {
    near = await load(TINY, OPTIONS);
    far = await loadWith(HERE, TINY, { ...OPTIONS, onProgress: (event) => progress.push(event) });
    return async () => {
      await near.dispose();
      await far.dispose();
    };
  });

  test('tells the same of itself', () => {
    const { loadMs: _, ...facts } = near.info;
    expect(far.info).toMatchObject(facts);
    expect(far.tokenizer.eosIds).toEqual(near.tokenizer.eosIds);
    expect(progress.at(-1)).toMatchObject({ phase: 'weights', loadedBytes: progress.at(-1)!.totalBytes });
  });

  test('gives the same tokens, texts, losses and logits', async () => {
    const tokens = near.tokenize(PROMPT);
    expect(await far.tokenize(PROMPT)).toEqual(tokens);
    expect(await far.tokenize(PROMPT, { raw: true })).toEqual(near.tokenize(PROMPT, { raw: true }));
    expect(await far.detokenize(tokens)).toBe(near.detokenize(tokens));
    expect(await far.score(tokens)).toEqual(await near.score(tokens));
    expect(await far.logits(tokens)).toEqual(await near.logits(tokens));
    const [reply, known] = [far.generate(PROMPT, GREEDY), await near.generate(PROMPT, GREEDY).result];
    const texts: string[] = [];
    for await (const { text } of reply) texts.push(text);
    expect(texts.join('')).toBe(known.text);
    expect(await reply.result).toMatchObject({ tokens: known.tokens, finishReason: known.finishReason });
    await expect(far.generate('', GREEDY).result).rejects.toMatchObject({ code: 'EMPTY_PROMPT' });
  });

  test('waits its turn, hears signals, and goes on after both', async () => {
    const first = far.generate(PROMPT, GREEDY).result;
    const stop = new AbortController();
    const second = codeOf(far.generate(PROMPT, { ...GREEDY, maxTokens: 200, signal: stop.signal }).result);
    const { tokens } = await first;
    stop.abort('enough');
    expect(await second).toBe('ABORTED');
    expect((await far.generate(PROMPT, GREEDY).result).tokens).toEqual(tokens);
  });

  test('who breaks off makes room for the next', async () => {
    for await (const _ of far.generate(PROMPT, { ...GREEDY, maxTokens: 200 })) break;
    expect((await far.generate(PROMPT, GREEDY).result).tokens).toHaveLength(6);
  });

  test('is gone after dispose, which may be called twice', async () => {
    const model = await loadWith(HERE, TINY, OPTIONS);
    await Promise.all([model.dispose(), model.dispose()]);
    expect(await codeOf(model.generate(PROMPT).result)).toBe('DISPOSED');
    expect(await codeOf(Promise.resolve(model.tokenize(PROMPT)))).toBe('DISPOSED');
  });

  test('is estimated without being loaded', async () => {
    const told = await estimateWith(HERE, TINY, { contextLength: 128 });
    expect(told).toMatchObject({ weightBytes: near.info.weightBytes, contextLength: 128 });
  });
});

/** Workers that come to different ends. */
class StubWorker extends EventTarget {
  static readonly ended: string[] = [];
  readonly #address: string;
  constructor(address: string | URL) {
    super();
    this.#address = String(address);
    if (this.#address.includes('forbidden')) throw new Error('a policy forbids it');
    const [type, data] = this.#address.includes('lost')
      ? ['error', undefined]
      : ['message', { kind: 'ready', protocol: this.#address.includes('old') ? 0 : 1 }];
    setTimeout(() => this.dispatchEvent(Object.assign(new Event(type), { data, message: 'not found' })));
  }
  postMessage(): void {}
  terminate(): void {
    StubWorker.ended.push(this.#address);
  }
}

describe('ways to a worker', () => {
  afterEach(() => vi.unstubAllGlobals());
  const way = (address: string) => (): Worker => new Worker(address);
  const ways = (...addresses: string[]): EngineWays => ({ workers: addresses.map(way), serveHere: serve });

  test('are tried in turn; where none is left the engine runs here, and says why', async () => {
    vi.stubGlobal('Worker', StubWorker);
    const warnings: string[] = [];
    const onWarning = (message: string): void => void warnings.push(message);
    const addresses = ['forbidden.js', 'lost.js', 'old.js'];
    const told = await estimateWith(ways(...addresses), TINY, { worker: true, onWarning });
    expect(told.fits).toBe(true);
    expect(warnings).toEqual([
      expect.stringMatching(/^no-worker: .*a policy forbids it; then not found; then its file is of another version/),
    ]);
    expect(StubWorker.ended).toEqual(['lost.js', 'old.js']);
  });

  test('that are named have no substitute', async () => {
    vi.stubGlobal('Worker', StubWorker);
    const loading = loadWith(ways(), TINY, { worker: 'lost.js' });
    await expect(loading).rejects.toMatchObject({ code: 'NO_DEVICE', details: { worker: 'lost.js' } });
  });

  test('are given up when a signal fires', async () => {
    vi.stubGlobal('Worker', StubWorker);
    const stop = new AbortController();
    const loading = codeOf(loadWith(ways('works.js'), TINY, { worker: true, signal: stop.signal }));
    stop.abort();
    expect(await loading).toBe('ABORTED');
    expect(await codeOf(loadWith(ways(), TINY, { signal: AbortSignal.abort() }))).toBe('ABORTED');
  });
});
