/** A byte-level BPE vocabulary without training: the bytes, all pairs of letters, then random joins, as GGUF metadata. */
import type { MetadataInput } from '../src/format/index.ts';
import { byteLevelAlphabet } from '../src/text/token-bytes.ts';
import type { RandomWords } from './random-blocks.ts';

const SPECIAL = ['<|bos|>', '<|end|>', '<|pad|>'];
const CONTROL = 3; // token types of GGUF
const NORMAL = 1;
const MOST_CHARACTERS = 10;

/** Metadata of a GPT-2-style vocabulary of `size` tokens, valid for llama.cpp: every merge's parts and result are tokens. */
export function syntheticVocabulary(size: number, random: RandomWords): [string, MetadataInput][] {
  const tokens = [...SPECIAL, ...byteLevelAlphabet()];
  const merges: string[] = [];
  const space = byteLevelAlphabet()[0x20]!;
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const starts = [...letters, space];
  const ends = [...letters]; // a space begins a token only
  const known = new Set(tokens);
  const join = (left: string, right: string): void => {
    const joined = left + right;
    if (joined.length > MOST_CHARACTERS || known.has(joined)) return;
    known.add(joined);
    tokens.push(joined);
    merges.push(`${left} ${right}`);
    starts.push(joined);
    if (!joined.startsWith(space)) ends.push(joined);
  };
  // All pairs first, so that any word takes half as many tokens as letters at most.
  for (const left of [space, ...letters]) for (const right of letters) join(left, right);
  const pick = (list: readonly string[]) => list[(random.next() >>> 0) % list.length]!;
  while (tokens.length < size) join(pick(starts), pick(ends));
  return [
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', 'llama-bpe'],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', Int32Array.from(tokens, (_, id) => (id < SPECIAL.length ? CONTROL : NORMAL))],
    ['tokenizer.ggml.merges', merges],
    ['tokenizer.ggml.bos_token_id', 0],
    ['tokenizer.ggml.eos_token_id', 1],
    ['tokenizer.ggml.padding_token_id', 2],
    ['tokenizer.ggml.add_bos_token', true],
    ['tokenizer.ggml.add_eos_token', false],
  ];
}
