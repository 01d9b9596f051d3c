// What the browser tests call in the page: the one-file bundle as a script tag would import it.
const file = new URL('../../dist/web/bitloom.js', import.meta.url).href;
const bitloom = /** @type {typeof import('bitloom')} */ (await import(file));
const { load, BitloomError } = bitloom;

/** What a failure looks like to a program. @param {unknown} error */
const told = (error) =>
  error instanceof BitloomError
    ? { code: error.code, message: error.message, details: error.details, cause: String(error.cause) }
    : { code: 'not ours', message: String(error) };

/** Loads a model and tells what it runs on. @param {import('bitloom').ModelSource} source @param {object} options */
async function open(source, options) {
  /** @type {string[]} */
  const warnings = [];
  const model = await load(source, {
    kvCacheType: 'f32',
    onWarning: (/** @type {string} */ w) => warnings.push(w),
    ...options,
  });
  const { device, threads, threadsNote, features } = model.info;
  return { model, ran: { device, threads, threadsNote, features, warnings } };
}

/** Greedy tokens for each prompt. @param {string[]} prompts @param {number} maxTokens @param {object} options */
async function goldens(prompts, maxTokens, options = {}, source = './assets/tiny') {
  const { model, ran } = await open(source, options);
  const replies = [];
  for (const prompt of prompts) {
    const { tokens } = await model.generate(prompt, { temperature: 0, maxTokens, ignoreEos: true }).result;
    replies.push(tokens);
  }
  await model.dispose();
  return { replies, ...ran };
}

/** A model from files as a user picks them. */
async function picked() {
  const names = [
    'config.json',
    'generation_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'model.safetensors',
  ];
  const fetched = names.map(async (name) => new File([await (await fetch(`./assets/tiny/${name}`)).blob()], name));
  const { model } = await open(bitloom.pickedFiles(await Promise.all(fetched)), {});
  const { goldens: known } = await (await fetch('./assets/tiny/goldens.json')).json();
  const { tokens } = await model.generate(known[0].prompt, { temperature: 0, maxTokens: 8, ignoreEos: true }).result;
  const text = await model.detokenize(tokens);
  await model.dispose();
  return { tokens, text, source: model.info.source };
}

/** The same file in the three ways to give one. @param {string} address @param {string} prompt @param {number} maxTokens */
async function gguf(address, prompt, maxTokens) {
  const blob = await (await fetch(address)).blob();
  const outcomes = [];
  for (const source of [address, blob, new Uint8Array(await blob.arrayBuffer())]) {
    const { model } = await open(source, { threads: 2 });
    const { tokens } = await model.generate(prompt, { temperature: 0, maxTokens, ignoreEos: true }).result;
    outcomes.push({ tokens, formats: model.info.formats, threads: model.info.threads });
    await model.dispose();
  }
  return outcomes;
}

const codeAndCause = (/** @type {unknown} */ error) => {
  const { code, cause } = told(error);
  return { code, cause };
};

/** Ends a load and a reply half way, then asks once more. */
async function aborts() {
  const loading = new AbortController();
  const onProgress = () => loading.abort('no time');
  const load = await open('./assets/tiny', { signal: loading.signal, onProgress }).catch(codeAndCause);
  const { model } = await open('./assets/tiny', {});
  const { goldens: known } = await (await fetch('./assets/tiny/goldens.json')).json();
  const options = { temperature: 0, ignoreEos: true };
  const stop = new AbortController();
  let count = 0;
  /** @type {unknown} */
  let reply;
  try {
    for await (const _ of model.generate(known[0].prompt, { ...options, signal: stop.signal })) {
      if (++count === 3) stop.abort('enough');
    }
  } catch (error) {
    reply = codeAndCause(error);
  }
  const again = (await model.generate(known[0].prompt, { ...options, maxTokens: 4 }).result).tokens;
  await model.dispose();
  const disposed = await model.generate('x').result.catch((/** @type {unknown} */ error) => told(error).code);
  return { load, reply, sawTokens: count >= 3 && count < 16, again, disposed };
}

/** Golden tokens by the bundle of another origin. @param {string} origin */
async function fromElsewhere(origin) {
  const { load: loadThere } = /** @type {typeof import('bitloom')} */ (await import(`${origin}/dist/web/bitloom.js`));
  const model = await loadThere('./assets/tiny', { kvCacheType: 'f32' });
  const { goldens: known } = await (await fetch('./assets/tiny/goldens.json')).json();
  return (await model.generate(known[0].prompt, { temperature: 0, maxTokens: 4, ignoreEos: true }).result).tokens;
}

/** An engine that knows no SIMD. */
async function withoutSimd() {
  const { validate } = WebAssembly;
  WebAssembly.validate = () => false;
  const outcome = await load('./assets/tiny', { worker: false }).catch(told);
  WebAssembly.validate = validate;
  return outcome;
}

/** Begins a reply that nobody waits for. */
async function endless() {
  const { model } = await open('./assets/tiny', {});
  const reply = model.generate('Once upon a time', { ignoreEos: true })[Symbol.asyncIterator]();
  await reply.next();
  void reply.next();
}

Object.assign(globalThis, {
  bitloom,
  load,
  told,
  open,
  goldens,
  gguf,
  picked,
  aborts,
  endless,
  fromElsewhere,
  withoutSimd,
  ready: true,
});
