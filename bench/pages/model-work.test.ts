import { expect, it } from 'vitest';
import { tokenizerFromGguf } from '../../src/text/index.ts';
import { RandomWords } from '../random-blocks.ts';
import { syntheticVocabulary } from '../synthetic-vocabulary.ts';
import { promptOf } from './model-work.ts';

it('prompts have as many tokens as asked for, and share no start with the one before', () => {
  const tokenizer = tokenizerFromGguf(new Map<string, unknown>(syntheticVocabulary(4000, new RandomWords(1))));
  const prompts = Array.from({ length: 30 }, (_, round) => tokenizer.encode(promptOf(128, round)));
  expect(prompts.map((ids) => ids.length)).toEqual(prompts.map(() => 128));
  for (const [i, ids] of prompts.slice(1).entries()) expect(ids[1]).not.toBe(prompts[i]![1]);
});
