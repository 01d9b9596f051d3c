// Starts the bench: bundles main, child and adapters (so that Node versions that cannot read TypeScript can
// run them too), finds the newest Node, and hands the arguments over. Usage: see README.md.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const repository = fileURLToPath(new URL('..', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));
// Inside the peers' node_modules, so that bare imports in adapters find the pinned peers.
const outdir = `${here}peers/node_modules/.cache/bench`;

/** The newest Node: named by BITLOOM_NODE_NEWEST, else `node26` on the path, else the one that runs this. */
function newestNode() {
  const named = process.env.BITLOOM_NODE_NEWEST;
  if (named) return named;
  const found = spawnSync('node26', ['--version'], { encoding: 'utf8' });
  return found.status === 0 ? 'node26' : process.execPath;
}

await build({
  entryPoints: [
    `${here}main.ts`,
    `${here}child.ts`,
    `${here}probe-worker.ts`,
    ...readdirSync(`${here}adapters`).map((file) => `${here}adapters/${file}`),
  ],
  outdir,
  outbase: here,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  target: 'node20',
  logLevel: 'warning',
});
await build({
  entryPoints: [`${here}pages/page.ts`],
  outdir: `${outdir}/pages`,
  bundle: true,
  splitting: true,
  platform: 'browser',
  format: 'esm',
  target: 'es2022',
  logLevel: 'warning',
});
if (!existsSync(`${here}peers/node_modules/@wllama`)) {
  console.error('bench: peers are not installed; to measure them: (cd bench/peers && npm ci --ignore-scripts)');
}
const bench = spawn(process.execPath, [`${outdir}/main.mjs`, ...process.argv.slice(2)], {
  stdio: 'inherit',
  // A contender that tunes itself while another is measured would slow that one.
  env: {
    ...process.env,
    BITLOOM_NODE_NEWEST: newestNode(),
    BITLOOM_REPOSITORY: repository,
    BITLOOM_TUNING: 'off',
  },
});
// Whoever ends this script means the bench: it would go on, and disturb what is measured next.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => bench.kill(signal));
bench.on('exit', (status) => {
  process.exitCode = status ?? 1;
});
