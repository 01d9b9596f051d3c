/** Files that a program holds or a user picked, as a FileSet. Nothing is copied as a whole. */
import { openBlob } from '#platform';
import { BitloomError } from '../ir/error.ts';
import { memorySource } from './byte-source.ts';
import type { FileSet, OpenFile } from './file-set.ts';

const opened = (content: Blob | Uint8Array, name: string): OpenFile =>
  content instanceof Uint8Array ? { ...memorySource(content, name), close: async () => {} } : openBlob(content, name);

/**
 * Files by name, their content as bytes or Blobs.
 *
 * @example
 * const model = await load(memoryFiles({ 'config.json': config, 'tokenizer.json': tokenizer, 'model.safetensors': weights }));
 */
export function memoryFiles(files: Readonly<Record<string, Blob | Uint8Array>>, name = 'files in memory'): FileSet {
  const contents = new Map(Object.entries(files));
  return {
    name,
    list: async () => [...contents.keys()].sort(),
    has: async (file) => contents.has(file),
    async open(file) {
      const content = contents.get(file);
      if (content !== undefined) return opened(content, file);
      const there = [...contents.keys()].sort().join(', ');
      throw new BitloomError('MISSING_FILE', `${name}: no ${file} among ${there || 'no files'}; add it`, { file });
    },
  };
}

/** Files of an `<input type="file" multiple>` or a drop; of a picked folder, the names count from inside it. */
export function pickedFiles(files: Iterable<File>): FileSet {
  const named = Array.from(
    files,
    (file) => [file.webkitRelativePath?.replace(/^[^/]*\//, '') || file.name, file] as const,
  );
  return memoryFiles(Object.fromEntries(named), 'the picked files');
}
