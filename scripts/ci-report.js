/**
 * Reads vitest's JSON report, checks that the tests CI exists for really ran, and prints the totals.
 *
 * Usage: node scripts/ci-report.js REPORT STATUS — STATUS is not 0 when an earlier step failed.
 */
import { existsSync, readFileSync } from 'node:fs';

const [path = '', earlier = '0'] = process.argv.slice(2);
/** Name of the requirement, and which tests fulfil it. @type {[string, RegExp, boolean][]} */
const required = [
  ['browser', /tests\/browser\.test\.ts$/, true],
  ['bundlers', /tests\/bundlers\.test\.ts$/, true],
  ['newest Node', /tests\/built-package\.test\.ts$/, Boolean(process.env.BITLOOM_NODE_NEWEST)],
  ['validation loss', /tests\/built-package\.test\.ts$/, Boolean(process.env.BITLOOM_CORPUS)],
];

let passed = 0;
let failed = 0;
if (!existsSync(path)) {
  console.log(`No report at ${path}: the test runner did not finish.`);
  failed = 1;
} else {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  passed = report.numPassedTests;
  failed = report.numFailedTests;
  /** @type {{ name: string, status: string, message: string, assertionResults: { status: string, fullName: string }[] }[]} */
  const suites = report.testResults;
  // A file that does not even load has no tests to count.
  failed += suites.filter((suite) => suite.status === 'failed' && suite.assertionResults.length === 0).length;
  const skipped = suites.flatMap((suite) =>
    suite.assertionResults.filter((result) => result.status !== 'passed' && result.status !== 'failed'),
  );
  for (const result of skipped) console.log(`skipped: ${result.fullName}`);
  for (const [name, file, wanted] of required) {
    const results = suites.filter((suite) => file.test(suite.name)).flatMap((suite) => suite.assertionResults);
    const ran = results.filter((result) => result.status === 'passed').length;
    console.log(`${name}: ${ran} of ${results.length} passed`);
    if (wanted && (results.length === 0 || ran < results.length)) failed ||= 1;
  }
}
if (failed === 0 && earlier !== '0') console.log('All tests passed, but an earlier step failed.');
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
