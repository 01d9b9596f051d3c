/** The import graph: layers point down, nothing goes in a circle, and platforms stay in their place. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const source = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src');

/** What each layer may import, besides itself. A new folder needs a row here. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  ir: [],
  platform: ['ir'],
  quant: ['ir'],
  kernel: ['ir', 'quant'],
  target: ['ir', 'quant', 'kernel', 'platform'],
  compile: ['ir', 'quant', 'kernel', 'target'],
  tensor: ['ir', 'quant', 'kernel', 'target', 'compile', 'platform'],
  nn: ['ir', 'quant', 'tensor'],
  format: ['ir', 'quant', 'platform'],
  text: ['ir', 'platform'],
  model: ['ir', 'quant', 'tensor', 'nn', 'format'],
  engine: ['ir', 'quant', 'kernel', 'target', 'compile', 'tensor', 'nn', 'format', 'text', 'model', 'platform'],
  web: ['ir', 'format', 'text', 'tensor', 'target', 'engine', 'platform'],
  server: ['ir', 'format', 'text', 'engine', 'platform'],
  cli: [
    'ir',
    'quant',
    'kernel',
    'target',
    'compile',
    'tensor',
    'format',
    'text',
    'model',
    'engine',
    'server',
    'platform',
  ],
};

/** Names by package condition, other than `#platform`: what stands behind them outside of pages. */
const TWINS: Readonly<Record<string, string>> = {
  '#x64': 'target/x64/index.ts',
  '#wide-kernels': 'kernel/library/wide-kernels.ts',
  '#tuning': 'tensor/tuning.ts',
  '#idle-tuning': 'engine/idle-tuning.ts',
  '#mapped-weights': 'engine/mapped-weights.ts',
};

/** Where `node:` modules and names of one platform are at home. */
const PLATFORM_CODE = /^(platform\/|target\/|web\/|server\/|cli\/|format\/hub)/;
const PLATFORM_NAMES = /\b(process\.|Buffer\b|require\(|__dirname\b|document\.|window\.|navigator\.)/;
/** npm packages by the one layer that may import them. */
const PACKAGES: Readonly<Record<string, string>> = {
  '@huggingface/tokenizers': 'text',
  '@huggingface/jinja': 'text',
  commander: 'cli',
  koffi: 'platform',
};

interface SourceFile {
  /** Path under src/, with forward slashes. */
  readonly path: string;
  readonly layer: string;
  readonly code: string;
  /** Imported files under src/, `#platform` as platform/index.ts. */
  readonly files: readonly string[];
  /** Those of them that are there at run time: `import type` is erased. */
  readonly loaded: readonly string[];
  readonly packages: readonly string[];
}

const stripComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

const IMPORTS =
  /^\s*(?:import|export)\b(?<type>\s+type\b)?[^;'"]*?from\s*['"](?<from>[^'"]+)['"]|\bimport\s*\(?\s*['"](?<bare>[^'"]+)['"]/gm;

function readSource(path: string): SourceFile {
  const code = stripComments(readFileSync(join(source, path), 'utf8'));
  const imports = [...code.matchAll(IMPORTS)].map(({ groups }) => ({
    name: groups?.from ?? groups?.bare ?? '',
    isType: groups?.type !== undefined,
  }));
  const resolve = (name: string): string[] => {
    if (name === '#platform') return path === 'platform/index.ts' ? [] : ['platform/index.ts'];
    if (TWINS[name] !== undefined) return [TWINS[name]];
    return name.startsWith('.') ? [normalize(join(dirname(path), name)).replaceAll('\\', '/')] : [];
  };
  return {
    path,
    layer: path.includes('/') ? path.slice(0, path.indexOf('/')) : '',
    code,
    files: imports.flatMap(({ name }) => resolve(name)),
    loaded: imports.flatMap(({ name, isType }) => (isType ? [] : resolve(name))),
    packages: imports.map(({ name }) => name).filter((name) => !/^[.#]/.test(name)),
  };
}

const all = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .map(readSource);
const isTest = (file: SourceFile): boolean => /\.(test|fixture)\.ts$|\/cases\.ts$|\/testing\//.test(file.path);
const files = all.filter((file) => !isTest(file));

/** First circle that the depth-first search from `start` meets, as a path, or undefined. */
function findCircle(edges: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (node: string, trail: readonly string[]): readonly string[] | undefined => {
    if (trail.includes(node)) return [...trail.slice(trail.indexOf(node)), node];
    if (done.has(node)) return undefined;
    for (const next of edges.get(node) ?? []) {
      const circle = visit(next, [...trail, node]);
      if (circle) return circle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const circle = visit(node, []);
    if (circle) return circle;
  }
  return undefined;
}

describe('import graph', () => {
  test('the check sees the sources', () => {
    expect(files.length).toBeGreaterThan(5);
    expect(files.find((file) => file.path === 'ir/graph.ts')?.files).toContain('ir/dtype.ts');
    expect(
      findCircle(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
    ).toEqual(['b', 'c', 'b']);
  });

  test('the table of layers has no circle itself', () => {
    expect(findCircle(new Map(Object.entries(LAYERS)))).toBeUndefined();
  });

  test('each layer imports only what lies below it', () => {
    const wrong = files.flatMap((file) =>
      file.layer === ''
        ? []
        : file.files
            .map((target) => target.split('/')[0]!)
            .filter((target) => target !== file.layer && !LAYERS[file.layer]?.includes(target))
            .map((target) => `${file.path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test('nothing imports the root index', () => {
    expect(files.filter((file) => file.files.includes('index.ts')).map((file) => file.path)).toEqual([]);
  });

  test('no file loads itself by way of others', () => {
    expect(findCircle(new Map(files.map((file) => [file.path, file.loaded])))).toBeUndefined();
  });

  test('node: modules and platform globals stay where platforms live', () => {
    const wrong = files
      .filter((file) => !PLATFORM_CODE.test(file.path))
      .filter((file) => file.packages.some((name) => name.startsWith('node:')) || PLATFORM_NAMES.test(file.code))
      .map((file) => file.path);
    expect(wrong).toEqual([]);
  });

  test('npm packages are imported by their one layer only', () => {
    const wrong = files.flatMap((file) =>
      file.packages
        .filter((name) => !name.startsWith('node:') && PACKAGES[name] !== file.layer)
        .map((name) => `${file.path} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});
