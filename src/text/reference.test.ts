/** Token ids as the makers' own libraries give them: Hugging Face's tokenizers (Rust) and SentencePiece. */
import { describe, expect, test } from 'vitest';
import { tokenizerFromGguf, tokenizerFromJson } from './index.ts';
import { pieceMetadata, readReference, tokenizerJsonOf } from './testing/reference.ts';

const reference = readReference();
const { texts } = reference;
const plain = { addBos: false, addEos: false } as const;

describe('tokenizer.json gives the ids and texts of the Rust library', () => {
  test.each(reference.tokenizers.map((each) => [each.name, each] as const))('%s', (_, each) => {
    const tokenizer = tokenizerFromJson(tokenizerJsonOf(reference, each));
    expect(tokenizer.encode('a')).toEqual(each.framed);
    for (const [index, text] of texts.entries()) {
      const ids = each.ids[index]!;
      expect([text, tokenizer.encode(text, plain)]).toEqual([text, ids]);
      expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(each.decoded[index] ?? text);
    }
  });
});

describe('GGUF pieces with scores give the ids and texts of SentencePiece', () => {
  test.each(reference.sentencePieces.map((each) => [each.vocabulary, each] as const))('%s', (name, each) => {
    const tokenizer = tokenizerFromGguf(pieceMetadata(reference, name));
    for (const [index, text] of texts.entries()) {
      // SentencePiece takes the sign that it writes spaces with for a space; user-defined tokens of GGUF files hold real
      // ones. And it knows no control tokens in texts, which the ends of turns are here.
      if (name === 'gemma' && /\u2581|<end_of_turn>/.test(text)) continue;
      const ids = each.ids[index]!;
      expect([text, tokenizer.encode(text, { ...plain, parseSpecial: false })]).toEqual([text, ids]);
      expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(each.decoded[index] ?? text);
    }
  });
});
