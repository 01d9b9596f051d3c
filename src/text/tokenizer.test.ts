import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import { requireVocabularyFit, tokenizerFromJson } from './index.ts';
import { anyText, tinyJson, tinyTokenizerJson } from './testing/tiny.ts';
import { byteLevelAlphabet } from './token-bytes.ts';

const tiny = tokenizerFromJson(
  tinyTokenizerJson(),
  tinyJson('tokenizer_config.json'),
  tinyJson('generation_config.json'),
);

interface Golden {
  readonly text: string;
  readonly ids: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
}
const { goldens } = tinyJson('goldens.json') as unknown as { goldens: readonly Golden[] };

describe('the embedded tokenizer', () => {
  test('knows its sizes and special tokens', () => {
    expect(tiny.vocabSize).toBe(4096);
    expect([tiny.bosId, tiny.eosId, tiny.bosToken, tiny.eosToken]).toEqual([0, 3, '<|bos|>', '<|end|>']);
    expect([...tiny.eosIds]).toEqual([3]);
    expect([tiny.addsBos, tiny.addsEos]).toEqual([true, false]);
    expect(tiny.tokenToId('<|pad|>')).toBe(4);
    expect(tiny.tokenToId('no such token')).toBeNull();
  });

  test.each(goldens.map((golden) => [golden.text, golden] as const))('encodes as the golden: %s', (text, golden) => {
    expect(tiny.encode(text, { addBos: false })).toEqual(golden.ids);
    expect(tiny.encode(text.replace('<|bos|>', ''))).toEqual(golden.ids);
    expect(tiny.decode(golden.greedy_ids, { skipSpecial: false })).toBe(golden.greedy_text);
  });

  test('gives any text back, whether or not control tokens are read in it', () => {
    fc.assert(
      fc.property(anyText, fc.boolean(), (text, parseSpecial) => {
        const ids = tiny.encode(text, { addBos: false, parseSpecial });
        expect(tiny.decode(ids, { skipSpecial: false })).toBe(text);
        if (!parseSpecial) expect(ids.some((id) => tiny.isSpecial(id))).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  test('frames text as asked', () => {
    const plain = tiny.encode('Hi', { addBos: false });
    expect(tiny.encode('Hi')).toEqual([0, ...plain]);
    expect(tiny.encode('Hi', { addEos: true })).toEqual([0, ...plain, 3]);
    expect(tiny.encode('')).toEqual([0]);
    expect(tiny.encode('', { addBos: false })).toEqual([]);
  });

  test('leaves control tokens out of text for people', () => {
    const ids = tiny.encode('<|user|>Hi<|end|>');
    expect(tiny.decode(ids)).toBe('Hi');
    expect(tiny.decode(ids, { skipSpecial: false })).toBe('<|bos|><|user|>Hi<|end|>');
  });

  test('refuses lone surrogates and what is no id', () => {
    expect(() => tiny.encode('half \ud83d of it')).toThrow(/lone surrogate \(U\+D83D at index 5\)/);
    expect(() => tiny.decode([-1])).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => tiny.idToBytes(1.5)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(tiny.decode([4096, 9999])).toBe('');
  });
});

describe('BOS and EOS', () => {
  const config = tinyJson('tokenizer_config.json');

  test('tokenizer_config.json overrules the post-processor', () => {
    const without = tokenizerFromJson(tinyTokenizerJson(), { ...config, add_bos_token: false, add_eos_token: true });
    const plain = tiny.encode('Hi', { addBos: false });
    expect(without.encode('Hi')).toEqual([...plain, 3]);
    const bare = { ...tinyTokenizerJson(), post_processor: null };
    expect(tokenizerFromJson(bare, config).encode('Hi')).toEqual(plain);
    expect(tokenizerFromJson(bare, { ...config, add_bos_token: true }).encode('Hi')).toEqual([0, ...plain]);
  });

  test('the ends of a reply come from all files and from known turn ends', () => {
    const generation = { eos_token_id: [3, 7, 4] };
    const several = tokenizerFromJson(tinyTokenizerJson(), { eos_token: { content: '<|pad|>' } }, generation);
    expect([several.eosId, [...several.eosIds].sort()]).toEqual([4, [3, 4, 7]]);
    const alone = tokenizerFromJson(tinyTokenizerJson());
    expect([alone.bosId, [...alone.eosIds]]).toEqual([0, [3]]);
  });

  test('a BOS outside the vocabulary is refused', () => {
    expect(() => tokenizerFromJson(tinyTokenizerJson(), {}, { bos_token_id: 5000 })).toThrow(
      /BOS token has the id 5000/,
    );
  });
});

describe('other decoders', () => {
  const pieces = ['<unk>', '▁', 'a', 'b', '▁a', ...Array.from({ length: 256 }, (_, byte) => byteToken(byte))];
  function byteToken(byte: number): string {
    return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
  }
  const json = {
    added_tokens: [{ id: 0, content: '<unk>', special: true }],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: ['▁ a'],
    },
  };

  test('SentencePiece-style: bytes join to characters, the space in front goes', () => {
    const tokenizer = tokenizerFromJson(json);
    const ids = tokenizer.encode('a é b');
    expect(ids).toEqual([4, 1, 5 + 0xc3, 5 + 0xa9, 1, 3]);
    expect(tokenizer.decode(ids)).toBe('a é b');
    expect(tokenizer.decode(ids, { continues: true })).toBe(' a é b');
    const stream = tokenizer.detokenizer();
    expect(ids.map((id) => stream.push(id))).toEqual(['a', ' ', '', 'é', ' ', 'b']);
  });

  test('a decoder that cannot spell single tokens is refused when text is asked for', () => {
    const tokenizer = tokenizerFromJson({ ...json, decoder: { type: 'WordPiece', prefix: '##' } });
    expect(tokenizer.encode('a')).toEqual([4]);
    expect(() => tokenizer.decode([4])).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_FEATURE' }));
  });
});

/** Paths of all values in a tree of JSON. */
function pathsOf(node: object): string[][] {
  return Object.entries(node).flatMap(([key, value]) => [
    [key],
    ...(typeof value === 'object' && value !== null ? pathsOf(value).map((path) => [key, ...path]) : []),
  ]);
}

test('words are cut by Unicode, not by what JavaScript takes for digits and spaces', () => {
  const alphabet = byteLevelAlphabet();
  const merges = [
    [0x21, 0xc2],
    [0xa3, 0xd9],
  ].map((bytes) => bytes.map((byte) => alphabet[byte]!));
  const tokens = [...alphabet, ...merges.map((merge) => merge.join(''))];
  const tokenizer = tokenizerFromJson({
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
      ],
    },
    decoder: { type: 'ByteLevel' },
  });
  expect(tokenizer.encode('!§')).toEqual([256, 0xa7]);
  expect(tokenizer.encode('!\u0085')).toEqual([0x21, 0xc2, 0x85]);
  expect(tokenizer.encode('٣٤')).toEqual([0xd9, 0xa3, 0xd9, 0xa4]);
});

describe('malformed tokenizers', () => {
  const withModel = (change: Record<string, unknown>): Record<string, unknown> => {
    const json = tinyTokenizerJson();
    return { ...json, model: { ...(json.model as object), ...change } };
  };
  const cases: [what: string, json: unknown][] = [
    ['null', null],
    ['a list', []],
    ['no model', {}],
    ['no vocabulary', withModel({ vocab: 5 })],
    ['a negative id', withModel({ vocab: { a: -1 } })],
    ['a huge id', withModel({ vocab: { a: 2 ** 32 } })],
    ['a fractional id', withModel({ vocab: { a: 0.5 } })],
    ['no merges', withModel({ merges: null })],
    ['an unknown model', withModel({ type: 'Oracle', vocab: [] })],
    ['added tokens that are no list', { ...tinyTokenizerJson(), added_tokens: {} }],
    ['an added token without text', { ...tinyTokenizerJson(), added_tokens: [{ id: 1 }] }],
    ['a pre-tokenizer without a type', { ...tinyTokenizerJson(), pre_tokenizer: { pretokenizers: [] } }],
    ['an id that turns into no text', withModel({ vocab: { a: { toString: 0 } }, merges: [] })],
  ];

  test.each(cases)('%s', (_, json) => {
    expect(() => tokenizerFromJson(json)).toThrow(expect.objectContaining({ code: 'BAD_TOKENIZER' }));
  });

  test.each([
    ['pre-tokenizer', { pre_tokenizer: { type: 'Oracle' } }],
    ['normalizer', { normalizer: { type: 'Sequence', normalizers: [{ type: 'Oracle' }] } }],
  ])('an unknown %s is refused by name', (_, change) => {
    expect(() => tokenizerFromJson({ ...tinyTokenizerJson(), ...change })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_FEATURE', message: expect.stringContaining('"Oracle"') }),
    );
  });

  test('any JSON in place of any value gives a tokenizer or BAD_TOKENIZER', () => {
    const vocab = { '<|bos|>': 0, a: 1, b: 2, ab: 3 };
    const small = withModel({ vocab, merges: ['a b'] });
    small.added_tokens = (small.added_tokens as unknown[]).slice(0, 1);
    const paths = pathsOf(small);
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 2 }), (path, value) => {
        const json = structuredClone(small);
        const parent = path.slice(0, -1).reduce((node, key) => node[key] as Record<string, unknown>, json);
        parent[path.at(-1)!] = value;
        try {
          tokenizerFromJson(json).decode(tokenizerFromJson(json).encode('ab'));
        } catch (error) {
          expect(error).toBeInstanceOf(BitloomError);
          expect((error as BitloomError).code).toMatch(/^(BAD_TOKENIZER|UNSUPPORTED_FEATURE)$/);
        }
      }),
      { numRuns: 400 },
    );
  });

  test('text that the vocabulary cannot express is an error, not lost', () => {
    const json = withModel({ vocab: { H: 0, i: 1 }, merges: [] });
    const tokenizer = tokenizerFromJson({ ...json, added_tokens: [], post_processor: null });
    expect(tokenizer.encode('Hi')).toEqual([0, 1]);
    expect(() => tokenizer.encode('Hi!')).toThrow(/cannot express the text "Hi!"/);
  });

  test('prototype names are tokens like others', () => {
    const vocab = Object.fromEntries(['__proto__', '_', 'p', 'r', 'o', 't'].map((token, id) => [token, id]));
    const tokenizer = tokenizerFromJson({
      ...withModel({ vocab, merges: [] }),
      added_tokens: [],
      post_processor: null,
    });
    expect(tokenizer.tokenToId('__proto__')).toBe(0);
    expect(tokenizer.tokenToId('constructor')).toBeNull();
    expect(tokenizer.decode([0, 2])).toBe('__proto__p');
  });
});

test('a tokenizer must fit the rows of the model', () => {
  expect(() => requireVocabularyFit(tiny, 4096)).not.toThrow();
  expect(() => requireVocabularyFit(tiny, 4224)).not.toThrow();
  expect(() => requireVocabularyFit({ vocabSize: 151_665 }, 151_936)).not.toThrow();
  expect(() => requireVocabularyFit(tiny, 4095)).toThrow(/has 4096 tokens and the model 4095 rows/);
  expect(() => requireVocabularyFit(tiny, 32_000)).toThrow(expect.objectContaining({ code: 'BAD_TOKENIZER' }));
});
