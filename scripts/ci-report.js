/**
 * Reads vitest's JSON reports, checks that the tests CI exists for really ran, and prints the totals. A test
 * of several reports counts once: failed where it failed in one, passed where it passed in one.
 *
 * Usage: node scripts/ci-report.js STATUS REPORT… — STATUS is not 0 when an earlier step failed.
 */
import { existsSync, readFileSync } from 'node:fs';

const [earlier = '0', ...paths] = process.argv.slice(2);
/** Name of the requirement, and which tests fulfil it. @type {[string, RegExp, boolean][]} */
const required = [
  ['Chromium', /tests\/(browser|hub-browser\.long|example-page\.long)\.test\.ts$/, true],
  ['bundlers', /tests\/(vite-esbuild|webpack-rollup)\.long\.test\.ts$/, true],
  ['newest Node', /tests\/built-package\.test\.ts$/, Boolean(process.env.BITLOOM_NODE_NEWEST)],
  [
    'machine code',
    /src\/target\/x64\/(lower|lower-random|lower-memory)\.test\.ts$/,
    process.env.BITLOOM_REQUIRE_X64 === '1',
  ],
  ['validation loss', /tests\/built-package\.test\.ts$/, Boolean(process.env.BITLOOM_CORPUS)],
];
const RANK = ['skipped', 'passed', 'failed'];

/** Status by file and test. @type {Map<string, Map<string, string>>} */
const files = new Map();
let broken = 0;
for (const path of paths) {
  if (!existsSync(path)) {
    console.log(`No report at ${path}: the test runner did not finish.`);
    broken++;
    continue;
  }
  /** @type {{ testResults: { name: string, status: string, assertionResults: { status: string, fullName: string }[] }[] }} */
  const report = JSON.parse(readFileSync(path, 'utf8'));
  for (const suite of report.testResults) {
    // A file that does not even load has no tests to count.
    if (suite.status === 'failed' && suite.assertionResults.length === 0) broken++;
    const tests = files.get(suite.name) ?? new Map();
    files.set(suite.name, tests);
    for (const { status, fullName } of suite.assertionResults) {
      const rank = RANK.indexOf(status === 'passed' || status === 'failed' ? status : 'skipped');
      if (rank >= RANK.indexOf(tests.get(fullName) ?? 'skipped')) tests.set(fullName, RANK[rank]);
    }
  }
}

const all = [...files.values()].flatMap((tests) => [...tests]);
/** @param {string} wanted */
const count = (wanted) => all.filter(([, status]) => status === wanted).length;
let failed = broken + count('failed');
for (const [name, status] of all) if (status === 'skipped') console.log(`skipped: ${name}`);
for (const [name, file, wanted] of required) {
  const tests = [...files].filter(([path]) => file.test(path)).flatMap(([, of]) => [...of.values()]);
  const ran = tests.filter((status) => status === 'passed').length;
  console.log(`${name}: ${ran} of ${tests.length} passed`);
  if (wanted && (tests.length === 0 || ran < tests.length)) failed ||= 1;
}
if (failed === 0 && earlier !== '0') console.log('All tests passed, but an earlier step failed.');
console.log(`${count('passed')} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
