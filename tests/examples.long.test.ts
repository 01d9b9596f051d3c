/** Runs every example as a user would, against the built package, and compares what it prints with its last comment. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const folder = fileURLToPath(new URL('../examples/', import.meta.url));
const all = readdirSync(folder).filter((name) => name.endsWith('.js'));
const needsNetwork = (name: string): boolean => readFileSync(folder + name, 'utf8').includes('Needs the network.');
const names = all.filter((name) => !needsNetwork(name));

/** The lines after `// Prints:`, without their comment marks. */
function promised(source: string): string {
  const lines = source.slice(source.indexOf('// Prints:')).trimEnd().split('\n').slice(1);
  return lines.map((line) => line.replace(/^\/\/ ?/, '')).join('\n');
}

describe('examples', () => {
  test.each(names)('%s prints what it promises, on one screen', async (name) => {
    const source = readFileSync(folder + name, 'utf8');
    expect(source).toContain('// Prints:');
    expect(source.split('\n').length).toBeLessThan(50);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [folder + name]);
    expect(stdout.trimEnd()).toBe(promised(source));
    expect(stderr).toBe('');
  });

  test('the table of contents names them all', () => {
    const listed = [...readFileSync(`${folder}README.md`, 'utf8').matchAll(/^\| \[([^\]]+)\]/gm)].map(
      (match) => match[1],
    );
    expect(listed).toEqual(all);
    expect(all.filter(needsNetwork)).toEqual(['12-hub.js']);
  });
});
