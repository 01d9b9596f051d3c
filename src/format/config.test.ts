import { describe, expect, it } from 'vitest';
import { failure } from './file.fixture.ts';
import { generationDefaults, memorySource, parseJson, readConfig } from './index.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('configuration files', () => {
  it('reads a record and refuses anything else', async () => {
    expect(await readConfig(memorySource(bytes('{"hidden_size": 64, "rope_scaling": null}')))).toEqual({
      hidden_size: 64,
      rope_scaling: null,
    });
    for (const text of ['', '[1]', '{"a":1', '{"a":1,"a":2}', '{"a":{"b":1,"b" : 2}}']) {
      await expect(readConfig(memorySource(bytes(text))), text).rejects.toThrow(failure('BAD_FILE'));
    }
  });

  it('allows equal keys in different objects and equal strings in lists', () => {
    const text = '{"a":{"x":1,"y":"}\\\\\\""},"b":{"x":["x","x",{"x":1}]}}';
    expect(parseJson({ name: 'x' }, bytes(text), 'text')).toEqual(JSON.parse(text));
  });

  it('refuses a file that is far too large before reading it', async () => {
    const source = { ...memorySource(new Uint8Array(0)), sizeBytes: 2 ** 40 };
    await expect(readConfig(source)).rejects.toThrow(failure('BAD_FILE', 'more than'));
  });
});

describe('generation defaults', () => {
  it('reads one or several end tokens and skips what is absent or null', () => {
    expect(generationDefaults({ eos_token_id: 3, temperature: 0.7, top_k: null })).toEqual({
      eosTokenIds: [3],
      temperature: 0.7,
    });
    expect(generationDefaults({ eos_token_id: [1, 2], do_sample: false, top_p: 1 })).toEqual({
      eosTokenIds: [1, 2],
      doSample: false,
      topP: 1,
    });
  });

  it.each([
    { temperature: '1' },
    { temperature: -1 },
    { top_p: 1.5 },
    { eos_token_id: [1, -2] },
    { bos_token_id: 0.5 },
    { repetition_penalty: 0 },
  ])('refuses %o', (record) =>
    expect(() => generationDefaults(record)).toThrow(failure('BAD_FILE', Object.keys(record)[0])),
  );
});
