import { expect, it } from 'vitest';
import { unpack, weightFormat } from '../src/quant/index.ts';
import { tokenizerFromGguf } from '../src/text/index.ts';
import { MODEL_FORMATS, type ModelFormat, modelChoice, randomModel } from './generate-model.ts';
import { RandomWords } from './random-blocks.ts';

const SIZE = 768;

/** The bytes of one matrix [768, 768]; the table of tokens would take seconds. */
async function matrixBytes(format: ModelFormat, seed: number): Promise<Uint8Array> {
  const tensor = randomModel('110M', format, seed).tensors.find(({ name }) => name === 'blk.0.attn_q.weight')!;
  expect([tensor.shape, tensor.element]).toEqual([[SIZE, SIZE], weightFormat(format).element]);
  const pieces: Uint8Array[] = [];
  for await (const piece of (tensor.data as () => Iterable<Uint8Array>)()) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

it.each(MODEL_FORMATS)('makes %s matrices of the asked deviation around zero, by seed', async (format) => {
  const bytes = await matrixBytes(format, 1);
  const values = unpack(weightFormat(format).element, bytes, SIZE, SIZE);
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  expect(deviation * Math.sqrt(SIZE)).toBeGreaterThan(0.7);
  expect(deviation * Math.sqrt(SIZE)).toBeLessThan(1.4);
  expect(Math.abs(mean)).toBeLessThan(0.02 * deviation);
  expect(Buffer.compare(bytes, await matrixBytes(format, 1))).toBe(0);
  expect(Buffer.compare(bytes, await matrixBytes(format, 2))).not.toBe(0);
});

it('comes with a tokenizer of 32,000 tokens that gives text back', () => {
  const { metadata } = randomModel('110M', 'Q4_0');
  const tokenizer = tokenizerFromGguf(metadata);
  expect(tokenizer.vocabSize).toBe(32000);
  const ids = tokenizer.encode('the quick brown fox, 漢字');
  expect(ids.length).toBeLessThan(24);
  expect(tokenizer.decode(ids.slice(tokenizer.addsBos && ids[0] === 0 ? 1 : 0))).toBe('the quick brown fox, 漢字');
});

it('fills memory with words that differ', () => {
  const words = new Uint32Array(4096);
  new RandomWords(7).fill(words);
  expect(new Set(words).size).toBeGreaterThan(4090);
});

it('names what there is to choose from', () => {
  expect(modelChoice('1.1B', 'F16')).toEqual({ size: '1.1B', format: 'F16' });
  expect(modelChoice('110M', 'Q2_K')).toEqual({ size: '110M', format: 'Q2_K' });
  expect(() => modelChoice('15M', 'Q2_K')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  expect(() => modelChoice('7B', 'F16')).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('110M') }),
  );
});
