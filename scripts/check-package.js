/**
 * What the package promises to those who install it: publint and attw find nothing, no public type is `any`, and a
 * page that loads and runs a language model stays within its budget. Prints the one file's hash for script tags.
 *
 * Usage: node scripts/check-package.js — checks dist/ as it was built.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

/** Compressed bytes that a page may load: the one file, and the worker's file beside a bundle. */
const BUDGET_BYTES = 200_000;
const BUDGETED = ['bitloom.js', 'bitloom-worker.js', 'engine.js'];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** @type {string[]} */
const failures = [];

/** Packs the package into memory. */
function pack() {
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-pack-'));
  try {
    execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: root });
    return new Uint8Array(readFileSync(join(folder, String(readdirSync(folder)[0]))));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function checkPublication() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { messages } = await publint({ pkgDir: root, pack: false, strict: true });
  for (const message of messages) failures.push(`publint: ${formatMessage(message, manifest, { color: false })}`);
  const checked = await checkPackage(createPackageFromTarballData(pack()));
  if (checked.types === false) failures.push('attw: the package has no types');
  else {
    // An ES module package: CommonJS loads it with import() or, on newer Nodes, with require().
    const problems = checked.problems.filter(
      (problem) =>
        problem.kind !== 'CJSResolvesToESM' &&
        !('resolutionKind' in problem && ['node10', 'node16-cjs'].includes(problem.resolutionKind)),
    );
    for (const problem of problems) failures.push(`attw: ${JSON.stringify(problem)}`);
  }
}

/** Declarations may not say `any`: whoever uses them would lose all checks without a word. */
function checkTypes() {
  const dist = join(root, 'dist');
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.d.ts')) continue;
    const code = readFileSync(join(dist, name), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$|'[^'\n]*'/gm, '');
    if (/(?:[:<|&]|=>?)\s*any\b|\bany\[\]|,\s*any\s*>/.test(code)) failures.push(`dist/${name}: a public type is any`);
  }
}

function checkSizes() {
  for (const name of BUDGETED) {
    const bytes = readFileSync(join(root, 'dist', 'web', name));
    const size = gzipSync(bytes, { level: 9 }).length;
    console.log(`web/${name}: ${bytes.length} bytes, ${size} compressed`);
    if (size > BUDGET_BYTES) failures.push(`web/${name}: ${size} bytes compressed, the budget is ${BUDGET_BYTES}`);
    const hash = createHash('sha384').update(bytes).digest('base64');
    if (name === 'bitloom.js') console.log(`web/${name}: integrity="sha384-${hash}"`);
  }
}

await checkPublication();
checkTypes();
checkSizes();
for (const failure of failures) console.error(`error: ${failure}`);
console.log(`package: ${failures.length} problems`);
process.exitCode = failures.length > 0 ? 1 : 0;
