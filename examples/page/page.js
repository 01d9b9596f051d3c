// A page around one model: choose it, see what it needs, let it write. The engine runs in a worker all the while.
// @ts-expect-error: an address of the page's server, not a path
import * as bundle from '/dist/web/bitloom.js';

/** @type {typeof import('bitloom')} */
const { BitloomError, estimate, load } = bundle;

const the = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (the(id));
const [go, stop] = [input('go'), input('stop')];
const bar = /** @type {HTMLProgressElement} */ (the('bar'));

const megabytes = (/** @type {number} */ bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 24 ? 1 : 0)} MiB`;

/** @type {import('bitloom').LanguageModel | undefined} */
let model;
/** @type {AbortController | undefined} */
let work;

/** Ends what is under way; gives the signal of what begins. */
function begin() {
  work?.abort();
  work = new AbortController();
  return work.signal;
}

/** Shows a failure, or takes the last one away. @param {unknown} [error] */
function showError(error) {
  const isAbort = error instanceof BitloomError && error.code === 'ABORTED';
  the('error').hidden = error === undefined || isAbort;
  the('error').textContent = error instanceof BitloomError ? `${error.code}: ${error.message}` : String(error);
}

/** What a model is, as rows of name and value. @param {Record<string, string>} facts */
function showFacts(facts) {
  the('facts').hidden = false;
  the('facts').replaceChildren(
    ...Object.entries(facts).flatMap(([term, text]) => {
      const [dt, dd] = [document.createElement('dt'), document.createElement('dd')];
      [dt.textContent, dd.textContent] = [term, text];
      return [dt, dd];
    }),
  );
}

/** @param {import('bitloom').MemoryEstimate} memory */
const described = ({ totalBytes, weightBytes, cacheBytes, scratchBytes, contextLength }) =>
  `${megabytes(totalBytes)}: weights ${megabytes(weightBytes)}, cache for ${contextLength} tokens ${megabytes(cacheBytes)}, work ${megabytes(scratchBytes)}`;

/** Loads a model in the place of the one before. @param {import('bitloom').ModelSource} source @param {string} title */
async function open(source, title) {
  const signal = begin();
  go.disabled = true;
  the('loading').hidden = false;
  the('facts').hidden = true;
  the('phase').textContent = `${title}: reading the header`;
  bar.removeAttribute('value');
  showError();
  try {
    await model?.dispose();
    model = undefined;
    const memory = await estimate(source, { signal });
    showFacts({ model: title, memory: described(memory) });
    const onProgress = (/** @type {import('bitloom').LoadProgress} */ { phase, loadedBytes, totalBytes }) => {
      bar.value = totalBytes > 0 ? loadedBytes / totalBytes : 0;
      the('phase').textContent = `${phase}: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)}`;
    };
    model = await load(source, { signal, onProgress, onWarning: (message) => console.info(message) });
    const { architecture, parameterCount, formats, threads, threadsNote, features, loadMs } = model.info;
    showFacts({
      model: `${title} — ${architecture}, ${(parameterCount / 1e6).toFixed(1)} million parameters in ${formats.join(', ')}`,
      memory: described(memory),
      threads: threadsNote === null ? String(threads) : `${threads} (${threadsNote})`,
      machine: features.join(', '),
      loaded: `in ${(loadMs / 1000).toFixed(2)} s`,
    });
    go.disabled = false;
    the('prompt').focus();
  } catch (error) {
    showError(error);
  } finally {
    if (work?.signal === signal) the('loading').hidden = true;
  }
}

/** Streams a reply. */
async function write() {
  if (model === undefined || go.disabled) return;
  const signal = begin();
  const reply = the('reply');
  reply.textContent = '';
  reply.classList.add('busy');
  [go.disabled, stop.disabled] = [true, false];
  showError();
  const began = performance.now();
  let count = 0;
  try {
    const options = {
      signal,
      temperature: input('temperature').valueAsNumber,
      maxTokens: input('tokens').valueAsNumber,
    };
    const generation = model.generate(input('prompt').value, options);
    for await (const { text } of generation) {
      reply.append(text);
      const seconds = (performance.now() - began) / 1000;
      the('speed').textContent = `${++count} tokens, ${(count / seconds).toFixed(1)} a second`;
    }
    const { timings, promptTokens, finishReason } = await generation.result;
    the('speed').textContent =
      `${count} tokens at ${timings.decodeTokensPerSecond.toFixed(1)} a second; ` +
      `${promptTokens} of prompt at ${timings.prefillTokensPerSecond.toFixed(1)}; first after ${timings.firstTokenMs.toFixed(0)} ms; ` +
      (finishReason === 'stop' ? 'the model ended it' : 'ended at the limit');
  } catch (error) {
    showError(error);
  } finally {
    reply.classList.remove('busy');
    [go.disabled, stop.disabled] = [model === undefined, true];
  }
}

/** @param {FileList | undefined | null} files */
const openFile = (files) => files?.[0] && open(files[0], files[0].name);

the('embedded').addEventListener('click', () => open('./assets/tiny', 'Embedded story model'));
the('source').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = input('name').value.trim();
  if (name) open(name, name);
});
the('file').addEventListener('change', () => openFile(input('file').files));
the('cancel').addEventListener('click', () => work?.abort());
stop.addEventListener('click', () => work?.abort());
the('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  write();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') work?.abort();
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) write();
});
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  the('drop').classList.add('over');
});
document.addEventListener('dragleave', () => the('drop').classList.remove('over'));
document.addEventListener('drop', (event) => {
  event.preventDefault();
  the('drop').classList.remove('over');
  openFile(event.dataTransfer?.files);
});

const { hardwareConcurrency, deviceMemory } = /** @type {Navigator & { deviceMemory?: number }} */ (navigator);
the('machine').textContent = [
  `${hardwareConcurrency} processors`,
  deviceMemory === undefined ? '' : `about ${deviceMemory} GB of memory`,
  crossOriginIsolated ? 'threads are allowed' : 'one thread: this page is not cross-origin isolated',
]
  .filter(Boolean)
  .join(' · ');
