/**
 * The `pre_tokenizer` of a tokenizer.json, which cuts text into words, brought to the few forms that `@huggingface/tokenizers`
 * carries out exactly as the Rust library does; the other forms it reads with JavaScript's idea of words, digits and spaces.
 */
import { BitloomError } from '../ir/error.ts';
import { badTokenizer, isRecord } from './tokenizer-json.ts';

/** Cuts at every match of an expression. `Isolated` keeps matches and what lies between, `Removed` one of the two. */
interface SplitStep {
  readonly type: 'Split';
  readonly pattern: { readonly Regex: string };
  readonly behavior: 'Isolated' | 'Removed';
  /** With `Removed`: the matches stay, what lies between them goes. */
  readonly invert: boolean;
}
/** Writes spaces as another character and puts one in front. */
interface MetaspaceStep {
  readonly type: 'Metaspace';
  readonly replacement: string;
  readonly prepend_scheme: 'always' | 'first' | 'never';
}
/** Writes bytes as characters. */
interface ByteLevelStep {
  readonly type: 'ByteLevel';
  readonly add_prefix_space: false;
  readonly trim_offsets: true;
  readonly use_regex: false;
}
export type PreTokenizerStep = SplitStep | MetaspaceStep | ByteLevelStep;

/** The words of GPT-2, which `ByteLevel` cuts unless told not to. */
export const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/** Rust's \w; the library leaves the joiners out. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';
const PUNCTUATION = '[\\p{P}$+<=>^`|~]';

/** The step that ends a byte-level cut. */
export const BYTE_LEVEL: ByteLevelStep = {
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: false,
};

/** Makes a step that cuts at an expression. */
export function splitStep(regex: string, behavior: SplitStep['behavior'], invert = false): SplitStep {
  return { type: 'Split', pattern: { Regex: regex }, behavior, invert };
}

const SPACE_IN_FRONT: MetaspaceStep = { type: 'Metaspace', replacement: ' ', prepend_scheme: 'always' };
const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

type RawStep = Readonly<Record<string, unknown>>;

/** Ways of cutting at delimiters, by name, as cuts that keep all or drop the delimiters. */
const BEHAVIORS: Readonly<Record<string, (regex: string) => SplitStep>> = {
  Isolated: (regex) => splitStep(regex, 'Isolated'),
  Removed: (regex) => splitStep(regex, 'Removed'),
  Contiguous: (regex) => splitStep(`(?:${regex})+`, 'Isolated'),
  MergedWithPrevious: (regex) => splitStep(`(?:(?!${regex})[\\s\\S])*(?:${regex})`, 'Isolated'),
  MergedWithNext: (regex) => splitStep(`(?:${regex})(?:(?!${regex})[\\s\\S])*`, 'Isolated'),
};

function splitAt(regex: string, step: RawStep, behavior: unknown): SplitStep[] {
  const cut = BEHAVIORS[String(behavior)];
  if (step.invert === true && behavior === 'Removed') return [splitStep(regex, 'Removed', true)];
  if (cut !== undefined && (step.invert !== true || behavior === 'Isolated')) return [cut(regex)];
  throw unsupportedStep(`${String(step.type)} with behavior ${JSON.stringify(behavior)}`);
}

/** How each step is carried out. Source: the documentation and behaviour of Hugging Face tokenizers 0.23. */
const FORMS: Readonly<Record<string, (step: RawStep) => PreTokenizerStep[]>> = {
  Sequence: ({ pretokenizers }) => {
    if (Array.isArray(pretokenizers)) return pretokenizers.flatMap(canonicalSteps);
    throw badTokenizer('a Sequence of the pre-tokenizer has no list of steps');
  },
  ByteLevel: (step) => [
    ...(step.add_prefix_space === true ? [SPACE_IN_FRONT] : []),
    ...(step.use_regex === false ? [] : [splitStep(GPT2, 'Isolated')]),
    BYTE_LEVEL,
  ],
  Split: (step) => {
    const pattern = isRecord(step.pattern) ? step.pattern : {};
    if (typeof pattern.Regex === 'string') return splitAt(pattern.Regex, step, step.behavior);
    if (typeof pattern.String === 'string') return splitAt(escaped(pattern.String), step, step.behavior);
    throw badTokenizer('a Split step of the tokenizer has no pattern');
  },
  Metaspace: (step) => {
    const replacement = typeof step.replacement === 'string' ? step.replacement : '\u2581';
    const legacy = step.add_prefix_space === false ? 'never' : 'always';
    const scheme = (step.prepend_scheme ?? legacy) as MetaspaceStep['prepend_scheme'];
    const metaspace: MetaspaceStep = { type: 'Metaspace', replacement, prepend_scheme: scheme };
    return step.split === false ? [metaspace] : [metaspace, BEHAVIORS.MergedWithNext!(escaped(replacement))];
  },
  Digits: (step) => [splitStep(step.individual_digits === true ? '\\p{N}' : '\\p{N}+', 'Isolated')],
  Punctuation: (step) => splitAt(PUNCTUATION, step, step.behavior ?? 'Isolated'),
  Whitespace: () => [splitStep(`[${WORD}]+|[^${WORD}\\s]+`, 'Removed', true)],
  WhitespaceSplit: () => [splitStep('\\s+', 'Removed')],
  BertPreTokenizer: () => [splitStep('\\s+', 'Removed'), splitStep(PUNCTUATION, 'Isolated')],
  CharDelimiterSplit: ({ delimiter }) => [splitStep(escaped(String(delimiter)), 'Removed')],
};

const unsupportedStep = (what: string): BitloomError =>
  new BitloomError('UNSUPPORTED_FEATURE', `the tokenizer cuts words by ${what}, which is not supported`, {
    step: what,
    supported: Object.keys(FORMS),
  });

/**
 * Reads a pre-tokenizer as a list of steps; empty for none.
 * Throws: UNSUPPORTED_FEATURE for unknown steps by name; BAD_TOKENIZER for malformed ones.
 */
export function canonicalSteps(preTokenizer: unknown): PreTokenizerStep[] {
  if (preTokenizer === null || preTokenizer === undefined) return [];
  if (!isRecord(preTokenizer) || typeof preTokenizer.type !== 'string') {
    throw badTokenizer('a step of the pre-tokenizer has no type');
  }
  const form = Object.hasOwn(FORMS, preTokenizer.type) ? FORMS[preTokenizer.type] : undefined;
  if (form === undefined) throw unsupportedStep(JSON.stringify(preTokenizer.type));
  return form(preTokenizer);
}
