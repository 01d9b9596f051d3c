/** `bitloom inspect`: what a checkpoint holds, from its header alone. */
import { platform, type RandomAccessFile } from '#platform';
import { openGguf, openSafetensors, parseJson, type TensorFile } from '../format/index.ts';
import { dtypeName } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { elementCount } from '../ir/shape.ts';
import { EXIT } from './exit-code.ts';
import { formatBytes, table } from './readable.ts';
import type { Terminal } from './terminal.ts';

export interface InspectOptions {
  readonly json?: boolean;
}

interface Header {
  readonly format: 'GGUF' | 'safetensors';
  readonly architecture: string | null;
  /** Metadata of the file, or the `config.json` beside it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly file: TensorFile;
}

/** Runs the command. Throws what opening throws: MISSING_FILE, BAD_FILE, UNSUPPORTED_DTYPE. */
export async function inspect(path: string, options: InspectOptions, terminal: Terminal): Promise<number> {
  const source = await platform.openFile(await findWeights(path));
  try {
    const report = summarize(source, await readHeader(source));
    terminal.write(options.json ? `${JSON.stringify(report)}\n` : describe(report));
    return EXIT.done;
  } finally {
    await source.close();
  }
}

/** The file with the weights: the path itself, or the one in a folder. */
async function findWeights(path: string): Promise<string> {
  const names = await platform.listFolder(path);
  if (names === undefined) return path;
  const found = names.includes('model.safetensors')
    ? 'model.safetensors'
    : names.find((name) => name.endsWith('.gguf'));
  if (found !== undefined) return platform.joinPath(path, found);
  throw new BitloomError('MISSING_FILE', `${path} holds neither model.safetensors nor a .gguf file.`, { path });
}

async function readHeader(source: RandomAccessFile): Promise<Header> {
  const magic = new Uint8Array(4);
  await source.readInto(magic, 0);
  if (new TextDecoder().decode(magic) === 'GGUF') {
    const file = await openGguf(source);
    const config = Object.fromEntries([...file.metadata].map(([key, value]) => [key, readable(value)]));
    return { format: 'GGUF', architecture: textOrNull(config['general.architecture']), config, file };
  }
  const file = await openSafetensors(source);
  const config = await configBeside(source.name);
  const named = config.architectures;
  return { format: 'safetensors', architecture: textOrNull(Array.isArray(named) ? named[0] : undefined), config, file };
}

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** `config.json` in the folder of a safetensors file; empty where there is none. Throws BAD_FILE. */
async function configBeside(path: string): Promise<Readonly<Record<string, unknown>>> {
  const name = platform.joinPath(path.replace(/[^/\\]*$/, '') || '.', 'config.json');
  try {
    return parseJson({ name }, new TextEncoder().encode(await platform.readText(name)), 'config.json');
  } catch (error) {
    if (error instanceof BitloomError && error.code === 'MISSING_FILE') return {};
    throw error;
  }
}

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
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly number[];
    readonly sizeBytes: number;
  }[];
}

function summarize(source: RandomAccessFile, { format, architecture, config, file }: Header): Report {
  const entries = [...file.tensors.values()];
  const parameters = entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const tensorBytes = entries.reduce((sum, entry) => sum + entry.byteLength, 0);
  return {
    file: source.name,
    sizeBytes: source.sizeBytes,
    format,
    architecture,
    parameters,
    bitsPerWeight: parameters === 0 ? 0 : (8 * tensorBytes) / parameters,
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

/** One line of at most 80 characters. */
function shorten(value: unknown): string {
  const text = typeof value === 'string' ? value.replace(/\s+/g, ' ') : JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
