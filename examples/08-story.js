// Text: load the embedded model and stream a story. Run: node examples/08-story.js
import { load } from 'bitloom';

const model = await load(); // or load('model.gguf'), or a folder with model.safetensors
const reply = model.generate('Write a short bedtime story called `The Fox and the Moon`.', {
  temperature: 0, // always the likeliest token
  maxTokens: 24,
});
for await (const { text } of reply) process.stdout.write(text);

const { finishReason, promptTokens, tokens } = await reply.result;
console.log(`\n(${promptTokens} + ${tokens.length} tokens, ${finishReason})`);
await model.dispose();

// Prints:
// In the land of Somnium, where the sun dipped into the horizon and painted the sky with hues of crimson and gold
// (17 + 24 tokens, length)
