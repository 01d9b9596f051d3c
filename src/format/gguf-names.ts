/**
 * Tensor names of GGUF and of Hugging Face, as pairs of patterns: `*` stands for the number of a layer, a second one
 * for that of an expert, which GGUF has stacked. Source: the GGUF specification ("Standardized tensor names").
 */

/** [GGUF, Hugging Face], without `.weight` or `.bias`. */
export type NamePair = readonly [gguf: string, huggingFace: string];

const layers = (prefix: string, rows: readonly NamePair[]): NamePair[] =>
  rows.map(([gguf, name]) => [`blk.*.${gguf}`, `${prefix}.*.${name}`]);

const MODEL: readonly NamePair[] = [
  ['token_embd', 'model.embed_tokens'],
  ['output_norm', 'model.norm'],
  ['output', 'lm_head'],
];
const NORMS_BEFORE: readonly NamePair[] = [
  ['attn_norm', 'input_layernorm'],
  ['ffn_norm', 'post_attention_layernorm'],
];
const QKV: readonly NamePair[] = [
  ['attn_q', 'self_attn.q_proj'],
  ['attn_k', 'self_attn.k_proj'],
  ['attn_v', 'self_attn.v_proj'],
];
const OUTPUT: NamePair = ['attn_output', 'self_attn.o_proj'];
const QK_NORMS: readonly NamePair[] = [
  ['attn_q_norm', 'self_attn.q_norm'],
  ['attn_k_norm', 'self_attn.k_norm'],
];
const GATED: readonly NamePair[] = [
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
];
const EXPERTS: readonly NamePair[] = [
  ['ffn_gate_inp', 'mlp.gate'],
  ['ffn_gate_exps', 'mlp.experts.*.gate_proj'],
  ['ffn_up_exps', 'mlp.experts.*.up_proj'],
  ['ffn_down_exps', 'mlp.experts.*.down_proj'],
];
const SHARED_EXPERT: readonly NamePair[] = [
  ['ffn_gate_inp_shexp', 'mlp.shared_expert_gate'],
  ['ffn_gate_shexp', 'mlp.shared_expert.gate_proj'],
  ['ffn_up_shexp', 'mlp.shared_expert.up_proj'],
  ['ffn_down_shexp', 'mlp.shared_expert.down_proj'],
];
const MIXTRAL_EXPERTS: readonly NamePair[] = [
  ['ffn_gate_inp', 'block_sparse_moe.gate'],
  ['ffn_gate_exps', 'block_sparse_moe.experts.*.w1'],
  ['ffn_up_exps', 'block_sparse_moe.experts.*.w3'],
  ['ffn_down_exps', 'block_sparse_moe.experts.*.w2'],
];
const NORMS_AFTER: readonly NamePair[] = [
  ['post_attention_norm', 'post_attention_layernorm'],
  ['post_ffw_norm', 'post_feedforward_layernorm'],
];
const GEMMA_NORMS: readonly NamePair[] = [
  ['attn_norm', 'input_layernorm'],
  ['ffn_norm', 'pre_feedforward_layernorm'],
  ...NORMS_AFTER,
];

const decoder = (...rows: readonly (readonly NamePair[])[]): NamePair[] => [
  ...MODEL,
  ...layers('model.layers', [...rows.flat(), OUTPUT]),
];

export const LLAMA_NAMES = decoder(NORMS_BEFORE, QKV, GATED);
export const MIXTRAL_NAMES = decoder(NORMS_BEFORE, QKV, MIXTRAL_EXPERTS);
export const QWEN3_NAMES = decoder(NORMS_BEFORE, QKV, QK_NORMS, GATED);
export const QWEN2_MOE_NAMES = decoder(NORMS_BEFORE, QKV, EXPERTS, SHARED_EXPERT);
export const QWEN3_MOE_NAMES = decoder(NORMS_BEFORE, QKV, QK_NORMS, EXPERTS);
export const GEMMA2_NAMES = decoder(GEMMA_NORMS, QKV, GATED);
export const GEMMA3_NAMES = decoder(GEMMA_NORMS, QKV, QK_NORMS, GATED);
export const OLMO2_NAMES = decoder(NORMS_AFTER, QKV, QK_NORMS, GATED);
export const PHI3_NAMES = decoder(NORMS_BEFORE, [
  ['attn_qkv', 'self_attn.qkv_proj'],
  ['ffn_up', 'mlp.gate_up_proj'],
  ['ffn_down', 'mlp.down_proj'],
]);
export const GPT2_NAMES: readonly NamePair[] = [
  ['token_embd', 'transformer.wte'],
  ['position_embd', 'transformer.wpe'],
  ['output_norm', 'transformer.ln_f'],
  ['output', 'lm_head'],
  ...layers('transformer.h', [
    ['attn_norm', 'ln_1'],
    ['attn_qkv', 'attn.c_attn'],
    ['attn_output', 'attn.c_proj'],
    ['ffn_norm', 'ln_2'],
    ['ffn_up', 'mlp.c_fc'],
    ['ffn_down', 'mlp.c_proj'],
  ]),
];

/** A checkpoint that was saved from the inner model has its names without this. */
const bare = (name: string): string => name.replace(/^(model|transformer)\./, '');

/** A name as its pattern and the numbers in it; undefined where it ends in neither `.weight` nor `.bias`. */
function parsed(name: string): { pattern: string; numbers: string[]; suffix: string } | undefined {
  const [, stem, suffix] = /^(.+)(\.(?:weight|bias))$/.exec(name) ?? [];
  if (stem === undefined || suffix === undefined) return undefined;
  const numbers: string[] = [];
  const pattern = stem.replace(/(?<=\.)\d+(?=\.)/g, (number) => {
    numbers.push(number);
    return '*';
  });
  return { pattern, numbers, suffix };
}

const filled = (pattern: string, numbers: readonly string[]): string => {
  let next = 0;
  return pattern.replace(/\*/g, () => numbers[next++]!);
};

/** A tensor's name in GGUF, and which expert of the stack it is there. */
export interface GgufName {
  readonly name: string;
  readonly expert?: number;
}

/** `blk.0.attn_q.weight` of `model.layers.0.self_attn.q_proj.weight`; undefined for names that are not in the table. */
export function ggufName(names: readonly NamePair[], name: string): GgufName | undefined {
  const parts = parsed(bare(name));
  const row = names.find(([, huggingFace]) => bare(huggingFace) === parts?.pattern);
  if (parts === undefined || row === undefined) return undefined;
  const expert = parts.numbers[1];
  const found = filled(row[0], parts.numbers) + parts.suffix;
  return expert === undefined ? { name: found } : { name: found, expert: Number(expert) };
}

/** `model.layers.0.self_attn.q_proj.weight` of `blk.0.attn_q.weight`; stacks keep a `*` for the expert. */
export function huggingFaceName(names: readonly NamePair[], name: string): string | undefined {
  const parts = parsed(name);
  const row = names.find(([gguf]) => gguf === parts?.pattern);
  return parts && row && filled(row[1], [...parts.numbers, '*']) + parts.suffix;
}
