/** Which files of a repository make the model that an id names. */
import { BitloomError } from '../../ir/error.ts';
import { isSafePath } from './hub-id.ts';

/** What a model of safetensors is read from, beside its weights. */
const COMPANIONS =
  /^(config|generation_config|tokenizer[\w.-]*|special_tokens_map|added_tokens|quantize_config|quant_config)\.json$|^chat_template\.(jinja|json)$/;
/** A part of a set, e.g. `model-00001-of-00003.safetensors`. */
const PART = /^(.*)-(\d+)-of-(\d+)\.(gguf|safetensors)$/i;
const SHARD = /^model-\d+-of-\d+\.safetensors$/;
const INDEX = 'model.safetensors.index.json';
const MOST_PARTS = 4096;
/** GGUF files that hold no language model: projectors of images, matrices of importance. */
const NOT_A_MODEL = /(^|[/._-])(mmproj|imatrix)([._-]|$)/i;
/** What is taken where nobody says, best first: small, and close to the original. */
const USUAL_QUANTS = ['Q4_K_M', 'Q4_0', 'Q8_0'];

/** A GGUF model: one file, or the parts of a split one in order. */
interface GgufModel {
  /** The name without `.gguf` and part numbers. */
  readonly stem: string;
  readonly files: readonly string[];
}

function groupGguf(names: readonly string[]): GgufModel[] {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    if (!/\.gguf$/i.test(name) || NOT_A_MODEL.test(name)) continue;
    const [, stem, , count] = PART.exec(name) ?? [];
    const key = stem === undefined ? name : `${stem}-of-${count}`;
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  return [...groups.values()].map((files) => {
    const first = files[0]!;
    return { stem: PART.exec(first)?.[1] ?? first.replace(/\.gguf$/i, ''), files: files.sort() };
  });
}

/** Whether a name carries a quantisation: `x-Q4_K.gguf` and `Q4_K/x.gguf` have Q4_K; `x-Q4_K_M.gguf` and `IQ4_K` have not. */
function hasQuant(stem: string, quant: string): boolean {
  const literal = quant.replace(/[^\w]/g, '\\$&');
  return new RegExp(`(^|[/._-])${literal}([/.-]|$)`, 'i').test(stem);
}

const failed = (code: 'MISSING_FILE' | 'INVALID_ARGUMENT', text: string, names: readonly string[]): BitloomError =>
  new BitloomError(code, text, { names });

const listed = (names: readonly string[]): string =>
  names.length === 0 ? 'nothing' : names.slice(0, 40).join(', ') + (names.length > 40 ? ', …' : '');

/** All parts of a set, of which some are there. Throws MISSING_FILE for those that are not. */
function requireWhole(repository: string, files: readonly string[]): readonly string[] {
  const [, stem, first = '', count, ending] = PART.exec(files[0]!) ?? [];
  if (count === undefined) return files;
  const number = (i: number): string => String(i + 1).padStart(first.length, '0');
  if (Number(count) > MOST_PARTS) {
    throw failed(
      'MISSING_FILE',
      `${repository}: ${files[0]} is of ${count} parts, at most ${MOST_PARTS} are allowed`,
      files,
    );
  }
  const all = Array.from({ length: Number(count) }, (_, i) => `${stem}-${number(i)}-of-${count}.${ending}`);
  const missing = all.filter((name) => !files.includes(name));
  if (missing.length === 0) return files;
  throw failed('MISSING_FILE', `${repository} lacks parts of a split file: ${listed(missing)}`, missing);
}

function chooseGguf(repository: string, models: readonly GgufModel[], quant: string): readonly string[] {
  const found = models.filter((model) => hasQuant(model.stem, quant));
  if (found.length === 1) return requireWhole(repository, found[0]!.files);
  const choices = (found.length === 0 ? models : found).map((model) => model.files[0]!);
  const what = found.length === 0 ? `no file with ${quant}` : `several files with ${quant}`;
  const advice = `name one behind a colon: ${repository}:${choices[0] ?? 'file.gguf'}`;
  throw failed('MISSING_FILE', `${repository} has ${what}, but ${listed(choices)}; ${advice}`, choices);
}

function defaultGguf(repository: string, models: readonly GgufModel[]): readonly string[] {
  if (models.length === 1) return requireWhole(repository, models[0]!.files);
  const quant = USUAL_QUANTS.find((name) => models.some((model) => hasQuant(model.stem, name)));
  if (quant !== undefined) return chooseGguf(repository, models, quant);
  const choices = models.map((model) => model.files[0]!);
  const text = `${repository} has several GGUF files: ${listed(choices)}; name one behind a colon: ${repository}:${choices[0]}`;
  throw failed('MISSING_FILE', text, choices);
}

/** The weights of a safetensors model, with their index; empty where there are none. */
function safetensorsWeights(repository: string, names: readonly string[]): readonly string[] {
  if (names.includes('model.safetensors')) return ['model.safetensors'];
  const shards = names.filter((name) => SHARD.test(name)).sort();
  if (shards.length > 0) {
    return [...requireWhole(repository, shards), ...(names.includes(INDEX) ? [INDEX] : [])];
  }
  const others = names.filter((name) => /^[^/]+\.safetensors$/.test(name));
  return others.length === 1 ? others : [];
}

/** A file by its name, with the other parts of its set and, for safetensors, what stands beside it. */
function namedFile(repository: string, names: readonly string[], file: string): readonly string[] {
  if (!names.includes(file)) {
    const models = names.filter((name) => /\.(gguf|safetensors)$/i.test(name));
    throw failed('MISSING_FILE', `${repository} has no file ${file}, but ${listed(models)}`, names);
  }
  const [, stem, , count] = PART.exec(file) ?? [];
  const isOfSet = (name: string): boolean => PART.exec(name)?.[1] === stem && PART.exec(name)?.[3] === count;
  const parts = stem === undefined ? [file] : requireWhole(repository, names.filter(isOfSet).sort());
  if (/\.gguf$/i.test(file)) return parts;
  const index = names.includes(INDEX) && stem === 'model' ? [INDEX] : [];
  return [...parts, ...index, ...names.filter((name) => COMPANIONS.test(name))];
}

/**
 * The files to fetch out of a repository's `names`, sorted. `choice` is a file's name or a quantisation's.
 * Throws MISSING_FILE with the choices there are.
 */
export function selectFiles(repository: string, names: readonly string[], choice?: string): readonly string[] {
  const safe = names.filter(isSafePath);
  const pick = (): readonly string[] => {
    if (choice !== undefined && /\.(gguf|safetensors)$/i.test(choice)) return namedFile(repository, safe, choice);
    const models = groupGguf(safe);
    if (choice !== undefined) return chooseGguf(repository, models, choice);
    const weights = safetensorsWeights(repository, safe);
    if (weights.length > 0) return [...weights, ...safe.filter((name) => COMPANIONS.test(name))];
    if (models.length > 0) return defaultGguf(repository, models);
    throw failed('MISSING_FILE', `${repository} has neither safetensors nor GGUF files, but ${listed(safe)}`, safe);
  };
  return [...new Set(pick())].sort();
}
