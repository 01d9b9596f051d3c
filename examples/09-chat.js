// A conversation: messages through the model's own chat template; a signal can stop a reply at any token.
// Run: node examples/09-chat.js
import { load } from 'bitloom';

const model = await load();
const messages = [{ role: 'user', content: "Provide synonyms for the word 'happy'." }];
console.log((await model.tokenize(messages)).length, 'tokens in the prompt');

const abort = new AbortController();
let count = 0;
try {
  for await (const _ of model.generate(messages, { seed: 1, signal: abort.signal })) if (++count === 5) abort.abort();
} catch (error) {
  console.log(count, 'tokens, then', /** @type {import('bitloom').BitloomError} */ (error).code);
}
await model.dispose();

// Prints:
// 13 tokens in the prompt
// 5 tokens, then ABORTED
