/**
 * House rules that no compiler knows: file sizes (warn above 400 lines, fail above 600 unless
 * `scripts/large-files.json` gives a reason), and an index.ts and a README.md in each folder of src/ (but testing/).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const WARN_LINES = 400;
const MAX_LINES = 600;
const SOURCE_ROOTS = ['src', 'tests', 'bench', 'examples', 'scripts', 'web'];
const SKIPPED = new Set(['node_modules', 'peers', 'models']);

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** @type {Record<string, string>} */
const excused = JSON.parse(readFileSync(join(root, 'scripts', 'large-files.json'), 'utf8'));
/** @type {string[]} */
const failures = [];
let files = 0;
let lines = 0;

/** @param {string} path */
function checkFile(path) {
  const name = relative(root, path);
  const count = readFileSync(path, 'utf8').split('\n').length - 1;
  files++;
  lines += count;
  const reason = excused[name];
  if (count > MAX_LINES && !reason) failures.push(`${name}: ${count} lines, the limit is ${MAX_LINES}. Split it.`);
  else if (count > WARN_LINES && !reason) console.warn(`warning: ${name}: ${count} lines; ${WARN_LINES} is plenty.`);
}

/** @param {string} folder @param {boolean} isLayer */
function checkFolder(folder, isLayer) {
  const entries = readdirSync(folder, { withFileTypes: true });
  const sources = entries.filter((entry) => entry.isFile() && ['.ts', '.js'].includes(extname(entry.name)));
  for (const entry of sources) checkFile(join(folder, entry.name));
  if (isLayer && sources.length > 0 && basename(folder) !== 'testing') {
    for (const needed of ['index.ts', 'README.md']) {
      if (!existsSync(join(folder, needed))) failures.push(`${relative(root, folder)}: ${needed} is missing.`);
    }
  }
  for (const entry of entries) {
    if (entry.isDirectory() && !SKIPPED.has(entry.name)) {
      checkFolder(join(folder, entry.name), folder.startsWith(join(root, 'src')));
    }
  }
}

for (const name of SOURCE_ROOTS) {
  if (existsSync(join(root, name))) checkFolder(join(root, name), false);
}
for (const name of Object.keys(excused)) {
  if (!existsSync(join(root, name))) failures.push(`scripts/large-files.json names ${name}, which does not exist.`);
}
for (const failure of failures) console.error(`error: ${failure}`);
console.log(`house: ${files} files, ${lines} lines, ${failures.length} problems`);
process.exitCode = failures.length > 0 ? 1 : 0;
