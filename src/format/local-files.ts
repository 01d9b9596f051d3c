/** A folder of the machine, or an address under which a web server has a model's files, as a FileSet. */
import { platform } from '#platform';
import type { FileSet } from './file-set.ts';

/** The files in a folder or under an address. `query` goes behind each file's address: signed links carry one. */
export function folderFiles(folder: string, query = ''): FileSet {
  const path = (name: string): string => platform.joinPath(folder, name) + query;
  return {
    name: folder,
    list: () => platform.listFolder(folder),
    has: (name) => platform.exists(path(name)),
    open: (name, signal) => platform.openFile(path(name), signal),
  };
}
