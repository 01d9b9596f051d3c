/**
 * Fills docs/tour.md with what its commands print: each block that begins with `$ node docs/tour.js STEP`.
 * With --check nothing is written, and blocks that are out of date are told (exit code 1).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const path = join(root, 'docs', 'tour.md');
const before = readFileSync(path, 'utf8');
const BLOCK = /```text\n(\$ node docs\/tour\.js (\w+)\n)[\s\S]*?```/g;
/** @type {string[]} */
const stale = [];

const names = [...before.matchAll(BLOCK)].map((match) => String(match[2]));
const printed = execFileSync(process.execPath, [join(root, 'docs', 'tour.js'), ...names], { encoding: 'utf8' });
const outputs = printed.split(/^\$ node docs\/tour\.js \w+\n/m).slice(1);
const after = before.replace(BLOCK, (block, command, name) => {
  const fresh = `\`\`\`text\n${command}${outputs[names.indexOf(name)]?.trimEnd()}\n\`\`\``;
  if (fresh !== block) stale.push(name);
  return fresh;
});

if (!process.argv.includes('--check')) writeFileSync(path, after);
else if (stale.length > 0) {
  console.error(`docs/tour.md is out of date: ${stale.join(', ')}. Run: npm run build && node scripts/write-tour.js`);
  process.exitCode = 1;
}
