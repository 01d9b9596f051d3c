// Smaller: write the embedded model as a GGUF file with 8-bit weights, and run that. Run: node examples/10-convert.js
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load } from 'bitloom';
import { checkpointToGguf, ggufPieces, memorySource, openSafetensors } from 'bitloom/format';
import { tokenizerToGguf } from 'bitloom/text';

const asset = (/** @type {string} */ name) => readFile(new URL(`../assets/tiny/${name}`, import.meta.url));
const json = async (/** @type {string} */ name) => JSON.parse((await asset(name)).toString());

const tokenizerConfig = await json('tokenizer_config.json');
const metadata = tokenizerToGguf({
  tokenizerJson: await json('tokenizer.json'),
  tokenizerConfig,
  generationConfig: await json('generation_config.json'),
  chatTemplate: tokenizerConfig.chat_template,
  modelVocabSize: 4096,
});
const weights = await openSafetensors(memorySource(await asset('model.safetensors')));
const format = 'Q8_0';
const content = checkpointToGguf(weights, await json('config.json'), {
  format,
  name: 'Llama-bitloom-tiny',
  metadata,
});

const folder = await mkdtemp(join(tmpdir(), 'bitloom-'));
const path = join(folder, 'tiny-q8_0.gguf');
await writeFile(path, ggufPieces(content));

const model = await load(path);
const prompt = 'Write a short bedtime story called `The Fox and the Moon`.';
const { text } = await model.generate(prompt, { temperature: 0, maxTokens: 12 }).result;
console.log(`${(model.info.weightBytes / 1e6).toFixed(1)} MB of ${format}: ${text}`);
await model.dispose();
await rm(folder, { recursive: true });

// Prints:
// 7.4 MB of Q8_0: In the land of Somnium, where the sun dipped into the
