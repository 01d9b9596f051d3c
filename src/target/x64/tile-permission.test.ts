import { describe, expect, it } from 'vitest';
import { LEVELS } from './features.ts';
import { permittedLevel } from './tile-permission.ts';

/** A system that answers `answer`, and how often it was asked. */
function system(answer: boolean) {
  const asked = { count: 0 };
  const permitTiles = (): boolean => {
    asked.count++;
    return answer;
  };
  return { permitTiles, asked };
}

describe('tiles of AMX', () => {
  it('are asked for once, and used where the system agrees', () => {
    const { permitTiles, asked } = system(true);
    const warnings: string[] = [];
    expect(permittedLevel('amx', { permitTiles }, (message) => warnings.push(message))).toBe('amx');
    expect([asked.count, warnings]).toEqual([1, []]);
  });

  it('are left alone where it refuses, with a warning by name', () => {
    const { permitTiles, asked } = system(false);
    const warnings: string[] = [];
    expect(permittedLevel('amx', { permitTiles }, (message) => warnings.push(message))).toBe('avx512');
    expect(asked.count).toBe(1);
    expect(warnings).toEqual([expect.stringMatching(/^amx-refused: /)]);
  });

  it('are not asked for by other levels', () => {
    const { permitTiles, asked } = system(false);
    for (const level of LEVELS.slice(0, 2)) expect(permittedLevel(level, { permitTiles }, () => {})).toBe(level);
    expect(asked.count).toBe(0);
  });
});
