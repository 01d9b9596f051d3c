// Writes a random-weight GGUF file. Usage: node bench/generate-model.js SIZE FORMAT [--seed N] [--out FILE],
// with SIZE 15M, 110M or 1.1B and FORMAT F16, BF16, Q8_0, Q4_0, Q4_K, Q3_K or Q2_K. Bundled first, for versions of Node that
// cannot read TypeScript.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const outfile = `${root}.cache/bench/generate-model.mjs`;
await build({
  entryPoints: [`${root}bench/generate-model.ts`],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  target: 'node20',
  logLevel: 'warning',
});
const { modelChoice, writeModel } = await import(outfile);

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seed: { type: 'string', default: '1' }, out: { type: 'string' } },
  });
  const { size, format } = modelChoice(...positionals);
  const path = values.out ?? `${root}bench/models/${size}-${format}.gguf`;
  await writeModel(path, size, format, Number(values.seed));
  console.log(path);
} catch (error) {
  console.error(`generate-model: ${error.message}`);
  process.exitCode = 2;
}
