/**
 * How byte-level vocabularies cut text into words before merging. A cut is a list of expressions, applied one
 * after the other to the pieces of the one before. GGUF files name it (`tokenizer.ggml.pre`, names and meaning as in
 * llama.cpp's vocabulary loader); tokenizer.json spells it out. This table ties the two together.
 */
import { isRecord } from './tokenizer-json.ts';

/** One way of cutting words, with what else its GGUF name implies. */
export interface WordCut {
  /** Names in GGUF files; the first is the one written. */
  readonly names: readonly string[];
  readonly expressions: readonly string[];
  /** A whole word that is in the vocabulary is taken as it is, whatever the merges say. */
  readonly ignoresMerges: boolean;
  /** BOS goes in front unless the file says otherwise. */
  readonly addsBos: boolean;
}

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** The expression of Llama 3 and its kin, which differ in how many digits may stand together. */
const llama3 = (digits: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}` +
  '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
/** The expression of GPT-4o and Tekken: words also end where capitals follow small letters. */
const camelCase = (contractions: string, digits: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${contractions}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${contractions}` +
  `|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** Every cut that bitloom knows. */
export const WORD_CUTS: readonly WordCut[] = [
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral', 'lfm2'],
    expressions: [llama3('\\p{N}{1,3}')],
    ignoresMerges: true,
    addsBos: true,
  },
  {
    names: ['smaug-bpe', 'dbrx', 'glm4', 'chatglm-bpe'],
    expressions: [llama3('\\p{N}{1,3}')],
    ignoresMerges: false,
    addsBos: false,
  },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'megrez', 'stablelm2', 'hunyuan', 'solar-open'],
    expressions: [llama3('\\p{N}')],
    ignoresMerges: false,
    addsBos: false,
  },
  {
    names: ['gpt-2', 'phi-2', 'mpt', 'olmo', 'jais', 'gigachat', 'mellum', 'exaone4', 'trillion'],
    expressions: [GPT2],
    ignoresMerges: false,
    addsBos: false,
  },
  {
    names: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'],
    expressions: ['\\p{N}', GPT2],
    ignoresMerges: false,
    addsBos: false,
  },
  {
    names: ['gpt-4o', 'llama4'],
    expressions: [camelCase("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", '\\p{N}{1,3}')],
    ignoresMerges: false,
    addsBos: false,
  },
  { names: ['tekken'], expressions: [camelCase('', '\\p{N}')], ignoresMerges: true, addsBos: true },
  {
    names: ['falcon'],
    expressions: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', GPT2, '[0-9][0-9][0-9]'],
    ignoresMerges: false,
    addsBos: false,
  },
  {
    names: ['default'],
    expressions: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2, '\\p{N}+', '[0-9][0-9][0-9]'],
    ignoresMerges: false,
    addsBos: false,
  },
];

/**
 * Reads the `pre_tokenizer` of a tokenizer.json as a list of expressions that end in byte-level characters.
 * Null if it does anything else (a space put in front, pieces removed, another kind of splitting).
 */
export function wordExpressions(preTokenizer: unknown): readonly string[] | null {
  if (!isRecord(preTokenizer)) return null;
  const isSequence = preTokenizer.type === 'Sequence' && Array.isArray(preTokenizer.pretokenizers);
  const steps: readonly unknown[] = isSequence ? (preTokenizer.pretokenizers as unknown[]) : [preTokenizer];
  const expressions: string[] = [];
  for (const [index, step] of steps.entries()) {
    if (!isRecord(step)) return null;
    const isLast = index === steps.length - 1;
    if ((step.type === 'ByteLevel') !== isLast) return null;
    if (isLast) {
      if (step.add_prefix_space === true) return null;
      if (step.use_regex !== false) expressions.push(GPT2);
    } else if (step.type === 'Digits') {
      expressions.push(step.individual_digits === true ? '\\p{N}' : '\\p{N}+');
    } else if (step.type === 'Split' && step.behavior === 'Isolated' && step.invert !== true) {
      if (!isRecord(step.pattern) || typeof step.pattern.Regex !== 'string') return null;
      expressions.push(step.pattern.Regex);
    } else return null;
  }
  return expressions;
}

/** Writes a list of expressions as the `pre_tokenizer` of a tokenizer.json. */
export function preTokenizerOf(expressions: readonly string[]): unknown {
  return {
    type: 'Sequence',
    pretokenizers: [
      ...expressions.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
}

/** Finds the cut that a GGUF file names. */
export function wordCutByName(name: string): WordCut | undefined {
  return WORD_CUTS.find((cut) => cut.names.includes(name));
}

/** Finds the cut with these expressions and this treatment of whole words. */
export function wordCutByExpressions(expressions: readonly string[], ignoresMerges: boolean): WordCut | undefined {
  return WORD_CUTS.find(
    (cut) =>
      cut.ignoresMerges === ignoresMerges &&
      cut.expressions.length === expressions.length &&
      cut.expressions.every((expression, index) => expression === expressions[index]),
  );
}
