/** The JSON files beside a checkpoint: `config.json` as a raw record, `generation_config.json` as typed defaults. */
import { type ByteSource, badFile, readAll } from './byte-source.ts';
import { type JsonRecord, parseJson } from './json.ts';

const MOST_CONFIG_BYTES = 2 ** 24;

/** Reads `config.json` or a file like it. Its architecture checks the fields. Throws BAD_FILE. */
export async function readConfig(source: ByteSource, signal?: AbortSignal): Promise<JsonRecord> {
  return parseJson(source, await readAll(source, MOST_CONFIG_BYTES, signal), 'configuration');
}

/** What a checkpoint suggests for generating; absent where it says nothing. */
export interface GenerationDefaults {
  readonly bosTokenId?: number;
  /** Any of these ends a reply. */
  readonly eosTokenIds?: readonly number[];
  readonly padTokenId?: number;
  readonly doSample?: boolean;
  readonly temperature?: number;
  /** 0 means all. */
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly maxNewTokens?: number;
}

const isId = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
const within =
  (least: number, most: number) =>
  (value: unknown): value is number =>
    typeof value === 'number' && value >= least && value <= most;

/** Reads the fields of `generation_config.json` (or of a `config.json`, which may hold them too). Throws BAD_FILE. */
export function generationDefaults(record: JsonRecord, fileName = 'generation_config.json'): GenerationDefaults {
  function field<T>(key: string, accepts: (value: unknown) => value is T, wanted: string): T | undefined {
    const value = record[key] ?? undefined;
    if (value === undefined || accepts(value)) return value;
    throw badFile({ name: fileName }, `"${key}" must be ${wanted}, not ${JSON.stringify(value)}`, { key, value });
  }
  const ids = (value: unknown): value is number | number[] =>
    isId(value) || (Array.isArray(value) && value.every(isId));
  const eos = field('eos_token_id', ids, 'a token id or a list of them');
  const found = {
    bosTokenId: field('bos_token_id', isId, 'a token id'),
    eosTokenIds: typeof eos === 'number' ? [eos] : eos,
    padTokenId: field('pad_token_id', isId, 'a token id'),
    doSample: field('do_sample', (value): value is boolean => typeof value === 'boolean', 'true or false'),
    temperature: field('temperature', within(0, 1e6), 'a number >= 0'),
    topK: field('top_k', isId, 'a whole number >= 0'),
    topP: field('top_p', within(0, 1), 'a number from 0 to 1'),
    minP: field('min_p', within(0, 1), 'a number from 0 to 1'),
    repetitionPenalty: field('repetition_penalty', within(Number.MIN_VALUE, 1e6), 'a number above 0'),
    maxNewTokens: field('max_new_tokens', isId, 'a whole number >= 0'),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}
