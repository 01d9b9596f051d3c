/** Vocabularies in tokenizer.json with the files beside it, as Hugging Face publishes them, read into a tokenizer. */
import { createTokenizer, type Tokenizer } from './tokenizer.ts';
import { isRecord, readTokenizerJson, specialTokenText, type TokenizerJson } from './tokenizer-json.ts';

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
    config,
    bosId: bosToken === null ? bosIdOfModel : idOfToken(json, bosToken),
    eosToken: specialTokenText(config, 'eos_token'),
    eosIds: eosIdsOf(generation),
    addsBos: flag(config.add_bos_token),
    addsEos: flag(config.add_eos_token),
  });
}

function idOfToken(json: TokenizerJson, token: string): number | null {
  const added = json.added_tokens.find(({ content }) => content === token);
  if (added) return added.id;
  const { vocab } = json.model;
  if (Array.isArray(vocab)) {
    const id = vocab.findIndex((entry: unknown) => Array.isArray(entry) && entry[0] === token);
    return id < 0 ? null : id;
  }
  return isRecord(vocab) && Object.hasOwn(vocab, token) ? (vocab[token] as number) : null;
}
