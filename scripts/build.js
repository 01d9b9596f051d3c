/**
 * Builds dist/ from src/: one JavaScript file and one declaration file per module. Some are bundled besides: for Node the
 * command line and all entries of the package, since finding and linking 300 modules delays every start; and for pages the one file, the worker's
 * file, and the engine as a function whose text is a whole program. Output of files that are gone from src/ is
 * removed, so that dist/ always says what the sources say.
 *
 * Usage: node scripts/build.js [--if-stale] — with it, nothing is done where dist/ is newer than every source.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const source = join(root, 'src');
/** Bundles lie as deep as modules do, so that addresses relative to a module stay right. */
const bundles = join(dist, 'bundle');

/** Removes outputs without a source; `folder` is relative to dist/. @param {string} folder */
function removeStale(folder) {
  for (const entry of readdirSync(join(dist, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (join(dist, path) === bundles) continue;
    const origin = join(source, path.replace(/\.(js|js\.map|d\.ts)$/, '.ts'));
    if (!existsSync(origin)) rmSync(join(dist, path), { recursive: true, force: true });
    else if (entry.isDirectory()) removeStale(path);
  }
}

/** Whether some source is newer than the last build. Folders count too: a removed file touches its folder. */
function isStale() {
  const built = join(dist, 'index.js');
  // Bundling, which comes last, takes this map away: where it is, the build before failed half way.
  if (!existsSync(built) || existsSync(join(dist, 'web', 'bitloom.js.map'))) return true;
  const builtAt = statSync(built).mtimeMs;
  const inputs = ['.', ...readdirSync(source, { recursive: true, encoding: 'utf8' })].map((name) => join(source, name));
  for (const name of ['tsconfig.json', 'tsconfig.build.json', 'scripts/build.js']) inputs.push(join(root, name));
  return inputs.some((path) => !path.endsWith('.test.ts') && statSync(path).mtimeMs >= builtAt);
}

/** Module of dist/ by its name in the bundles, for every entry of the package that Node reads from there. */
function nodeEntries() {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  /** @type {Record<string, string>} */
  const entries = {};
  for (const entry of Object.values(exports)) {
    const { node: bundle, default: module } = /** @type {Record<string, string>} */ (entry);
    const [, name] = /^\.\/dist\/bundle\/(.+)\.js$/.exec(bundle ?? '') ?? [];
    if (name !== undefined && module !== undefined) entries[name] = join(root, module);
  }
  return entries;
}

/** The command line and the package in a few files, which share what they have in common; what few need is loaded by these. */
function bundleForNode() {
  rmSync(bundles, { recursive: true, force: true });
  buildSync({
    entryPoints: { cli: join(dist, 'cli', 'main.js'), ...nodeEntries() },
    outdir: bundles,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external: ['@huggingface/*', 'commander'],
    logLevel: 'warning',
  });
}

/**
 * Bundles a module of dist/web for browsers, and gives the text.
 * @param {string} name
 * @param {import('esbuild').BuildOptions} options
 */
function bundleForPages(name, options) {
  const { outputFiles } = buildSync({
    ...options,
    entryPoints: [join(dist, 'web', name)],
    absWorkingDir: root,
    bundle: true,
    write: false,
    minify: true,
    platform: 'browser',
    target: 'es2022',
    logLevel: 'warning',
  });
  return String(outputFiles[0]?.text);
}

/** The files of dist/web that stand alone take the places of the modules that they are made of. */
function bundleWeb() {
  const program = bundleForPages('engine.js', {
    format: 'iife',
    globalName: 'bitloomEngine',
    define: { 'import.meta.url': 'bitloomHere' },
  });
  const engine = `export function startEngine(bitloomHere){"use strict";${program}return bitloomEngine.startEngine(bitloomHere)}\n`;
  const alone = ['bitloom.js', 'bitloom-worker.js'].map(
    (name) => /** @type {const} */ ([name, bundleForPages(name, { format: 'esm' })]),
  );
  for (const [name, text] of [...alone, ['engine.js', engine]]) {
    writeFileSync(join(dist, 'web', name), text);
    rmSync(join(dist, 'web', `${name}.map`), { force: true });
  }
}

function build() {
  if (existsSync(dist)) removeStale('');
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  const args = [compiler, '-p', join(root, 'tsconfig.build.json')];
  const status = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
  if (status === 0) {
    bundleForNode();
    bundleWeb();
  }
  return status;
}

if (!process.argv.includes('--if-stale') || isStale()) process.exitCode = build();
