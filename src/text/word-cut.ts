/**
 * How byte-level vocabularies cut text into words before merging. A cut is a list of expressions, applied one
 * after the other to the pieces of the one before. GGUF files name it (`tokenizer.ggml.pre`, names and meaning as in
 * llama.cpp's vocabulary loader); tokenizer.json spells it out. This table ties the two together.
 */
import { BYTE_LEVEL, canonicalSteps, GPT2, splitStep } from './pre-tokenizer.ts';

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

/** The expression of Llama 3 and its kin, which differ in how many digits may stand together and in the letters of words. */
const llama3 = (digits: string, letter = '\\p{L}', letters = letter): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?${letter}+|${digits}` +
  `| ?[^\\s${letters}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
/**
 * The expression of GPT-4o and Tekken: words also end where capitals follow small letters. It is the models' own, held to the
 * Rust library; llama.cpp's stand-in for it cuts at combining marks.
 */
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
    names: ['qwen35'],
    expressions: [llama3('\\p{N}', '[\\p{L}\\p{M}]', '\\p{L}\\p{M}')],
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
  const steps = canonicalSteps(preTokenizer);
  if (steps.pop()?.type !== 'ByteLevel') return null;
  const expressions = steps.map((step) =>
    step.type === 'Split' && step.behavior === 'Isolated' ? step.pattern.Regex : null,
  );
  return expressions.includes(null) ? null : (expressions as string[]);
}

/** Writes a list of expressions as the `pre_tokenizer` of a tokenizer.json. */
export function preTokenizerOf(expressions: readonly string[]): unknown {
  return { type: 'Sequence', pretokenizers: [...expressions.map((regex) => splitStep(regex, 'Isolated')), BYTE_LEVEL] };
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
