/**
 * Builds dist/ from src/: one JavaScript file and one declaration file per module. Output of files
 * that are gone from src/ is removed, so that dist/ always says what the sources say.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');

/** Removes outputs without a source; `folder` is relative to dist/. @param {string} folder */
function removeStale(folder) {
  for (const entry of readdirSync(join(dist, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const source = join(root, 'src', path.replace(/\.(js|js\.map|d\.ts)$/, '.ts'));
    if (!existsSync(source)) rmSync(join(dist, path), { recursive: true, force: true });
    else if (entry.isDirectory()) removeStale(path);
  }
}

if (existsSync(dist)) removeStale('');
const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
