/** Ids are read strictly: whatever passes is safe in an address and in a path. */
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatHubId, isHubId, isSafePath, parseHubId } from './hub-id.ts';

const good: readonly [string, object][] = [
  ['org/name', { repository: 'org/name', revision: 'main' }],
  ['Org-1/na_me.v2', { repository: 'Org-1/na_me.v2', revision: 'main' }],
  ['org/name@v1.0', { repository: 'org/name', revision: 'v1.0' }],
  ['org/name@refs/pr/1', { repository: 'org/name', revision: 'refs/pr/1' }],
  ['org/name:Q4_K_M', { repository: 'org/name', revision: 'main', choice: 'Q4_K_M' }],
  ['org/name@dev:sub/a b.gguf', { repository: 'org/name', revision: 'dev', choice: 'sub/a b.gguf' }],
  ['org/name:a@b.gguf', { repository: 'org/name', revision: 'main', choice: 'a@b.gguf' }],
];

test.each(good)('%s', (id, expected) => {
  expect(parseHubId(id)).toEqual(expected);
  expect(formatHubId(parseHubId(id))).toBe(id);
  expect(isHubId(id)).toBe(true);
});

const bad = [
  ...['', 'name', 'a/b/c', '/name', 'org/', 'org/na me', 'org/na..me', 'org/na--me', '../name', 'org/..', 'org/-name'],
  ...['org/name.git', 'org/name@', 'org/name:', 'org/name@../x', 'org/name@a//b', 'org/name@/a', 'org/name@a b'],
  ...['org/name@a/..', 'org/name:../x.gguf', 'org/name:/etc/x', 'org/name:a\\b', 'org/name:a:b', 'org/name:a\nb'],
  ...[
    'org/name@v1?x',
    'org/name@v1#x',
    `org/${'a'.repeat(97)}`,
    `org/name@${'a'.repeat(251)}`,
    'örg/name',
    'org/name:a/./b',
  ],
];

test.each(bad)('%j is refused by name', (id) => {
  expect(() => parseHubId(id)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  expect(isHubId(id)).toBe(false);
});

test('no text is read as an id with a way out of its folder', () => {
  const part = fc.constantFrom('..', '.', '/', '\\', 'a', 'x.gguf', '@', ':', '%2e', '\0', 'C:', '~', ' ');
  const text = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(''));
  const root = resolve('/cache');
  fc.assert(
    fc.property(text, (tail) => {
      const id = `org/name${tail}`;
      if (!isHubId(id)) return;
      const { repository, revision, choice = 'x' } = parseHubId(id);
      for (const path of [repository, revision, choice]) {
        expect(isSafePath(path)).toBe(true);
        expect(join(root, path).startsWith(`${root}/`)).toBe(true);
        expect(path).not.toMatch(/[\\\0]/);
      }
    }),
    { numRuns: 500 },
  );
});
