/** A byte-level BPE vocabulary without training: the bytes, then random joins of letters, as GGUF metadata. */
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
  const starts = [...'abcdefghijklmnopqrstuvwxyz', space];
  const ends = starts.slice(0, -1); // a space begins a token only
  const known = new Set(tokens);
  const pick = (list: readonly string[]) => list[(random.next() >>> 0) % list.length]!;
  while (tokens.length < size) {
    const [left, right] = [pick(starts), pick(ends)];
    const joined = left + right;
    if (joined.length > MOST_CHARACTERS || known.has(joined)) continue;
    known.add(joined);
    tokens.push(joined);
    merges.push(`${left} ${right}`);
    starts.push(joined);
    if (!joined.startsWith(space)) ends.push(joined);
  }
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
