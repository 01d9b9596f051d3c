/**
 * GGUF models in several files, as llama.cpp's gguf-split makes them: `name-00001-of-00003.gguf`, each a GGUF file with
 * `split.no`, `split.count` and `split.tensors.count`; the first has the model's metadata.
 */
import { BitloomError } from '../ir/error.ts';
import { badFile } from './byte-source.ts';
import type { FileSet, OpenFile } from './file-set.ts';
import { type GgufFile, openGguf } from './gguf.ts';
import type { StoredTensor } from './tensor-file.ts';

const MOST_PARTS = 4096;
const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

/** All names of the split that a file's name says it is part of; undefined for other names. */
export function splitNames(name: string): readonly string[] | undefined {
  const [, stem, part, count] = PART_NAME.exec(name) ?? [];
  const total = Number(count);
  if (part === undefined || Number(part) < 1 || Number(part) > total || total > MOST_PARTS) return undefined;
  return Array.from({ length: total }, (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${count}.gguf`);
}

const splitKey = (file: GgufFile, key: string): number | undefined => {
  const value = file.metadata.get(`split.${key}`);
  return typeof value === 'number' ? value : undefined;
};

async function requireParts(files: FileSet, names: readonly string[], signal?: AbortSignal): Promise<void> {
  const there = await files.list(signal);
  const missing = there === undefined ? [] : names.filter((name) => !there.includes(name));
  if (missing.length === 0) return;
  throw new BitloomError(
    'MISSING_FILE',
    `${files.name} lacks ${missing.join(', ')}, of the ${names.length} parts of this split model; fetch what is missing`,
    { missing },
  );
}

/** Throws BAD_FILE where part `index` of `count` is not what it should be beside the first. */
function checkPart(part: GgufFile, first: GgufFile, index: number, count: number): void {
  const no = splitKey(part, 'no');
  const total = splitKey(part, 'count');
  if (no !== index || total !== count) {
    throw badFile(
      part,
      `should be part ${index + 1} of ${count}, but says it is ${no === undefined ? 'no part' : `part ${no + 1} of ${total}`}`,
      { no, total },
    );
  }
  for (const [key, value] of part.metadata) {
    const other = first.metadata.get(key);
    if (key === 'split.no' || other === undefined || typeof value === 'object' || value === other) continue;
    throw badFile(
      part,
      `is a part of another model: "${key}" is ${value} here, and ${String(other)} in ${first.name}`,
      {
        key,
      },
    );
  }
}

function joined(parts: readonly GgufFile[]): GgufFile {
  const first = parts[0]!;
  const tensors = new Map<string, StoredTensor>();
  for (const part of parts) {
    for (const [name, entry] of part.tensors) {
      const other = tensors.get(name);
      if (other !== undefined) {
        throw badFile(part, `holds "${name}", which ${other.source.name} holds too; one is of another model`, { name });
      }
      tensors.set(name, entry);
    }
  }
  const promised = splitKey(first, 'tensors.count');
  if (promised === undefined || promised === tensors.size) return { ...first, tensors };
  throw badFile(first, `says that the split model has ${promised} tensors, but its parts hold ${tensors.size}`, {
    promised,
    found: tensors.size,
  });
}

/**
 * Opens a GGUF file, and where it is a part of a split model the other parts too; `opened` receives the files,
 * also those of a failure. Throws MISSING_FILE, BAD_FILE, UNSUPPORTED_DTYPE, UNSUPPORTED_FEATURE.
 */
export async function openGgufSet(
  files: FileSet,
  name: string,
  opened: OpenFile[],
  signal?: AbortSignal,
): Promise<GgufFile> {
  const open = async (part: string): Promise<GgufFile> => {
    const file = await files.open(part, signal);
    opened.push(file);
    return openGguf(file, signal);
  };
  const names = splitNames(name);
  if (names === undefined || names.length === 1) {
    const file = await open(name);
    const count = splitKey(file, 'count') ?? 1;
    if (count <= 1) return file;
    throw badFile(
      file,
      `is part of a split model of ${count} files; they are found by names as x-00001-of-0000${count}.gguf`,
    );
  }
  await requireParts(files, names, signal);
  const parts: GgufFile[] = [];
  for (const part of names) {
    parts.push(await open(part));
    checkPart(parts.at(-1)!, parts[0]!, parts.length - 1, names.length);
  }
  return joined(parts);
}
