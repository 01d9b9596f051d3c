/** Whether the system lets this process use the tiles that its processor has: Linux wants to be asked first. */
import type { NativeHost } from '../../platform/index.ts';
import type { Level } from './features.ts';

/** Asks for tiles where `level` has them. Refused: the level below, and `onWarning` hears of it by the name `amx-refused`. */
export function permittedLevel(
  level: Level,
  host: Pick<NativeHost, 'permitTiles'>,
  onWarning: (message: string) => void,
): Level {
  if (level !== 'amx' || host.permitTiles()) return level;
  onWarning(
    'amx-refused: the system does not let this process use AMX tiles; the x64 device runs without them, as avx512',
  );
  return 'avx512';
}
