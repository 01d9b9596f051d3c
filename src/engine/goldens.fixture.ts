/** For tests: the embedded model's recorded prompts, ids, logits and greedy continuations. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { platform } from '../platform/index.ts';
import { type LoadOptions, load, type Model } from './index.ts';

export interface Golden {
  readonly prompt: string;
  readonly ids: number[];
  readonly top10_ids: number[];
  readonly top10_logits: number[];
  readonly greedy_ids: number[];
}

const file = new URL('../../assets/tiny/goldens.json', import.meta.url);
export const goldens = (JSON.parse(readFileSync(file, 'utf8')) as { goldens: Golden[] }).goldens;

export const greedy = { temperature: 0, ignoreEos: true } as const;

const support = await platform.native();
/** Why the x64 device is not there, as a part of a suite's name; '' where it is. */
export const whyNoX64 = 'why' in support ? ` (skipped: ${support.why})` : '';

/** Holds a device to the first `prompts` goldens, `tokens` tokens each. */
export function describeGoldens(options: LoadOptions, prompts: number, tokens: number): void {
  const why = options.device === 'x64' ? whyNoX64 : '';
  describe.skipIf(why !== '')(`the embedded model on ${options.device}, threads: ${options.threads ?? 1}${why}`, () => {
    let model: Model;
    beforeAll(async () => {
      model = await load(undefined, { ...options, kvCacheType: 'f32' });
    }, 60_000);
    afterAll(() => model.dispose());

    test.each(goldens.slice(0, prompts))(
      'greedy tokens: $prompt',
      async (golden) => {
        const result = await model.generate(golden.prompt, { ...greedy, maxTokens: tokens }).result;
        expect(result.tokens).toEqual(golden.greedy_ids.slice(0, tokens));
        expect(result.promptTokens).toBe(golden.ids.length);
        expect(result.finishReason).toBe('length');
        expect(model.info.device).toBe(options.device);
      },
      120_000,
    );

    test('logits within 2e-3', async () => {
      const golden = goldens[0]!;
      const logits = await model.logits(golden.ids);
      golden.top10_ids.forEach((id, i) => expect(Math.abs(logits[id]! - golden.top10_logits[i]!)).toBeLessThan(2e-3));
    }, 60_000);
  });
}
