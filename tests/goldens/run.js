// Answers the golden prompts with the built package and prints the token ids as JSON.
// Usage: node tests/goldens/run.js THREADS [COUNT] — 8 prompts where COUNT is not given
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { load } from 'bitloom';

const [threads = '1', count = '8'] = process.argv.slice(2);
const folder = new URL('../../assets/tiny/', import.meta.url);
const { goldens } = JSON.parse(readFileSync(new URL('goldens.json', folder), 'utf8'));
const model = await load(fileURLToPath(folder), { device: 'wasm', threads: Number(threads), kvCacheType: 'f32' });
/** @type {(readonly number[])[]} */
const replies = [];
for (const { prompt } of goldens.slice(0, Number(count))) {
  const { tokens } = await model.generate(prompt, { temperature: 0, maxTokens: 64, ignoreEos: true }).result;
  replies.push(tokens);
}
console.log(JSON.stringify({ node: process.versions.node, replies }));
await model.dispose();
