import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { Q4_0, unpack } from '../quant/index.ts';
import { collect, failure } from './file.fixture.ts';
import {
  type GgufContent,
  type GgufFile,
  ggufPieces,
  ggufRow,
  ggufTensorName,
  huggingFaceRow,
  huggingFaceTensorName,
  type JsonRecord,
  llamaConfigOfGguf,
  llamaToGguf,
  memorySource,
  openGguf,
  openSafetensors,
  readTensor,
  type TensorFile,
  tensorEntry,
} from './index.ts';

const asset = (name: string) => readFile(new URL(`../../assets/tiny/${name}`, import.meta.url));
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
  gguf = await written(llamaToGguf(source, config, { format: 'F16', name: 'tiny' }));
});

describe('a Llama in GGUF', () => {
  it('has every tensor under its other name', () => {
    expect([...gguf.tensors.keys()].map(huggingFaceTensorName)).toEqual([...source.tensors.keys()]);
    expect([...source.tensors.keys()].map((name) => huggingFaceTensorName(ggufTensorName(name)!))).toEqual([
      ...source.tensors.keys(),
    ]);
    expect(ggufTensorName('model.layers.12.self_attn.q_proj.weight')).toBe('blk.12.attn_q.weight');
    expect(ggufTensorName('model.layers.0.norm.weight')).toBeUndefined();
    expect(huggingFaceTensorName('blk.x.attn_q.weight')).toBeUndefined();
  });

  it('says the same sizes in its metadata', async () => {
    const read = await llamaConfigOfGguf(gguf);
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
    for (let row = 0; row < 256; row++) expect(ggufRow(huggingFaceRow(row, 32), 32)).toBe(row);
  });

  it('packs matrices and keeps vectors in f32', async () => {
    const q4 = await written(llamaToGguf(source, config, { format: 'q4_0', name: 'tiny' }));
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
    const scaled = await written(llamaToGguf(source, { ...config, rope_scaling }, { format: 'F16', name: 'tiny' }));
    const factors = await numbers(scaled, 'rope_freqs.weight');
    expect([factors.length, factors[0], factors[15]]).toEqual([16, 1, 8]);
    expect(await llamaConfigOfGguf(scaled)).toMatchObject({
      rope_scaling: { rope_type: 'factors', factors: [...factors] },
    });
  });

  it('writes linear scaling as keys', async () => {
    const linear = await written(
      llamaToGguf(source, { ...config, rope_scaling: { type: 'linear', factor: 2 } }, { format: 'F16', name: 'tiny' }),
    );
    expect(await llamaConfigOfGguf(linear)).toMatchObject({ rope_scaling: { rope_type: 'linear', factor: 2 } });
  });

  it('refuses what it does not know', async () => {
    const tensors = new Map([
      ...source.tensors,
      ['model.extra.weight', { ...tensorEntry(source, 'model.norm.weight'), name: 'model.extra.weight' }],
    ]);
    expect(() => llamaToGguf({ name: source.name, tensors }, config, { format: 'F16', name: 'x' })).toThrow(
      failure('UNSUPPORTED_ARCHITECTURE', 'model.extra.weight'),
    );
    expect(() => llamaToGguf(source, config, { format: 'I4_G64', name: 'x' })).toThrow(
      failure('UNSUPPORTED_DTYPE', 'Q4_1'),
    );
    expect(() =>
      llamaToGguf(source, { ...config, rope_scaling: { type: 'yarn', factor: 2 } }, { format: 'F16', name: 'x' }),
    ).toThrow(failure('UNSUPPORTED_FEATURE', 'yarn'));
    const changed = (key: string, value: string | number | undefined) => {
      const metadata = new Map(gguf.metadata);
      if (value === undefined) metadata.delete(key);
      else metadata.set(key, value);
      return llamaConfigOfGguf({ ...gguf, metadata });
    };
    await expect(changed('general.architecture', 'mamba')).rejects.toThrow(
      failure('UNSUPPORTED_ARCHITECTURE', 'mamba'),
    );
    await expect(changed('llama.block_count', undefined)).rejects.toThrow(failure('BAD_FILE', 'llama.block_count'));
    await expect(changed('llama.block_count', 'eight')).rejects.toThrow(failure('BAD_FILE', 'not one number'));
    await expect(changed('llama.expert_count', 8)).rejects.toThrow(failure('UNSUPPORTED_FEATURE', 'experts'));
    await expect(changed('llama.rope.dimension_count', 16)).rejects.toThrow(
      failure('UNSUPPORTED_FEATURE', 'rotates 16 of 32'),
    );
  });
});
