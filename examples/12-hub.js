// A model by its name on the hub: fetched once, checked, and kept where Hugging Face's own tools keep it.
// Needs the network. Run: node examples/12-hub.js [org/name[@revision][:file-or-quant]]
import { hub, load } from 'bitloom';

const id = process.argv[2] ?? 'HuggingFaceTB/SmolLM2-135M-Instruct';
const stop = new AbortController();
process.once('SIGINT', () => stop.abort()); // what has come is kept: the next run goes on from there

const model = await load(id, {
  signal: stop.signal,
  onProgress({ phase, loadedBytes, totalBytes }) {
    process.stderr.write(`\r${phase} ${Math.floor((100 * loadedBytes) / Math.max(1, totalBytes))} % `);
  },
});
process.stderr.write(`\n${model.info.architecture}, ${model.info.formats.join(', ')}\n`);
for await (const { text } of model.generate('Name three rivers.', { maxTokens: 60, signal: stop.signal })) {
  process.stdout.write(text);
}
await model.dispose();

for (const { repository, sizeBytes } of await hub.cache.list()) console.error(`\n${repository}: ${sizeBytes} bytes`);
