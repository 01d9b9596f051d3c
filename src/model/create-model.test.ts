/** What configurations mean, and those that are refused: a key that changes the meaning is never passed over. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { setDefaultDevice } from '../tensor/default-device.ts';
import { createDevice } from '../tensor/index.ts';
import { createModel, modelFamilies } from './index.ts';
import { distancesFromReference, type FamilyCase, familyCases, familyCheckpoint } from './testing/index.ts';
import published from './testing/published.json' with { type: 'json' };

const configOf = (name: string, change: Readonly<Record<string, unknown>> = {}) => ({
  ...familyCases.find((one) => one.name === name)!.config,
  ...change,
});
const namesOf = (name: string, change?: Readonly<Record<string, unknown>>) =>
  createModel(configOf(name, change)).tensors.map((spec) => spec.name);

const refused: readonly [name: string, change: Readonly<Record<string, unknown>>, code: string, message: RegExp][] = [
  ['llama', { architectures: ['MambaForCausalLM'] }, 'UNSUPPORTED_ARCHITECTURE', /Mamba.*LlamaForCausalLM.*Qwen3Moe/],
  ['llama', { hidden_act: 'mish' }, 'UNSUPPORTED_FEATURE', /hidden_act.*"mish".*gelu_new/],
  ['gemma2', { hidden_activation: 'laplace' }, 'UNSUPPORTED_FEATURE', /hidden_activation.*laplace/],
  ['gpt2', { activation_function: 'quick' }, 'UNSUPPORTED_FEATURE', /activation_function.*quick/],
  ['qwen2', { rope_scaling: { type: 'mrope', mrope_section: [8, 12] } }, 'UNSUPPORTED_FEATURE', /mrope.*yarn/],
  ['llama', { rope_parameters: { full_attention: {} } }, 'UNSUPPORTED_FEATURE', /full_attention/],
  ['llama', { rope_scaling: { rope_type: 'linear' } }, 'BAD_FILE', /factor/],
  ['phi4-long', { rope_scaling: { type: 'longrope', short_factor: [1] } }, 'BAD_FILE', /short_factor.*6 numbers/],
  [
    'gemma3',
    { layer_types: ['full_attention', 'chunked_attention', 'full_attention'] },
    'UNSUPPORTED_FEATURE',
    /chunked/,
  ],
  ['llama', { rope_scaling: { type: 'factors', factors: [1, 2] } }, 'BAD_FILE', /factors.*8 numbers/],
  ['llama', { partial_rotary_factor: 0.2 }, 'BAD_FILE', /partial_rotary_factor/],
  ['gemma3', { layer_types: ['full_attention'] }, 'BAD_FILE', /layer_types.*3/],
  ['gemma3', { use_bidirectional_attention: true }, 'UNSUPPORTED_FEATURE', /bidirectional/],
  ['llama', { rope_interleaved: true }, 'UNSUPPORTED_FEATURE', /rope_interleaved/],
  ['gpt2', { n_head: 5 }, 'BAD_FILE', /n_head 5/],
  ['phi3', { attention_bias: true }, 'UNSUPPORTED_FEATURE', /attention_bias.*true/],
  ['gpt2', { scale_attn_by_inverse_layer_idx: true }, 'UNSUPPORTED_FEATURE', /inverse_layer_idx/],
  ['mistral', { sliding_window: -1 }, 'BAD_FILE', /sliding_window/],
  ['smollm3', { no_rope_layers: [1, 0] }, 'BAD_FILE', /no_rope_layers/],
  ['qwen3-moe', { num_experts_per_tok: 7 }, 'BAD_FILE', /num_experts_per_tok.*6/],
  ['qwen3-moe', { moe_intermediate_size: null }, 'BAD_FILE', /moe_intermediate_size/],
  ['llama', { num_key_value_heads: 3 }, 'BAD_FILE', /heads/],
];

test.each(refused)('%s with %j is refused', (name, change, code, message) => {
  expect(() => createModel(configOf(name, change))).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});

describe('tensors', () => {
  test('every architecture is in one family only, and has a case', () => {
    const names = modelFamilies.flatMap((family) => family.architectures);
    expect(new Set(names).size).toBe(names.length);
    const tested = new Set(familyCases.map(({ config }) => (config.architectures as string[])[0]));
    for (const { architectures } of modelFamilies) expect(tested).toContain(architectures[0]);
  });

  test.each(familyCases)('of $name have distinct names, and a checkpoint has them all', ({ name }) => {
    const names = namesOf(name);
    expect(new Set(names).size).toBe(names.length);
    const { tensors } = familyCheckpoint(name);
    expect(new Set(tensors.map((tensor) => tensor.name)).size).toBe(tensors.length);
  });

  test.each(published)('of $name hold $parameterCount parameters, as its makers say', ({ config, parameterCount }) => {
    const sizes = createModel(config).tensors.map(({ shape }) => shape.reduce((n, d) => n * d, 1));
    expect(sizes.reduce((a, b) => a + b, 0)).toBe(parameterCount);
  });

  test('tied output matrices are not listed twice', () => {
    expect(namesOf('qwen2')).not.toContain('lm_head.weight');
    expect(namesOf('qwen2', { tie_word_embeddings: false })).toContain('lm_head.weight');
    expect(namesOf('gpt2')).not.toContain('lm_head.weight');
  });

  test('experts are stacked of the tensors that files hold apart', () => {
    const { tensors } = createModel(configOf('mixtral'));
    expect(tensors.find(({ name }) => name === 'model.layers.1.block_sparse_moe.experts.w2.weight')).toEqual({
      name: 'model.layers.1.block_sparse_moe.experts.w2.weight',
      shape: [4, 64, 96],
      stackOf: [0, 1, 2, 3].map((i) => `model.layers.1.block_sparse_moe.experts.${i}.w2.weight`),
    });
  });

  test('matrices of GPT-2 lie [in, out] but for those of GGUF files, and its first files lack the prefix', () => {
    const spec = (layout: string) =>
      createModel(configOf('gpt2', { conv1d_layout: layout })).tensors.find(({ name }) =>
        name.endsWith('h.0.mlp.c_fc.weight'),
      )!;
    expect(spec('in_out')).toMatchObject({ shape: [256, 64], isTransposed: true, otherNames: ['h.0.mlp.c_fc.weight'] });
    expect(spec('out_in').isTransposed).toBeUndefined();
  });

  test('the text model of a Gemma 3 that can see has its names', () => {
    const { hidden_size, num_hidden_layers, intermediate_size } = configOf('gemma3') as Record<string, number>;
    const text_config = { hidden_size, num_hidden_layers, intermediate_size, model_type: 'gemma3_text' };
    const model = createModel({ architectures: ['Gemma3ForConditionalGeneration'], text_config, vision_config: {} });
    expect(model).toMatchObject({ vocabSize: 262208, contextLength: 131072 });
    expect(model.caches).toEqual(Array.from({ length: 3 }, () => ({ nKvHeads: 4, headDim: 256 })));
    expect(model.tensors[0]).toMatchObject({
      otherNames: ['language_model.model.embed_tokens.weight', 'model.language_model.embed_tokens.weight'],
    });
  });
});

test('null means what the family takes for granted, but no window or cap where that is meant', async () => {
  setDefaultDevice(await createDevice('interpreter'));
  onTestFinished(() => setDefaultDevice(null));
  const [gemma, mistral] = [
    configOf('gemma', { hidden_activation: null }),
    configOf('mistral', { sliding_window: null }),
  ];
  const worst = async (name: string, config: FamilyCase['config']) =>
    Math.max(...(await distancesFromReference({ name, config }, [[24]])));
  expect(await worst('gemma', gemma)).toBeLessThan(2e-5);
  expect(await worst('mistral', mistral)).toBeGreaterThan(0.1);
});

test('docs/models.md has the table (else: npx vitest run src/model -u)', async () => {
  const cells = modelFamilies.map((f) => [
    f.name,
    f.architectures.map((a) => `\`${a}\``).join(', '),
    f.differences,
    f.source,
  ]);
  const rows = [
    ['family', 'architectures', 'what it does otherwise than Llama', 'source'],
    ['-', '-', '-', '-'],
    ...cells,
  ];
  const text = `# Model families\n\nBy the names in \`config.json\`'s \`architectures\`; in GGUF files too.\n\n${rows
    .map((row) => `| ${row.join(' | ')} |\n`)
    .join('')}`;
  await expect(text).toMatchFileSnapshot('../../docs/models.md');
});

describe('contexts', () => {
  test('yarn reaches as far as its factor says', () => {
    expect(createModel(configOf('qwen2.5-yarn')).contextLength).toBe(64);
    const scaling = { type: 'yarn', factor: 4, original_max_position_embeddings: 64 };
    expect(createModel(configOf('qwen2', { rope_scaling: scaling })).contextLength).toBe(256);
  });

  test('dynamic scaling stays within the trained context', () => {
    expect(createModel(configOf('llama-dynamic')).contextLength).toBe(64);
  });
});
