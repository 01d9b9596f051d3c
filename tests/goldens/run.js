// Answers the golden prompts with the built package, and scores validation documents where BITLOOM_CORPUS names
// them; prints token ids and summed losses as JSON. Usage: node tests/goldens/run.js THREADS PROMPTS DOCUMENTS
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { load } from 'bitloom/engine';

const [threads = 1, prompts = 8, documents = 8] = process.argv.slice(2).map(Number);
const corpus = process.env.BITLOOM_CORPUS;
const [WINDOW, BOS, USER, ASSISTANT, END] = [512, 0, 1, 2, 3];
const folder = new URL('../../assets/tiny/', import.meta.url);
const { goldens } = JSON.parse(readFileSync(new URL('goldens.json', folder), 'utf8'));
const model = await load(fileURLToPath(folder), { device: 'wasm', threads, kvCacheType: 'f32' });

/** @type {(readonly number[])[]} */
const replies = [];
for (const { prompt } of goldens.slice(0, prompts)) {
  const { tokens } = await model.generate(prompt, { temperature: 0, maxTokens: 64, ignoreEos: true }).result;
  replies.push(tokens);
}

/** Ids, summed loss in nats, and predicted ids of each document, as eval.json has them. @type {number[][]} */
const losses = [];
const lines = corpus ? gunzipSync(readFileSync(corpus)).toString('utf8').split('\n').slice(0, documents) : [];
for (const line of lines) {
  const { instruction, answer } = JSON.parse(line);
  const encode = (/** @type {string} */ text) => model.tokenizer.encode(text, { addBos: false });
  const ids = [BOS, USER, ...encode(instruction), ASSISTANT, ...encode(answer), END];
  let [sum, count] = [0, 0];
  for (let start = 0; start < ids.length; start += WINDOW) {
    const window = await model.score(ids.slice(start, start + WINDOW));
    sum += window.reduce((a, b) => a + b, 0);
    count += window.length;
  }
  losses.push([ids.length, sum, count]);
}
console.log(JSON.stringify({ node: process.versions.node, replies, losses }));
await model.dispose();
