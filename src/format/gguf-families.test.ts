import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { Q4_0, unpack } from '../quant/index.ts';
import { collect, FLOATS, failure } from './file.fixture.ts';
import {
  checkpointToGguf,
  configOfGguf,
  familyOfGguf,
  GGUF_FAMILIES,
  type GgufContent,
  type GgufFile,
  ggufName,
  ggufPieces,
  ggufTensor,
  huggingFaceName,
  type JsonRecord,
  memorySource,
  openGguf,
  openSafetensors,
  readTensor,
  safetensorsPieces,
  type TensorFile,
  tensorEntry,
} from './index.ts';

const asset = (name: string) => readFile(new URL(`../../assets/tiny/${name}`, import.meta.url));
const NAMES = (pattern: string) => pattern.replace('*', '3').replace('*', '5');
const written = async (content: GgufContent) => openGguf(memorySource(await collect(ggufPieces(content))));

async function numbers(file: TensorFile, name: string): Promise<Float32Array> {
  const entry = tensorEntry(file, name);
  const bytes = new Uint8Array(entry.byteLength);
  await readTensor(entry, bytes);
  return unpack(
    entry.element,
    bytes,
    entry.byteLength === 0 ? 0 : entry.shape.slice(0, -1).reduce((a, b) => a * b, 1),
    entry.shape.at(-1)!,
  );
}

let source: TensorFile;
let config: JsonRecord;
let gguf: GgufFile;
beforeAll(async () => {
  const whole = await openSafetensors(memorySource(await asset('model.safetensors')));
  const isKept = (name: string) => !/\.[1-9]\./.test(name); // one layer is enough
  source = { ...whole, tensors: new Map([...whole.tensors].filter(([name]) => isKept(name))) };
  config = JSON.parse((await asset('config.json')).toString());
  gguf = await written(checkpointToGguf(source, config, { format: 'F16', name: 'tiny' }));
});

describe('a Llama in GGUF', () => {
  it('has every tensor under its other name', () => {
    const { names } = familyOfGguf(gguf);
    expect([...gguf.tensors.keys()].map((name) => huggingFaceName(names, name))).toEqual([...source.tensors.keys()]);
    for (const name of source.tensors.keys())
      expect(ggufTensor(gguf, familyOfGguf(gguf), { name }).name).toBe(ggufName(names, name)!.name);
    expect(ggufName(names, 'model.layers.12.self_attn.q_proj.bias')).toEqual({ name: 'blk.12.attn_q.bias' });
    expect(ggufName(names, 'layers.12.self_attn.q_proj.weight')).toEqual({ name: 'blk.12.attn_q.weight' });
    expect(ggufName(names, 'model.layers.0.norm.weight')).toBeUndefined();
    expect(huggingFaceName(names, 'blk.x.attn_q.weight')).toBeUndefined();
  });

  it('says the same sizes in its metadata', async () => {
    const read = await configOfGguf(gguf);
    for (const key of [
      'hidden_size',
      'num_hidden_layers',
      'intermediate_size',
      'num_attention_heads',
      'num_key_value_heads',
      'head_dim',
      'vocab_size',
      'max_position_embeddings',
      'rope_theta',
      'rope_scaling',
      'tie_word_embeddings',
      'architectures',
    ]) {
      expect(read[key], key).toEqual(config[key]);
    }
    expect(read.rms_norm_eps).toBeCloseTo(1e-5, 12);
    expect(read.rope_style).toBe('interleaved');
  });

  it('keeps matrices and permutes the rows of queries and keys', async () => {
    const same = (a: Float32Array, b: Float32Array) => a.length === b.length && a.every((v, i) => v === b[i]);
    const down = await numbers(gguf, 'blk.0.ffn_down.weight');
    expect(same(down, await numbers(source, 'model.layers.0.mlp.down_proj.weight'))).toBe(true);
    const [q, hf] = [
      await numbers(gguf, 'blk.0.attn_q.weight'),
      await numbers(source, 'model.layers.0.self_attn.q_proj.weight'),
    ];
    for (const [row, from] of [
      [0, 0],
      [1, 16],
      [2, 1],
      [31, 31],
      [32, 32],
      [33, 48],
    ] as const) {
      expect(q.subarray(row * 256, row * 256 + 256), `row ${row}`).toEqual(hf.subarray(from * 256, from * 256 + 256));
    }
  });

  it('packs matrices and keeps vectors in f32', async () => {
    const q4 = await written(checkpointToGguf(source, config, { format: 'q4_0', name: 'tiny' }));
    expect(tensorEntry(q4, 'blk.0.attn_v.weight').element).toBe(Q4_0);
    expect(tensorEntry(q4, 'output_norm.weight').element).toBe('f32');
    expect(q4.metadata.get('general.file_type')).toBe(2);
    const [packed, exact] = [
      await numbers(q4, 'blk.0.attn_v.weight'),
      await numbers(source, 'model.layers.0.self_attn.v_proj.weight'),
    ];
    const error =
      packed.reduce((sum, v, i) => sum + (v - exact[i]!) ** 2, 0) / exact.reduce((sum, v) => sum + v * v, 0);
    expect(error).toBeLessThan(0.012);
  });

  it('writes Llama 3 frequencies as divisors, from 1 for the fastest to the factor', async () => {
    const rope_scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 64,
    };
    const scaled = await written(
      checkpointToGguf(source, { ...config, rope_scaling }, { format: 'F16', name: 'tiny' }),
    );
    const factors = await numbers(scaled, 'rope_freqs.weight');
    expect([factors.length, factors[0], factors[15]]).toEqual([16, 1, 8]);
    expect(await configOfGguf(scaled)).toMatchObject({
      rope_scaling: { rope_type: 'factors', factors: [...factors] },
    });
  });

  it('writes linear scaling as keys', async () => {
    const linear = await written(
      checkpointToGguf(
        source,
        { ...config, rope_scaling: { type: 'linear', factor: 2 } },
        { format: 'F16', name: 'tiny' },
      ),
    );
    expect(await configOfGguf(linear)).toMatchObject({ rope_scaling: { rope_type: 'linear', factor: 2 } });
  });

  it('refuses what it does not know', async () => {
    const tensors = new Map([
      ...source.tensors,
      ['model.extra.weight', { ...tensorEntry(source, 'model.norm.weight'), name: 'model.extra.weight' }],
    ]);
    expect(() => checkpointToGguf({ name: source.name, tensors }, config, { format: 'F16', name: 'x' })).toThrow(
      failure('UNSUPPORTED_ARCHITECTURE', 'model.extra.weight'),
    );
    expect(() => checkpointToGguf(source, config, { format: 'I4_G64', name: 'x' })).toThrow(
      failure('UNSUPPORTED_DTYPE', 'Q4_1'),
    );
    expect(() =>
      checkpointToGguf(source, { ...config, rope_scaling: { type: 'magic', factor: 2 } }, { format: 'F16', name: 'x' }),
    ).toThrow(failure('UNSUPPORTED_FEATURE', 'magic'));
    const changed = (key: string, value: string | number | undefined) => {
      const metadata = new Map(gguf.metadata);
      if (value === undefined) metadata.delete(key);
      else metadata.set(key, value);
      return configOfGguf({ ...gguf, metadata });
    };
    await expect(changed('general.architecture', 'mamba')).rejects.toThrow(
      failure('UNSUPPORTED_ARCHITECTURE', 'mamba'),
    );
    await expect(changed('llama.block_count', undefined)).rejects.toThrow(failure('BAD_FILE', 'llama.block_count'));
    await expect(changed('llama.block_count', 'eight')).rejects.toThrow(failure('BAD_FILE', 'not one number'));
    await expect(changed('llama.expert_count', 8)).rejects.toThrow(failure('BAD_FILE', 'llama.expert_used_count'));
    await expect(changed('llama.rope.dimension_count', 16)).rejects.toThrow(
      failure('UNSUPPORTED_FEATURE', 'rotates 16 of 32'),
    );
  });
});

describe('the table of families', () => {
  it.each(GGUF_FAMILIES.map((family) => [family.className, family] as const))(
    '%s has names that go both ways',
    (_, family) => {
      for (const [gguf, huggingFace] of family.names) {
        const name = `${NAMES(huggingFace)}.weight`;
        const found = ggufName(family.names, name)!;
        expect(found.name).toBe(`${NAMES(gguf)}.weight`);
        expect(found.expert).toBe(huggingFace.split('*').length > 2 ? 5 : undefined);
        expect(huggingFaceName(family.names, found.name)?.replace('*', '5')).toBe(name);
      }
    },
  );

  it('falls back to formats whose blocks divide the rows, and says so', async () => {
    const tensors = new Map(
      [...source.tensors].filter(([name]) => name.endsWith('down_proj.weight') || name.endsWith('up_proj.weight')),
    );
    const content = checkpointToGguf({ name: 'x', tensors }, config, {
      format: (name) => (name.includes('up') ? 'Q6_K' : 'Q4_K'),
      name: 'x',
    });
    // Rows of 256 divide, those of the down matrix by 32 alone.
    expect(content.substituted).toEqual([{ name: 'blk.0.ffn_down.weight', wanted: 'Q4_K', format: 'Q5_0' }]);
    const read = await written(content);
    expect(tensorEntry(read, 'blk.0.ffn_up.weight').element).toMatchObject({ name: 'Q6_K' });
    expect(tensorEntry(read, 'blk.0.ffn_down.weight').element).toMatchObject({ name: 'Q5_0' });
    const narrow = await openSafetensors(
      memorySource(await collect(safetensorsPieces([{ ...FLOATS[1]!, name: 'model.layers.0.mlp.up_proj.weight' }]))),
    );
    const { substituted } = checkpointToGguf(narrow, config, { format: 'Q8_0', name: 'x' });
    expect(substituted).toEqual([{ name: 'blk.0.ffn_up.weight', wanted: 'Q8_0', format: 'F16' }]);
  });

  it.each([
    ['hidden_act', 'gelu'],
    ['architectures', ['MambaForCausalLM']],
    ['architectures', 'LlamaForCausalLM'],
    ['num_hidden_layers', 1.5],
    ['rms_norm_eps', '1e-5'],
    ['rope_theta', -1],
  ])('refuses to write a configuration with %s: %o', (key, value) => {
    const write = () => checkpointToGguf(source, { ...config, [key]: value }, { format: 'F16', name: 'x' });
    const named = key === 'architectures' ? 'LlamaForCausalLM' : key;
    expect(write).toThrow(expect.objectContaining({ code: expect.stringMatching(/^(UNSUPPORTED_|BAD_FILE)/) }));
    if (value !== 'LlamaForCausalLM') expect(write).toThrow(named);
  });
});
