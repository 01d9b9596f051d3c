/** For the fuzz of checkpoints: small sound models in every layout that is read. */
import { readFileSync } from 'node:fs';
import { collect } from '../format/file.fixture.ts';
import {
  checkpointToGguf,
  ggufPieces,
  type MetadataInput,
  memorySource,
  openSafetensors,
  safetensorsPieces,
  type TensorSource,
} from '../format/index.ts';
import { familyCheckpoint } from '../model/testing/index.ts';
import { tokenizerToGguf } from '../text/index.ts';

/** A model as the contents of its files. */
export interface Subject {
  readonly name: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
}

const VOCAB = 280;
const SIZES = {
  vocab_size: VOCAB,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  tie_word_embeddings: true,
};

/** The embedded model's tokenizer with its first tokens alone. */
function smallTokenizer(): unknown {
  const file = new URL('../../assets/tiny/tokenizer.json', import.meta.url);
  const json = JSON.parse(readFileSync(file, 'utf8')) as {
    model: { vocab: Record<string, number>; merges: string[] };
  };
  const vocab = Object.fromEntries(Object.entries(json.model.vocab).filter(([, id]) => id < VOCAB));
  const merges = json.model.merges.filter((merge) => merge.replace(' ', '') in vocab);
  return { ...json, model: { ...json.model, vocab, merges } };
}

/** A vocabulary of pieces with bytes to fall back on, as Llama 2 and Gemma have. */
function pieces(): readonly string[] {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  return ['<unk>', '<s>', '</s>', ...bytes, ...'▁abcdehilnorstuwy'.split(''), '▁a', 'th', 'the', '▁the'].slice(
    0,
    VOCAB,
  );
}

function pieceTokenizer(): unknown {
  const special = (id: number) => ({ id, content: pieces()[id]!, special: true, normalized: false });
  return {
    added_tokens: [special(0), special(1), special(2)],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
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
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces().map((piece, id) => [piece, id])),
      merges: ['▁ a', 't h', 'th e', '▁ the'],
    },
  };
}

function pieceMetadata(): Map<string, MetadataInput> {
  const types = pieces().map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1));
  return new Map<string, MetadataInput>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', pieces()],
    ['tokenizer.ggml.scores', Float32Array.from(pieces(), (_, id) => -id)],
    ['tokenizer.ggml.token_type', Int32Array.from(types)],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 2],
  ]);
}

const encoded = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

const safetensors = (tensors: readonly TensorSource[]) => collect(safetensorsPieces(tensors));

/** A family's checkpoint as a Hugging Face folder. */
async function folder(
  family: string,
  name = family,
  overrides: Readonly<Record<string, unknown>> = {},
): Promise<Subject> {
  const { config, tensors } = familyCheckpoint(family, { ...SIZES, ...overrides });
  const files = {
    'config.json': encoded(config),
    'tokenizer.json': encoded(smallTokenizer()),
    'tokenizer_config.json': encoded({
      bos_token: '<|bos|>',
      eos_token: '<|end|>',
      chat_template: '{{ messages[0].content }}',
    }),
    'generation_config.json': encoded({ eos_token_id: 3, temperature: 0.5 }),
    'model.safetensors': await safetensors(tensors),
  };
  return { name, files };
}

async function sharded(): Promise<Subject> {
  const { files } = await folder('llama');
  const { tensors } = familyCheckpoint('llama', SIZES);
  const shardOf = (i: number) => `model-0000${(i % 2) + 1}-of-00002.safetensors`;
  const weight_map = Object.fromEntries(tensors.map(({ name }, i) => [name, shardOf(i)]));
  const total_size = tensors.reduce((sum, { data }) => sum + (data as Uint8Array).byteLength, 0);
  const { 'model.safetensors': _, ...beside } = files;
  const shards = await Promise.all(
    [0, 1].map(async (i) => [shardOf(i), await safetensors(tensors.filter((_tensor, at) => at % 2 === i))] as const),
  );
  return {
    name: 'sharded',
    files: {
      ...beside,
      ...Object.fromEntries(shards),
      'model.safetensors.index.json': encoded({ metadata: { total_size }, weight_map }),
    },
  };
}

/** The matrices of the Llama as zeros in AWQ's or GPTQ's words. */
async function int4(method: 'awq' | 'gptq'): Promise<Subject> {
  const quantization_config = { quant_method: method, bits: 4, group_size: 32, version: 'gemm' };
  const { files } = await folder('llama', method, { quantization_config });
  const words = (name: string, rows: number, columns: number, element: 'i32' | 'f16' = 'i32'): TensorSource => ({
    name,
    element,
    shape: [rows, columns],
    data: new Uint8Array(rows * columns * (element === 'i32' ? 4 : 2)),
  });
  const tensors = familyCheckpoint('llama', SIZES).tensors.flatMap((tensor) => {
    if (!tensor.name.includes('proj')) return [tensor];
    const [out, inn] = tensor.shape as readonly [number, number];
    const base = tensor.name.replace('.weight', '');
    return [
      method === 'awq' ? words(`${base}.qweight`, inn, out / 8) : words(`${base}.qweight`, inn / 8, out),
      words(`${base}.qzeros`, inn / 32, out / 8),
      words(`${base}.scales`, inn / 32, out, 'f16'),
    ];
  });
  return { name: method, files: { ...files, 'model.safetensors': await safetensors(tensors) } };
}

async function ggufBytes(family: string, format: string, part?: number): Promise<Uint8Array> {
  const { config, tensors } = familyCheckpoint(family, { ...SIZES, head_dim: 32, query_pre_attn_scalar: 32 });
  const file = await openSafetensors(memorySource(await safetensors(tensors)));
  const metadata = tokenizerToGguf({ tokenizerJson: smallTokenizer(), modelVocabSize: VOCAB, chatTemplate: '{{ x }}' });
  const content = checkpointToGguf(file, config, { format, name: family, metadata });
  if (part === undefined) return collect(ggufPieces(content));
  const own = new Map([
    ['split.no', part],
    ['split.count', 2],
    ['split.tensors.count', content.tensors.length],
  ] as const);
  return collect(
    ggufPieces({
      metadata: new Map(part === 0 ? [...content.metadata, ...own] : own),
      tensors: content.tensors.filter((_, i) => i % 2 === part),
    }),
  );
}

async function withPieces(): Promise<Subject[]> {
  const { files } = await folder('gemma');
  const { config, tensors } = familyCheckpoint('gemma', SIZES);
  const file = await openSafetensors(memorySource(await safetensors(tensors)));
  const content = checkpointToGguf(file, config, { format: 'F16', name: 'gemma', metadata: pieceMetadata() });
  return [
    { name: 'pieces', files: { ...files, 'tokenizer.json': encoded(pieceTokenizer()) } },
    { name: 'pieces in GGUF', files: { 'model.gguf': await collect(ggufPieces(content)) } },
  ];
}

async function gguf(family: string, format: string, version = 3): Promise<Subject> {
  const bytes = await ggufBytes(family, format);
  new DataView(bytes.buffer).setUint32(4, version, true);
  return { name: `${family} ${format} v${version}`, files: { 'model.gguf': bytes } };
}

async function split(): Promise<Subject> {
  const [first, second] = [await ggufBytes('llama', 'F16', 0), await ggufBytes('llama', 'F16', 1)];
  return { name: 'split', files: { 'm-00001-of-00002.gguf': first, 'm-00002-of-00002.gguf': second } };
}

export const fuzzSubjects = async (): Promise<Subject[]> => [
  ...(await withPieces()),
  ...(await Promise.all([
    folder('llama'),
    folder('gemma3'),
    folder('qwen2-moe'),
    folder('phi4-short'),
    sharded(),
    int4('awq'),
    int4('gptq'),
    gguf('llama', 'Q8_0'),
    gguf('llama', 'Q4_0', 2),
    gguf('mixtral', 'F16'),
    gguf('gemma2', 'F16'),
    split(),
  ])),
];
