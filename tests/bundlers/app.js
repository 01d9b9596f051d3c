// The whole of a user's page: nothing in it or around it knows that there are workers.
import { load } from 'bitloom';

/** @type {string[]} */
const warnings = [];

/** Greedy tokens of the embedded model, and where they came from. @param {string} prompt @param {number} maxTokens */
async function generate(prompt, maxTokens) {
  const onWarning = (/** @type {string} */ message) => void warnings.push(message);
  const model = await load('./assets/tiny', { kvCacheType: 'f32', threads: 2, onWarning });
  const { tokens } = await model.generate(prompt, { temperature: 0, maxTokens, ignoreEos: true }).result;
  await model.dispose();
  return { tokens, threads: model.info.threads, warnings };
}

Object.assign(globalThis, { generate, ready: true });
