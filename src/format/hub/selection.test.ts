/** Which files of a repository are taken, and what is said where the choice is not clear. */
import { expect, test } from 'vitest';
import { selectFiles } from './selection.ts';

const JSONS = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
const SAFETENSORS = [
  ...JSONS,
  'chat_template.jinja',
  'model.safetensors',
  'README.md',
  'onnx/model.onnx',
  '.gitattributes',
];
const SHARDED = [
  ...JSONS,
  'model.safetensors.index.json',
  'model-00001-of-00002.safetensors',
  'model-00002-of-00002.safetensors',
  'consolidated.safetensors',
];
const GGUF = [
  'a-Q4_0.gguf',
  'a-Q4_K_M.gguf',
  'a-Q4_K.gguf',
  'a-IQ4_XS.gguf',
  'a-BF16.gguf',
  'mmproj-a-Q8_0.gguf',
  'README.md',
];
const SPLIT = ['Q8_0/a-Q8_0-00001-of-00002.gguf', 'Q8_0/a-Q8_0-00002-of-00002.gguf', 'a-Q2_K.gguf', 'a-imatrix.gguf'];

const cases: readonly [string, readonly string[], string | undefined, readonly string[]][] = [
  ['safetensors with what belongs to them', SAFETENSORS, undefined, SAFETENSORS.slice(0, 6)],
  ['shards with their index', SHARDED, undefined, SHARDED.slice(0, 7)],
  ['one odd safetensors file', [...JSONS, 'weights.safetensors'], undefined, [...JSONS, 'weights.safetensors']],
  ['safetensors before GGUF', [...SAFETENSORS, ...GGUF], undefined, SAFETENSORS.slice(0, 6)],
  ['a shard by its name is the set', SHARDED, 'model-00002-of-00002.safetensors', SHARDED.slice(0, 7)],
  ['a file by its name', GGUF, 'a-BF16.gguf', ['a-BF16.gguf']],
  ['a quantisation, in any case', GGUF, 'q4_k_m', ['a-Q4_K_M.gguf']],
  ['no longer one and no I-quant', GGUF, 'Q4_K', ['a-Q4_K.gguf']],
  ['an I-quant', GGUF, 'iq4_xs', ['a-IQ4_XS.gguf']],
  ['the usual one', GGUF, undefined, ['a-Q4_K_M.gguf']],
  ['the next usual one, split', SPLIT, undefined, SPLIT.slice(0, 2)],
  ['a part by its name is the set', SPLIT, SPLIT[1], SPLIT.slice(0, 2)],
  [
    'a folder with the quantisation',
    ['Q3_K/x-00001-of-00001.gguf', 'Q2_K/x.gguf'],
    'q3_k',
    ['Q3_K/x-00001-of-00001.gguf'],
  ],
  ['the only one', ['odd.gguf', 'README.md'], undefined, ['odd.gguf']],
  [
    'six digits',
    ['model-00001-of-000001.safetensors', 'config.json'],
    undefined,
    ['config.json', 'model-00001-of-000001.safetensors'],
  ],
];

test.each(cases)('%s', (_, names, choice, expected) => {
  expect(selectFiles('org/name', names, choice)).toEqual([...expected].sort());
});

const refused: readonly [string, readonly string[], string | undefined, RegExp][] = [
  [
    'nothing to load',
    ['README.md', 'model.onnx'],
    undefined,
    /neither safetensors nor GGUF files, but README\.md, model\.onnx/,
  ],
  [
    'several without a usual one',
    ['a-Q2_K.gguf', 'a-Q3_K.gguf'],
    undefined,
    /a-Q2_K\.gguf, a-Q3_K\.gguf; name one.*org\/name:a-Q2_K\.gguf/,
  ],
  ['a quantisation that is not there', GGUF, 'Q5_0', /no file with Q5_0, but a-Q4_0\.gguf/],
  [
    'a quantisation that two have',
    ['a-Q4_0.gguf', 'b-Q4_0.gguf'],
    'Q4_0',
    /several files with Q4_0, but a-Q4_0\.gguf, b-Q4_0\.gguf/,
  ],
  ['a file that is not there', GGUF, 'c.gguf', /no file c\.gguf, but a-Q4_0\.gguf/],
  ['a missing shard', SHARDED.slice(0, 6), undefined, /lacks parts of a split file: model-00002-of-00002\.safetensors/],
  ['a missing part', SPLIT.slice(1), 'Q8_0', /lacks parts.*Q8_0\/a-Q8_0-00001-of-00002\.gguf/],
  ['more parts than a model has', ['a-00001-of-99999999.gguf'], undefined, /at most 4096/],
  ['only names that lead elsewhere', ['../model.safetensors', '/x.gguf', 'a\\b.gguf'], undefined, /neither/],
];

test.each(refused)('%s is refused with the choices', (_, names, choice, message) => {
  expect(() => selectFiles('org/name', names, choice)).toThrow(
    expect.objectContaining({ code: 'MISSING_FILE', message: expect.stringMatching(message) }),
  );
});
