/** The embedded model's loss on its validation documents, against the reference that was computed elsewhere. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { load } from '../src/engine/index.ts';
import { platform } from '../src/platform/index.ts';

const corpus = process.env.BITLOOM_CORPUS;
const reference = JSON.parse(readFileSync(platform.assetPath('tiny/eval.json'), 'utf8')) as {
  documents: number;
  predicted_tokens: number;
  loss: number;
  first_documents: [number, number, number][];
};
const WINDOW = 512;
const [BOS, USER, ASSISTANT, END] = [0, 1, 2, 3];

test.skipIf(!corpus)(
  'loss on 64 validation documents (skipped where BITLOOM_CORPUS does not name the split)',
  async () => {
    const lines = gunzipSync(readFileSync(corpus!)).toString('utf8').split('\n');
    const model = await load(undefined, { device: 'wasm', kvCacheType: 'f32' });
    const encode = (text: string): number[] => model.tokenizer.encode(text, { addBos: false });
    let [total, count] = [0, 0];
    for (const [i, line] of lines.slice(0, reference.documents).entries()) {
      const { instruction, answer } = JSON.parse(line) as { instruction: string; answer: string };
      const ids = [BOS, USER, ...encode(instruction), ASSISTANT, ...encode(answer), END] as number[];
      let sum = 0;
      for (let start = 0; start < ids.length; start += WINDOW) {
        const losses = await model.score(ids.slice(start, start + WINDOW));
        sum += losses.reduce((a, b) => a + b, 0);
        count += losses.length;
      }
      total += sum;
      const document = reference.first_documents[i];
      if (document) {
        expect(ids.length).toBe(document[0]);
        expect(sum).toBeCloseTo(document[1], 0);
      }
    }
    await model.dispose();
    expect(count).toBe(reference.predicted_tokens);
    expect(Math.abs(total / count - reference.loss)).toBeLessThan(0.002);
  },
  180_000,
);
