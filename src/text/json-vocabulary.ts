/** Vocabularies in tokenizer.json with the files beside it, as Hugging Face publishes them, read into a tokenizer. */
import { BitloomError } from '../ir/error.ts';
import { openHubModel } from './hub-steps.ts';
import { type MergeList, rankedMerges } from './merge-model.ts';
import { type TextModel, UNKNOWN } from './text-model.ts';
import { createTokenizer, type Tokenizer } from './tokenizer.ts';
import {
  badTokenizer,
  isRecord,
  readTokenizerJson,
  specialTokenText,
  type TokenizerJson,
  tokenList,
} from './tokenizer-json.ts';

/** `eos_token_id` of generation_config.json or config.json: one id, several, or none. */
function eosIdsOf(generationConfig: Readonly<Record<string, unknown>>): number[] {
  const value = generationConfig.eos_token_id;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  return ids.filter((id): id is number => Number.isInteger(id));
}

const flag = (value: unknown): boolean | undefined => (typeof value === 'boolean' ? value : undefined);

/**
 * Makes a tokenizer from a parsed tokenizer.json, tokenizer_config.json and generation_config.json (or config.json, for
 * its `eos_token_id` and `bos_token_id`). BOS and EOS are added as tokenizer_config.json says (`add_bos_token`,
 * `add_eos_token`), else as the post-processor does.
 * Throws: BAD_TOKENIZER.
 */
export function tokenizerFromJson(
  tokenizerJson: unknown,
  tokenizerConfig?: unknown,
  generationConfig?: unknown,
): Tokenizer {
  const json = readTokenizerJson(tokenizerJson);
  const config = isRecord(tokenizerConfig) ? tokenizerConfig : {};
  const generation = isRecord(generationConfig) ? generationConfig : {};
  const bosToken = specialTokenText(config, 'bos_token');
  const bosIdOfModel = Number.isInteger(generation.bos_token_id) ? (generation.bos_token_id as number) : null;
  return createTokenizer({
    json,
    model: modelOf(json, config),
    bos: bosToken ?? bosIdOfModel,
    eosToken: specialTokenText(config, 'eos_token'),
    eosIds: eosIdsOf(generation),
    addsBos: flag(config.add_bos_token),
    addsEos: flag(config.add_eos_token),
  });
}

/** Between the two tokens of a merge that is listed as a pair; no token holds it. */
const PAIR_SEPARATOR = '\0';

/** Reads merges, which files list as pairs or as texts with one space. Throws: BAD_TOKENIZER. */
export function mergeList(merges: unknown): MergeList {
  if (!Array.isArray(merges)) throw badTokenizer('the tokenizer has no list of merges');
  const separator = typeof merges[0] === 'string' ? ' ' : PAIR_SEPARATOR;
  const read = (merge: unknown): string => {
    const text = Array.isArray(merge) && separator === PAIR_SEPARATOR ? merge.join(separator) : merge;
    const at = typeof text === 'string' ? text.indexOf(separator) : -1;
    if (at > 0 && (text as string).indexOf(separator, at + 1) < 0) return text as string;
    throw badTokenizer(`the merge ${JSON.stringify(merge)} is not two tokens`);
  };
  return { merges: merges.map(read), separator };
}

function modelOf(json: TokenizerJson, config: Readonly<Record<string, unknown>>): TextModel {
  const { model } = json;
  const type = model.type ?? (model.merges === undefined ? undefined : 'BPE'); // early files do not say
  if (type === 'Unigram' && model.byte_fallback === true)
    throw unsupported('spells rare characters of a Unigram model in bytes');
  if (type === 'Unigram' || type === 'WordPiece') return openHubModel(json, config);
  if (type !== 'BPE' || !isRecord(model.vocab)) {
    throw badTokenizer(
      `the tokenizer's model is of the kind ${JSON.stringify(type)}; BPE, Unigram and WordPiece exist`,
      {
        type,
      },
    );
  }
  for (const affix of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if (typeof model[affix] === 'string' && model[affix] !== '') {
      throw new BitloomError(
        'UNSUPPORTED_FEATURE',
        `the tokenizer marks parts of words by ${affix}, which is not supported`,
      );
    }
  }
  const tokens = tokenList(model.vocab);
  const unknownId = typeof model.unk_token === 'string' ? tokens.indexOf(model.unk_token) : UNKNOWN;
  return rankedMerges(tokens, mergeList(model.merges), {
    unknownId: unknownId === UNKNOWN ? null : unknownId,
    fusesUnknown: model.fuse_unk === true,
    fallsBackToBytes: model.byte_fallback === true,
    takesWholeWords: model.ignore_merges === true,
  });
}

const unsupported = (what: string): BitloomError =>
  new BitloomError('UNSUPPORTED_FEATURE', `the tokenizer ${what}, which is not supported`);
