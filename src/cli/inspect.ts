/** `bitloom inspect`: what a checkpoint holds, from its header alone. */
import { estimate, type MemoryEstimate } from '../engine/estimate.ts';
import { openSource } from '../engine/source.ts';
import {
  chooseWeights,
  type FileSet,
  type ModelWeights,
  openWeights,
  readJson,
  type TensorFile,
} from '../format/index.ts';
import { dtypeName } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { elementCount } from '../ir/shape.ts';
import { EXIT } from './exit-code.ts';
import { type HubFlags, hubOptions } from './hub-flags.ts';
import { formatBytes, table } from './readable.ts';
import type { Terminal } from './terminal.ts';

export interface InspectOptions extends HubFlags {
  readonly json?: boolean;
}

interface Header {
  readonly format: 'GGUF' | 'safetensors';
  readonly architecture: string | null;
  /** Metadata of the file, or the `config.json` beside it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly file: TensorFile;
}

/** Runs the command. Throws what opening throws: MISSING_FILE, BAD_FILE, UNSUPPORTED_DTYPE; for ids the hub's errors. */
export async function inspect(model: string, options: InspectOptions, terminal: Terminal): Promise<number> {
  const onWarning = (message: string): void => terminal.note(`warning: ${message}`);
  const { files, weights } = await openSource(model, { hub: hubOptions(options), download: false, onWarning });
  const counted = countBytes(files);
  const opened = await openWeights(counted.files, weights ?? (await chooseWeights(files)));
  try {
    const memory = await estimate(model, { hub: hubOptions(options), onWarning }).catch(notRunnable);
    const report = summarize(counted.sizeBytes(), await readHeader(files, opened), memory);
    terminal.write(options.json ? `${JSON.stringify(report)}\n` : describe(report));
    return EXIT.done;
  } finally {
    await opened.close();
  }
}

/** Why a checkpoint that can be read cannot be run: inspecting it is none the less of use. */
function notRunnable(error: unknown): string {
  if (error instanceof BitloomError) return error.message;
  throw error;
}

/** The same files, and the bytes of the weights files opened among them. */
function countBytes(files: FileSet): { readonly files: FileSet; sizeBytes(): number } {
  let sizeBytes = 0;
  return {
    files: {
      ...files,
      async open(name, signal) {
        const file = await files.open(name, signal);
        if (!name.endsWith('.json')) sizeBytes += file.sizeBytes;
        return file;
      },
    },
    sizeBytes: () => sizeBytes,
  };
}

async function readHeader(files: FileSet, { format, file }: ModelWeights): Promise<Header> {
  if (format === 'gguf') {
    const config = Object.fromEntries([...file.metadata].map(([key, value]) => [key, readable(value)]));
    return { format: 'GGUF', architecture: textOrNull(config['general.architecture']), config, file };
  }
  const config = (await files.has('config.json')) ? await readJson(files, 'config.json') : {};
  const named = config.architectures;
  return { format: 'safetensors', architecture: textOrNull(Array.isArray(named) ? named[0] : undefined), config, file };
}

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** Long lists (vocabularies) by their length, numbers that JSON cannot hold as text. */
function readable(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  if (!isList) return value;
  const list = Array.from(value as ArrayLike<unknown>);
  return list.length > 16 ? `${list.length} values` : list.map(readable);
}

interface Report {
  readonly file: string;
  readonly sizeBytes: number;
  readonly format: string;
  readonly architecture: string | null;
  readonly parameters: number;
  /** Bits of storage a parameter takes, scales included. */
  readonly bitsPerWeight: number;
  /** What running it takes; null where it cannot be run, and why. */
  readonly memory: MemoryEstimate | null;
  readonly notRunnable: string | null;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly number[];
    readonly sizeBytes: number;
  }[];
}

function summarize(
  sizeBytes: number,
  { format, architecture, config, file }: Header,
  memory: MemoryEstimate | string,
): Report {
  const entries = [...file.tensors.values()];
  const parameters = entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const tensorBytes = entries.reduce((sum, entry) => sum + entry.byteLength, 0);
  return {
    file: file.name,
    sizeBytes,
    format,
    architecture,
    parameters,
    bitsPerWeight: parameters === 0 ? 0 : (8 * tensorBytes) / parameters,
    memory: typeof memory === 'string' ? null : memory,
    notRunnable: typeof memory === 'string' ? memory : null,
    config,
    tensors: entries.map((entry) => ({
      name: entry.name,
      type: dtypeName(entry.element),
      shape: entry.shape,
      sizeBytes: entry.byteLength,
    })),
  };
}

function describe(report: Report): string {
  const { file, sizeBytes, format, architecture, parameters, bitsPerWeight, config, tensors } = report;
  const summary = table([
    ['file', file],
    ['format', `${format}, ${formatBytes(sizeBytes)}`],
    ['architecture', architecture ?? 'not named'],
    ['parameters', `${parameters.toLocaleString('en')}, ${bitsPerWeight.toFixed(2)} bits each`],
    report.memory === null ? ['not to be run', report.notRunnable ?? ''] : ['memory', describeMemory(report.memory)],
  ]);
  const settings = table(Object.entries(config).map(([key, value]) => [`  ${key}`, shorten(value)]));
  const list = table([
    ['tensor', 'type', 'shape', 'size'],
    ...tensors.map(({ name, type, shape, sizeBytes: size }) => [
      name,
      type,
      `[${shape.join(', ')}]`,
      formatBytes(size),
    ]),
  ]);
  return `${[summary, settings, list].filter((part) => part !== '').join('\n\n')}\n`;
}

function describeMemory({
  totalBytes,
  weightBytes,
  mappedBytes,
  cacheBytes,
  scratchBytes,
  contextLength,
  fits,
}: MemoryEstimate): string {
  const mapped = mappedBytes > 0 ? ` of which ${formatBytes(mappedBytes)} stay in files` : '';
  const parts = `weights ${formatBytes(weightBytes)}${mapped}, a context of ${contextLength} ${formatBytes(cacheBytes)}, work ${formatBytes(scratchBytes)}`;
  return `${formatBytes(totalBytes)} to run it (${parts})${fits ? '' : '; more than there is here'}`;
}

/** One line of at most 80 characters. */
function shorten(value: unknown): string {
  const text = typeof value === 'string' ? value.replace(/\s+/g, ' ') : JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
